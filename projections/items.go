package projections

import "foof/events"

type itemRow struct {
	ID           events.ItemID  `json:"id"`
	Owner        events.UserID  `json:"owner"`
	Title        string         `json:"title"`
	Type         int32          `json:"type"`
	Price        events.Price   `json:"price"`
	ImgURL       string         `json:"imgurl"`
	Depreciation int32          `json:"depreciation"`
	Note         string         `json:"note"`
	Sold         events.Sold    `json:"sold"`
	TradedTo     *events.UserID `json:"traded_to"`
}

var items = table[events.ItemID, itemRow]{
	load: `select to_json(i) from items i where id = any($1)`,
	store: `
		insert into items (id, owner, title, type, price, imgurl, depreciation, note, sold, traded_to)
		select id, owner, title, type, price, imgurl, depreciation, note, sold, traded_to
		from json_populate_recordset(null::items, $1)
		on conflict (id) do update set
			owner = excluded.owner, title = excluded.title, type = excluded.type, price = excluded.price,
			imgurl = excluded.imgurl, depreciation = excluded.depreciation, note = excluded.note,
			sold = excluded.sold, traded_to = excluded.traded_to`,
	id: func(row *itemRow) events.ItemID { return row.ID },
	subject: func(e events.Event) (events.ItemID, bool) {
		switch e := e.(type) {
		case events.ItemPublished:
			return e.Item, true
		case events.ItemModified:
			return e.Item, true
		case events.ItemTraded:
			return e.Item, true
		}
		return 0, false
	},
	apply: func(row *itemRow, r *events.Recorded) {
		switch e := r.Event.(type) {
		case events.ItemPublished:
			*row = itemRow{
				ID: e.Item, Owner: e.Owner, Title: e.Title, Type: e.Type, Price: e.Price, ImgURL: e.ImgURL,
				Depreciation: e.Depreciation, Note: e.Note, Sold: e.Sold,
			}
		case events.ItemModified:
			set(&row.Title, e.Title)
			set(&row.Type, e.Type)
			set(&row.Price, e.Price)
			set(&row.ImgURL, e.ImgURL)
			set(&row.Depreciation, e.Depreciation)
			set(&row.Note, e.Note)
			set(&row.Sold, e.Sold)
		case events.ItemTraded:
			row.Sold, row.TradedTo = e.Sold, &e.Buyer
		}
	},
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}
