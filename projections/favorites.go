package projections

import "foof/events"

type favoriteRow struct {
	ID   events.FavoriteID `json:"id"`
	User events.UserID     `json:"user_id"`
	Item events.ItemID     `json:"item"`
}

var favorites = table[events.FavoriteID, favoriteRow]{
	load: `select to_json(f) from favorites f where id = any($1)`,
	store: `
		insert into favorites (id, user_id, item)
		select id, user_id, item from json_populate_recordset(null::favorites, $1)
		on conflict (id) do update set user_id = excluded.user_id, item = excluded.item`,
	remove: `delete from favorites where id = any($1)`,
	id:     func(row *favoriteRow) events.FavoriteID { return row.ID },
	subject: func(e events.Event) (events.FavoriteID, bool) {
		switch e := e.(type) {
		case events.FavoriteAdded:
			return e.Favorite, true
		case events.FavoriteRemoved:
			return e.Favorite, true
		}
		return 0, false
	},
	apply: func(row *favoriteRow, r *events.Recorded) {
		switch e := r.Event.(type) {
		case events.FavoriteAdded:
			*row = favoriteRow{ID: e.Favorite, User: e.User, Item: e.Item}
		case events.FavoriteRemoved:
			*row = favoriteRow{}
		}
	},
}
