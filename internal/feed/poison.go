package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"foof/events"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is a pool, a connection or a transaction.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Poison is the poison queue: a table of the events that a reactor has given up, with why and since when. Reactors go on without
// them. An operator asks for them to be handled again, or discards them; whoever has the reactor's claim looks every two
// seconds for what was asked for.
type Poison struct {
	DB DB
}

// Poisoned is an event that a reactor has given up.
type Poisoned struct {
	Position events.Position `json:"position"`
	Type     string          `json:"type"`
	Error    string          `json:"error"`    // of the last try
	Attempts int             `json:"attempts"` // tries so far, in all
	FailedAt time.Time       `json:"failed_at"`
	Asked    *time.Time      `json:"replay_requested_at"` // when an operator asked for it to be handled again; nil: not since it failed
}

// maxError is how much of an error is kept.
const maxError = 500

// add puts an event in. One that is there already has failed again.
func (p *Poison) add(ctx context.Context, reader, position, kind, reason string, attempts int) error {
	const sql = `
		insert into poisoned_events as p (reader, position, type, error, attempts) values ($1, $2::text::bigint, $3, left($4, $6), $5)
		on conflict (reader, position) do update set
			error = excluded.error, attempts = p.attempts + excluded.attempts, failed_at = now(), replay_requested_at = null`
	if _, err := p.DB.Exec(ctx, sql, reader, position, kind, reason, attempts, maxError); err != nil {
		return fmt.Errorf("poison event %s of %s: %w", position, reader, err)
	}
	return nil
}

const poisonColumns = `position, type, error, attempts, failed_at, replay_requested_at`

func scanPoisoned(row pgx.CollectableRow) (p Poisoned, err error) {
	err = row.Scan(&p.Position, &p.Type, &p.Error, &p.Attempts, &p.FailedAt, &p.Asked)
	return p, err
}

// List gives what a reader has given up, in the order of the log.
func (p *Poison) List(ctx context.Context, reader string) ([]Poisoned, error) {
	const sql = `select ` + poisonColumns + ` from poisoned_events where reader = $1 order by position`
	rows, err := p.DB.Query(ctx, sql, reader)
	if err != nil {
		return nil, fmt.Errorf("list what %s gave up: %w", reader, err)
	}
	list, err := pgx.CollectRows(rows, scanPoisoned)
	if err != nil {
		return nil, fmt.Errorf("list what %s gave up: %w", reader, err)
	}
	return list, nil
}

// Replay asks for these events to be handled again, or for all that the reader has given up if none is named, and says which
// they are. What succeeds then is no longer poisoned; what fails again stays, its attempts added up.
func (p *Poison) Replay(ctx context.Context, reader string, positions ...events.Position) ([]events.Position, error) {
	const sql = `
		update poisoned_events set replay_requested_at = now()
		where reader = $1 and (cardinality($2::bigint[]) = 0 or position = any($2)) returning position`
	return p.change(ctx, sql, reader, positions)
}

// Discard forgets these events, or all that the reader has given up if none is named, and says which they were.
func (p *Poison) Discard(ctx context.Context, reader string, positions ...events.Position) ([]events.Position, error) {
	const sql = `
		delete from poisoned_events
		where reader = $1 and (cardinality($2::bigint[]) = 0 or position = any($2)) returning position`
	return p.change(ctx, sql, reader, positions)
}

func (p *Poison) change(ctx context.Context, sql, reader string, positions []events.Position) ([]events.Position, error) {
	rows, err := p.DB.Query(ctx, sql, reader, append([]events.Position{}, positions...)) // not null
	if err != nil {
		return nil, fmt.Errorf("what %s gave up: %w", reader, err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[events.Position])
	if err != nil {
		return nil, fmt.Errorf("what %s gave up: %w", reader, err)
	}
	return changed, nil
}

// asked gives the first event after some position that somebody wants handled again. It is pgx.ErrNoRows if there is none.
func (p *Poison) asked(ctx context.Context, reader string, after events.Position) (Poisoned, error) {
	const sql = `
		select ` + poisonColumns + ` from poisoned_events
		where reader = $1 and position > $2 and replay_requested_at is not null order by position limit 1`
	rows, err := p.DB.Query(ctx, sql, reader, after)
	if err != nil {
		return Poisoned{}, fmt.Errorf("look for replays: %w", err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanPoisoned)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Poisoned{}, fmt.Errorf("look for replays: %w", err)
	}
	return found, err
}

// settle forgets an event that was handled again, unless it failed again: then it has more attempts.
func (p *Poison) settle(ctx context.Context, reader string, was Poisoned) error {
	const sql = `delete from poisoned_events where reader = $1 and position = $2 and attempts = $3`
	if _, err := p.DB.Exec(ctx, sql, reader, was.Position, was.Attempts); err != nil {
		return fmt.Errorf("settle a replay: %w", err)
	}
	return nil
}
