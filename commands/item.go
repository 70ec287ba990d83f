package commands

import (
	"fmt"

	"foof/events"
	"foof/internal/fault"
)

// The refusals of items, in the words of the contract.
var (
	ErrNotForTrade   = fault.Refused("item not availabe for trade")
	ErrAlreadyTraded = fault.Refused("item already traded")
)

// item is what an item's stream adds up to.
type item struct {
	events.ItemPublished // as it reads now; Item is 0 while there is none

	traded bool
}

// Evolve applies one event of an item.
func (i item) Evolve(e events.Event) item {
	switch e := e.(type) {
	case events.ItemPublished:
		i.ItemPublished = e
	case events.ItemModified:
		set(&i.Title, e.Title)
		set(&i.Type, e.Type)
		set(&i.Price, e.Price)
		set(&i.ImgURL, e.ImgURL)
		set(&i.Depreciation, e.Depreciation)
		set(&i.Note, e.Note)
		set(&i.Sold, e.Sold)
	case events.ItemTraded:
		i.Sold, i.traded = e.Sold, true
	}
	return i
}

// PublishItem offers an item or asks for one. Its number is new.
type PublishItem events.ItemPublished

// Streams is the new item's.
func (c PublishItem) Streams() []string { return []string{c.Item.Stream()} }

// Decide has only a number that is taken to refuse: what an item may be is checked where it comes in.
func (c PublishItem) Decide(i item) ([]events.Event, error) {
	if i.Item != 0 {
		return nil, fmt.Errorf("the number of %s is taken", i.Item.Stream())
	}
	return []events.Event{events.ItemPublished(c)}, nil
}

// ModifyItem changes an item on behalf of a user. Nil fields stay as they are.
type ModifyItem struct {
	User    events.UserID
	Changes events.ItemModified
}

// Streams is the item's.
func (c ModifyItem) Streams() []string { return []string{c.Changes.Item.Stream()} }

// Decide lets only the owner, and names only what really changes. The state of an item that was traded here is settled.
func (c ModifyItem) Decide(i item) ([]events.Event, error) {
	switch {
	case i.Item == 0:
		return nil, fault.ErrNone
	case i.Owner != c.User:
		return nil, fault.ErrForbidden
	case i.traded && c.Changes.Sold != nil:
		return nil, ErrAlreadyTraded
	}
	changes := events.ItemModified{
		Item:         i.Item,
		Title:        differing(i.Title, c.Changes.Title),
		Type:         differing(i.Type, c.Changes.Type),
		Price:        differing(i.Price, c.Changes.Price),
		ImgURL:       differing(i.ImgURL, c.Changes.ImgURL),
		Depreciation: differing(i.Depreciation, c.Changes.Depreciation),
		Note:         differing(i.Note, c.Changes.Note),
		Sold:         differing(i.Sold, c.Changes.Sold),
	}
	if changes == (events.ItemModified{Item: i.Item}) {
		return nil, nil
	}
	return []events.Event{changes}, nil
}

// TradeItem takes an offer, or meets a want.
type TradeItem struct {
	Item  events.ItemID
	Buyer events.UserID
}

// Streams is the item's.
func (c TradeItem) Streams() []string { return []string{c.Item.Stream()} }

// Decide lets anyone but the owner take what is still to be had.
func (c TradeItem) Decide(i item) ([]events.Event, error) {
	if i.Item == 0 || i.Owner == c.Buyer {
		return nil, ErrNotForTrade
	}
	traded := events.ItemTraded{Item: i.Item, Buyer: c.Buyer}
	switch i.Sold {
	case events.ForSale:
		traded.Sold = events.SoldOut
	case events.Wanted:
		traded.Sold = events.Obtained
	case events.SoldOut, events.Obtained:
		return nil, ErrNotForTrade
	default:
		return nil, ErrNotForTrade
	}
	return []events.Event{traded}, nil
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

func differing[T comparable](before T, after *T) *T {
	if after == nil || *after == before {
		return nil
	}
	return after
}
