// Package store is the log: an append-only, totally ordered sequence of events in PostgreSQL.
//
// Positions are gapless and in the order of commits, because every append advances one counter row and keeps it locked
// until it commits (as the commanded event store for Elixir does). That allows one commit at a time, and is paid for by
// group commit: each process has one writer that takes all appends that wait and makes them durable in one call. A reader
// that has seen position n has seen everything up to n, for good.
package store

import (
	"context"
	"fmt"
	"time"

	"foof/events"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// Log is one process's access to the log. Its methods may be used concurrently; Append and Subscribe wait for ever unless
// Run is running.
type Log struct {
	Observer Observer // set before Run

	pool  *pgxpool.Pool
	queue chan *pending
	tail  *tail

	closed chan struct{} // closed when the writer has ended
}

// Open makes a Log over a migrated database. It does not use the database yet.
func Open(pool *pgxpool.Pool) *Log {
	return &Log{pool: pool, queue: make(chan *pending), tail: newTail(), closed: make(chan struct{})}
}

// Run appends what is handed to Append and looks out for what other processes append, until ctx ends. Appends that it has
// taken by then are made durable and answered before it returns; later ones are refused with ErrClosed.
func (l *Log) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.write(ctx) })
	g.Go(func() error { return l.watch(ctx) })
	return g.Wait()
}

// An Append is what one command adds to the log, all or nothing, in one or several streams.
type Append struct {
	// Command identifies the command. When it was appended before, nothing is added and the first receipt is the answer.
	Command uuid.UUID
	// Expect is the version that each stream must be at, 0 for one that must not exist. Every stream that gets an event
	// must be in it.
	Expect map[string]events.Version
	Events []events.Encoded
	Meta   events.Metadata
}

// A Receipt says where an append ended: the position of its last event, and that event's version in its stream.
type Receipt struct {
	Position events.Position
	Version  events.Version
	Repeated bool // the command was in the log already
}

// Head is the position of the newest event, 0 in an empty log.
func (l *Log) Head(ctx context.Context) (events.Position, error) {
	var head events.Position
	if err := l.pool.QueryRow(ctx, `select position from log_head`).Scan(&head); err != nil {
		return 0, fmt.Errorf("read the head of the log: %w", err)
	}
	return head, nil
}

// NextUser draws a number for a new user. Numbers count up; one whose user is not registered in the end is lost.
func (l *Log) NextUser(ctx context.Context) (events.UserID, error) {
	return draw[events.UserID](ctx, l.pool, `select nextval('user_ids')`)
}

// NextItem draws a number for a new item, likewise.
func (l *Log) NextItem(ctx context.Context) (events.ItemID, error) {
	return draw[events.ItemID](ctx, l.pool, `select nextval('item_ids')`)
}

// NextMessage draws a number for a new message, likewise.
func (l *Log) NextMessage(ctx context.Context) (events.MessageID, error) {
	return draw[events.MessageID](ctx, l.pool, `select nextval('message_ids')`)
}

// NextFavorites draws n numbers for new favorites, in ascending order, likewise.
func (l *Log) NextFavorites(ctx context.Context, n int) ([]events.FavoriteID, error) {
	rows, err := l.pool.Query(ctx, `select nextval('favorite_ids') from generate_series(1, $1)`, n)
	if err != nil {
		return nil, fmt.Errorf("draw numbers: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[events.FavoriteID])
	if err != nil {
		return nil, fmt.Errorf("draw numbers: %w", err)
	}
	return ids, nil
}

func draw[ID ~int64](ctx context.Context, pool *pgxpool.Pool, sql string) (ID, error) {
	var id ID
	if err := pool.QueryRow(ctx, sql).Scan(&id); err != nil {
		return 0, fmt.Errorf("draw a number: %w", err)
	}
	return id, nil
}

// The watch: how long it waits between two looks at the head when something was found, and at most.
const (
	watchSoon = 2 * time.Millisecond
	watchLate = 20 * time.Millisecond
)

// watch tells the tail of events that other processes appended. While something happens it looks often, else less so. A
// database that is away is waited for.
func (l *Log) watch(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := watchSoon; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		head, err := l.look(ctx)
		if err == nil && l.tail.confirm(head, began) {
			pause = watchSoon
		} else {
			pause = min(2*pause, watchLate)
		}
		timer.Reset(pause)
	}
}

// Looked is where the log ended when this process last looked, and when that was: while Run runs and the database is there,
// within the last tens of milliseconds. What others appended since is not known here yet.
func (l *Log) Looked() (events.Position, time.Time) {
	l.tail.mu.Lock()
	defer l.tail.mu.Unlock()
	return l.tail.end, l.tail.looked
}

// look is Head, and does not wait longer for a connection that is dead than the writer does.
func (l *Log) look(ctx context.Context) (events.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	return l.Head(ctx)
}
