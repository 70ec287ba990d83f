package commands

import (
	"testing"

	"foof/events"
	"foof/internal/fault"
)

func added(id events.FavoriteID, item events.ItemID) events.FavoriteAdded {
	return events.FavoriteAdded{Favorite: id, User: 7, Item: item}
}

func removed(id events.FavoriteID, item events.ItemID) events.FavoriteRemoved {
	return events.FavoriteRemoved{Favorite: id, User: 7, Item: item}
}

func TestAddFavorites(t *testing.T) {
	t.Parallel()
	add := AddFavorites{User: 7, Items: []events.ItemID{41, 42, 41, 43}, Numbers: []events.FavoriteID{5, 6, 7, 8}}
	unknown := add
	unknown.Unknown = []events.ItemID{43, 42}

	testExamples(t,
		example[favorites]{
			name: "keeps each item once, in the order in which they are named",
			when: add, then: history{added(5, 41), added(6, 42), added(8, 43)},
		},
		example[favorites]{
			name:  "passes over those that are kept",
			given: history{added(1, 42), added(2, 41), removed(2, 41)}, when: add, then: history{added(5, 41), added(8, 43)},
		},
		example[favorites]{
			name:  "of items that are all kept changes nothing",
			given: history{added(1, 42), added(2, 41), added(3, 43)}, when: add,
		},
		example[favorites]{
			name: "is refused as a whole, naming the first item that there is not",
			when: unknown, fault: fault.Refused("no such item: 43"),
		},
		example[favorites]{
			name: "of nothing changes nothing",
			when: AddFavorites{User: 7},
		},
	)
}

func TestRemoveFavorites(t *testing.T) {
	t.Parallel()
	testExamples(t,
		example[favorites]{
			name:  "names each by its number, once, and passes over what is none",
			given: history{added(1, 42), added(2, 41), added(3, 43)},
			when:  RemoveFavorites{User: 7, Items: []events.ItemID{43, 44, 42, 43}},
			then:  history{removed(3, 43), removed(1, 42)},
		},
		example[favorites]{
			name:  "names the number that counts, where an item was a favorite before",
			given: history{added(1, 42), removed(1, 42), added(2, 42)},
			when:  RemoveFavorites{User: 7, Items: []events.ItemID{42}}, then: history{removed(2, 42)},
		},
		example[favorites]{
			name:  "of what is no favorite any more changes nothing",
			given: history{added(1, 42), removed(1, 42)}, when: RemoveFavorites{User: 7, Items: []events.ItemID{42}},
		},
	)
}
