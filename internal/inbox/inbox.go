// Package inbox has messages as the API shows them, from the read model, and tells those who wait for one when it has come.
package inbox

import (
	"context"
	"fmt"
	"time"

	"foof/events"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Message is a message as the API shows it.
type Message struct {
	ID        events.MessageID `json:"id"`
	From      events.UserID    `json:"from"`
	To        events.UserID    `json:"to"`
	Data      string           `json:"data"`
	Fetched   bool             `json:"fetched"`
	CreatedAt Time             `json:"createdAt"`
	UpdatedAt Time             `json:"updatedAt"` // when it was fetched; until then, when it was sent

	Position events.Position `json:"-"`
}

// Time is written as the API does: in UTC, to the millisecond.
type Time time.Time

// MarshalJSON writes 2019-09-04T14:29:05.000Z.
func (t Time) MarshalJSON() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

// MostBytes bounds an answer. A message and what it takes around its text always fit.
const MostBytes = 2 << 20

// frame is what a message takes in an answer at most, besides its text: its names, three numbers, two times, and a comma.
const frame = 200

// Inbox asks the read model. It is safe for concurrent use.
type Inbox struct {
	Pool *pgxpool.Pool
}

// fitting is how many messages an answer holds at most.
const fitting = MostBytes / frame

// fits ends a query over candidates, which have an id and a size: those that an answer can hold, but one at least.
const fits = `
	select id from (
		select id, sum(size + $2) over (order by id) as total, row_number() over (order by id) as place from candidates
	) summed
	where total <= $3 or place = 1`

// Unfetched is which messages to a user nobody has fetched yet: the oldest, as many as an answer can hold.
func (i *Inbox) Unfetched(ctx context.Context, user events.UserID) ([]events.MessageID, error) {
	const sql = `
		with candidates as (select id, size from messages where recipient = $1 and fetched_at is null order by id limit $4)
		` + fits + ` order by id`
	rows, err := i.Pool.Query(ctx, sql, user, frame, MostBytes-frame, fitting)
	if err != nil {
		return nil, fmt.Errorf("messages to user %d: %w", user, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[events.MessageID])
	if err != nil {
		return nil, fmt.Errorf("messages to user %d: %w", user, err)
	}
	return ids, nil
}

const messageColumns = `id, sender, recipient, data, fetched_at is not null, created_at, coalesce(fetched_at, created_at), position`

// Messages has these messages, in the order of their ids.
func (i *Inbox) Messages(ctx context.Context, ids []events.MessageID) ([]Message, error) {
	const sql = `select ` + messageColumns + ` from messages where id = any($1) order by id`
	return i.query(ctx, sql, ids)
}

// Of has the messages from or to a user whose ids follow after, in their order: at most limit, and no more than an answer of
// MostBytes can hold, but one at least if there is one.
func (i *Inbox) Of(ctx context.Context, user events.UserID, after events.MessageID, limit int) ([]Message, error) {
	const sql = `
		with candidates as (
			select id, size from (
				(select id, size from messages where sender = $1 and id > $5 order by id limit $4)
				union
				(select id, size from messages where recipient = $1 and id > $5 order by id limit $4)
			) either
			order by id limit $4
		)
		select ` + messageColumns + ` from messages where id in (` + fits + `) order by id`
	return i.query(ctx, sql, user, frame, MostBytes-frame, min(limit, fitting), after)
}

// Since has the messages to a user that are in the log after a position, in its order: the first ones, as Of has them.
func (i *Inbox) Since(ctx context.Context, user events.UserID, position events.Position) ([]Message, error) {
	const (
		page = 100
		sql  = `
			with candidates as (
				select position as id, size from messages where recipient = $1 and position > $5 order by position limit $4
			)
			select ` + messageColumns + ` from messages where recipient = $1 and position in (` + fits + `) order by position`
	)
	return i.query(ctx, sql, user, frame, MostBytes-frame, page, position)
}

func (i *Inbox) query(ctx context.Context, sql string, args ...any) ([]Message, error) {
	rows, err := i.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	found, err := pgx.AppendRows([]Message{}, rows, func(row pgx.CollectableRow) (m Message, err error) {
		var created, updated time.Time
		err = row.Scan(&m.ID, &m.From, &m.To, &m.Data, &m.Fetched, &created, &updated, &m.Position)
		m.CreatedAt, m.UpdatedAt = Time(created), Time(updated)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return found, nil
}
