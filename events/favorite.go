package events

// FavoriteAdded: the user keeps an item among their favorites from now on.
type FavoriteAdded struct {
	Favorite FavoriteID `json:"favorite"`
	User     UserID     `json:"user"`
	Item     ItemID     `json:"item"`
}

// FavoriteRemoved: the user does not any more.
type FavoriteRemoved struct {
	Favorite FavoriteID `json:"favorite"`
	User     UserID     `json:"user"`
	Item     ItemID     `json:"item"`
}

// Stream is that of the user's favorites.
func (e FavoriteAdded) Stream() string { return e.User.FavoritesStream() }

// Stream is that of the user's favorites.
func (e FavoriteRemoved) Stream() string { return e.User.FavoritesStream() }
