package commands

import (
	"testing"

	"foof/events"
	"foof/internal/fault"
)

// bicycle is item 41, which user 7 offers.
func bicycle() events.ItemPublished {
	return events.ItemPublished{
		Item: 41, Owner: 7, Title: "自行车", Type: 3, Price: 98_750, ImgURL: "[]", Depreciation: 9, Note: "nearly new", Sold: events.ForSale,
	}
}

// wish is the same item, looked for.
func wish() events.ItemPublished {
	e := bicycle()
	e.Sold = events.Wanted
	return e
}

func closed(sold events.Sold) events.ItemModified {
	return events.ItemModified{Item: 41, Sold: &sold}
}

func traded(sold events.Sold) events.ItemTraded {
	return events.ItemTraded{Item: 41, Buyer: 8, Sold: sold}
}

func TestPublishItem(t *testing.T) {
	t.Parallel()
	testExamples(t,
		example[item]{name: "offers an item", when: PublishItem(bicycle()), then: history{bicycle()}},
		example[item]{name: "asks for an item", when: PublishItem(wish()), then: history{wish()}},
	)
	t.Run("under a number that is taken changes nothing", func(t *testing.T) {
		t.Parallel()
		facts, err := PublishItem(bicycle()).Decide(fold[item](history{wish()}))
		if len(facts) != 0 || fault.Of(err) == nil || fault.Of(err).Kind != fault.KindInternal {
			t.Errorf("it is %v, %v", facts, err)
		}
	})
}

func TestModifyItem(t *testing.T) {
	t.Parallel()
	modify := func(changes events.ItemModified) ModifyItem {
		changes.Item = 41
		return ModifyItem{User: 7, Changes: changes}
	}
	all := events.ItemModified{
		Item: 41, Title: new("车"), Type: new(int32(4)), Price: new(events.Price(399)), ImgURL: new(`["a"]`),
		Depreciation: new(int32(8)), Note: new(""), Sold: new(events.SoldOut),
	}
	same := events.ItemModified{
		Item: 41, Title: new("自行车"), Type: new(int32(3)), Price: new(events.Price(98_750)), ImgURL: new("[]"),
		Depreciation: new(int32(9)), Note: new("nearly new"), Sold: new(events.ForSale),
	}
	title := events.ItemModified{Item: 41, Title: new("车")}

	testExamples(t,
		example[item]{
			name: "that is unknown finds none",
			when: modify(title), fault: fault.ErrNone,
		},
		example[item]{
			name:  "of somebody else is forbidden",
			given: history{bicycle()}, when: ModifyItem{User: 8, Changes: title}, fault: fault.ErrForbidden,
		},
		example[item]{
			name:  "by its buyer is forbidden",
			given: history{bicycle(), traded(events.SoldOut)}, when: ModifyItem{User: 8, Changes: title}, fault: fault.ErrForbidden,
		},
		example[item]{
			name:  "of somebody else, traded, is forbidden before anything is said about the trade",
			given: history{bicycle(), traded(events.SoldOut)}, when: ModifyItem{User: 9, Changes: closed(events.ForSale)}, fault: fault.ErrForbidden,
		},
		example[item]{
			name:  "names each field that changes",
			given: history{bicycle()}, when: modify(all), then: history{all},
		},
		example[item]{
			name:  "names only what changes",
			given: history{bicycle()},
			when: modify(events.ItemModified{
				Title: new("自行车"), Type: new(int32(3)), Price: new(events.Price(98_751)), Note: new("nearly new"), Sold: new(events.ForSale),
			}),
			then: history{events.ItemModified{Item: 41, Price: new(events.Price(98_751))}},
		},
		example[item]{
			name:  "compares with what it reads now, not at first",
			given: history{bicycle(), title}, when: modify(events.ItemModified{Title: new("自行车")}),
			then: history{events.ItemModified{Item: 41, Title: new("自行车")}},
		},
		example[item]{
			name:  "of what is so already changes nothing",
			given: history{bicycle()}, when: modify(same),
		},
		example[item]{
			name:  "without fields changes nothing",
			given: history{bicycle()}, when: modify(events.ItemModified{}),
		},
		example[item]{
			name:  "closes a deal that was made elsewhere",
			given: history{bicycle()}, when: modify(closed(events.SoldOut)), then: history{closed(events.SoldOut)},
		},
		example[item]{
			name:  "opens again what was closed elsewhere",
			given: history{bicycle(), closed(events.SoldOut)}, when: modify(closed(events.ForSale)), then: history{closed(events.ForSale)},
		},
		example[item]{
			name:  "turns an offer into a want",
			given: history{bicycle()}, when: modify(closed(events.Wanted)), then: history{closed(events.Wanted)},
		},
		example[item]{
			name:  "sets any of the four states",
			given: history{bicycle()}, when: modify(closed(events.Obtained)), then: history{closed(events.Obtained)},
		},
		example[item]{
			name:  "to another state after it was traded is refused",
			given: history{bicycle(), traded(events.SoldOut)}, when: modify(closed(events.ForSale)), fault: ErrAlreadyTraded,
		},
		example[item]{
			name:  "to the state that it has after it was traded is refused",
			given: history{bicycle(), traded(events.SoldOut)}, when: modify(closed(events.SoldOut)), fault: ErrAlreadyTraded,
		},
		example[item]{
			name:  "with a state among other fields after it was traded is refused whole",
			given: history{bicycle(), traded(events.SoldOut)}, when: modify(all), fault: ErrAlreadyTraded,
		},
		example[item]{
			name:  "of other fields after it was traded is possible",
			given: history{bicycle(), traded(events.SoldOut)}, when: modify(title), then: history{title},
		},
	)
}

func TestTradeItem(t *testing.T) {
	t.Parallel()
	trade := TradeItem{Item: 41, Buyer: 8}

	testExamples(t,
		example[item]{
			name:  "that is for sale sells it",
			given: history{bicycle()}, when: trade, then: history{events.ItemTraded{Item: 41, Buyer: 8, Sold: events.SoldOut}},
		},
		example[item]{
			name:  "that is wanted meets the want",
			given: history{wish()}, when: trade, then: history{events.ItemTraded{Item: 41, Buyer: 8, Sold: events.Obtained}},
		},
		example[item]{
			name: "that is unknown is refused",
			when: trade, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "by its owner is refused",
			given: history{bicycle()}, when: TradeItem{Item: 41, Buyer: 7}, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that one wants oneself is refused",
			given: history{wish()}, when: TradeItem{Item: 41, Buyer: 7}, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that is sold is refused",
			given: history{bicycle(), traded(events.SoldOut)}, when: TradeItem{Item: 41, Buyer: 9}, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that one has bought already is refused",
			given: history{bicycle(), traded(events.SoldOut)}, when: trade, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that was obtained is refused",
			given: history{wish(), traded(events.Obtained)}, when: TradeItem{Item: 41, Buyer: 9}, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that was sold elsewhere is refused",
			given: history{bicycle(), closed(events.SoldOut)}, when: trade, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that was obtained elsewhere is refused",
			given: history{wish(), closed(events.Obtained)}, when: trade, fault: ErrNotForTrade,
		},
		example[item]{
			name:  "that is on offer again is possible",
			given: history{bicycle(), closed(events.SoldOut), closed(events.ForSale)}, when: trade, then: history{traded(events.SoldOut)},
		},
		example[item]{
			name:  "that was turned from an offer into a want meets the want",
			given: history{bicycle(), closed(events.Wanted)}, when: trade, then: history{traded(events.Obtained)},
		},
		example[item]{
			name:  "in a state that nobody knows is refused",
			given: history{bicycle(), closed(0)}, when: trade, fault: ErrNotForTrade,
		},
	)
}
