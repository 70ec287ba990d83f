package projections

import (
	"time"

	"foof/events"
)

type messageRow struct {
	ID        events.MessageID `json:"id"`
	Sender    events.UserID    `json:"sender"`
	Recipient events.UserID    `json:"recipient"`
	Data      string           `json:"data"`
	Position  events.Position  `json:"position"`
	CreatedAt time.Time        `json:"created_at"`
	FetchedAt *time.Time       `json:"fetched_at"`
}

var messages = table[events.MessageID, messageRow]{
	load: `select to_json(m) from messages m where id = any($1)`,
	store: `
		insert into messages (id, sender, recipient, data, position, created_at, fetched_at)
		select id, sender, recipient, data, position, created_at, fetched_at
		from json_populate_recordset(null::messages, $1)
		on conflict (id) do update set
			sender = excluded.sender, recipient = excluded.recipient, data = excluded.data, position = excluded.position,
			created_at = excluded.created_at, fetched_at = excluded.fetched_at`,
	id: func(row *messageRow) events.MessageID { return row.ID },
	subject: func(e events.Event) (events.MessageID, bool) {
		switch e := e.(type) {
		case events.MessageSent:
			return e.Message, true
		case events.MessageFetched:
			return e.Message, true
		}
		return 0, false
	},
	apply: func(row *messageRow, r *events.Recorded) {
		switch e := r.Event.(type) {
		case events.MessageSent:
			*row = messageRow{
				ID: e.Message, Sender: e.From, Recipient: e.To, Data: e.Text.Text(), Position: r.Position, CreatedAt: e.At,
			}
		case events.MessageFetched:
			row.FetchedAt = &e.At
		}
	},
}
