package commands

import (
	"fmt"

	"foof/events"
	"foof/internal/fault"
)

// favorites are what a user keeps, and by which number: what the stream of their favorites adds up to.
type favorites map[events.ItemID]events.FavoriteID

// Evolve applies one event of a user's favorites, to the map itself.
func (f favorites) Evolve(e events.Event) favorites {
	if f == nil {
		f = favorites{}
	}
	switch e := e.(type) {
	case events.FavoriteAdded:
		f[e.Item] = e.Favorite
	case events.FavoriteRemoved:
		delete(f, e.Item)
	}
	return f
}

// AddFavorites keeps items among a user's favorites.
type AddFavorites struct {
	User    events.UserID
	Items   []events.ItemID
	Unknown []events.ItemID     // those of them that there are not
	Numbers []events.FavoriteID // new ones, as many as items
}

// Streams is that of the user's favorites.
func (c AddFavorites) Streams() []string { return []string{c.User.FavoritesStream()} }

// Decide adds all that are not there yet, and nothing at all if there is no such item as one of them.
func (c AddFavorites) Decide(f favorites) ([]events.Event, error) {
	if len(c.Unknown) > 0 {
		return nil, fault.Refused(fmt.Sprintf("no such item: %d", c.Unknown[0]))
	}
	var facts []events.Event
	added := map[events.ItemID]bool{}
	for i, item := range c.Items {
		if _, kept := f[item]; !kept && !added[item] {
			added[item] = true
			facts = append(facts, events.FavoriteAdded{Favorite: c.Numbers[i], User: c.User, Item: item})
		}
	}
	return facts, nil
}

// RemoveFavorites takes items from among a user's favorites.
type RemoveFavorites struct {
	User  events.UserID
	Items []events.ItemID
}

// Streams is that of the user's favorites.
func (c RemoveFavorites) Streams() []string { return []string{c.User.FavoritesStream()} }

// Decide passes over what is no favorite.
func (c RemoveFavorites) Decide(f favorites) ([]events.Event, error) {
	var facts []events.Event
	removed := map[events.ItemID]bool{}
	for _, item := range c.Items {
		if id, kept := f[item]; kept && !removed[item] {
			removed[item] = true
			facts = append(facts, events.FavoriteRemoved{Favorite: id, User: c.User, Item: item})
		}
	}
	return facts, nil
}
