package projections

import (
	"time"
	"unicode/utf8"

	"foof/events"
)

type messageRow struct {
	ID        events.MessageID `json:"id"`
	Sender    events.UserID    `json:"sender"`
	Recipient events.UserID    `json:"recipient"`
	Data      string           `json:"data"`
	Size      int              `json:"size"`
	Position  events.Position  `json:"position"`
	CreatedAt time.Time        `json:"created_at"`
	FetchedAt *time.Time       `json:"fetched_at"`
}

var messages = table[events.MessageID, messageRow]{
	load: `select to_json(m) from messages m where id = any($1)`,
	store: `
		insert into messages (id, sender, recipient, data, size, position, created_at, fetched_at)
		select id, sender, recipient, data, size, position, created_at, fetched_at
		from json_populate_recordset(null::messages, $1)
		on conflict (id) do update set
			sender = excluded.sender, recipient = excluded.recipient, data = excluded.data, size = excluded.size,
			position = excluded.position, created_at = excluded.created_at, fetched_at = excluded.fetched_at`,
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
				ID: e.Message, Sender: e.From, Recipient: e.To, Data: e.Text.Text(), Size: sizeInJSON(e.Text.Text()),
				Position: r.Position, CreatedAt: e.At,
			}
		case events.MessageFetched:
			row.FetchedAt = &e.At
		}
	},
}

// sizeInJSON is how many bytes text takes as a JSON string that escapes no more than it must, quotes included.
func sizeInJSON(text string) int {
	size := len(`""`) + len(text)
	for _, r := range text {
		switch {
		case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
			size++
		case r < ' ', r == '\u2028', r == '\u2029': // line ends to old JavaScript, too
			size += len(`\u0000`) - utf8.RuneLen(r)
		}
	}
	return size
}
