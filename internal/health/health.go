// Package health knows whether the service can do its work: how its database is, and how far the readers of the log have come.
package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"foof/events"
	"foof/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Watch looks at the database on behalf of all who ask how things are. It is safe for concurrent use.
type Watch struct {
	Pool       *pgxpool.Pool
	Projectors []string // the names under which they read the log
	Reactors   []string

	mu   sync.Mutex
	last State
	at   time.Time
}

const (
	lookFor = 2 * time.Second // how long a look at the database may take
	freshen = time.Second     // how old a look may be that is used again
)

// State is how things were at one moment.
type State struct {
	Err        error // the database could not be asked: nothing below is known
	Schema     int32 // the number of its newest migration
	Head       events.Position
	Projectors []Reader
	Reactors   []Reader
}

// Reader is how far a reader of the log has come.
type Reader struct {
	Name   string
	Behind int64         // events that it has not done yet; negative if the log ends before what it has done
	Age    time.Duration // since the oldest of them was recorded
	Parked int64         // streams that it passes over
}

// Look says how things are, or were within the last second: however many ask, the database is asked once. It takes 2 s at
// most, for those who wait as for the one who looks.
func (w *Watch) Look(ctx context.Context) State {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.IsZero() || time.Since(w.at) > freshen {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookFor) // others may want what one no longer waits for
		defer cancel()
		w.last = State{}
		w.last.Err = w.look(ctx, &w.last)
		w.at = time.Now()
	}
	return w.last
}

func (w *Watch) look(ctx context.Context, s *State) error {
	return pgx.BeginTxFunc(ctx, w.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var err error
		if s.Head, s.Projectors, err = w.readers(ctx, tx, w.Projectors); err != nil {
			return err
		}
		if s.Head, s.Reactors, err = w.readers(ctx, tx, w.Reactors); err != nil {
			return err
		}
		s.Schema, err = migrations.Current(ctx, tx)
		return err
	})
}

func (w *Watch) readers(ctx context.Context, tx pgx.Tx, names []string) (head events.Position, readers []Reader, err error) {
	const sql = `
		select h.position, r.name, h.position - coalesce(c.position, 0),
		       greatest(0, coalesce((
		           select extract(epoch from clock_timestamp() - e.recorded_at) from events e where e.position = coalesce(c.position, 0) + 1
		       ), 0))::float8,
		       (select count(*) from parked_streams p where p.reader = r.name)
		from log_head h cross join unnest($1::text[]) with ordinality as r (name, place) left join checkpoints c on c.reader = r.name
		order by r.place`
	rows, err := tx.Query(ctx, sql, names)
	if err != nil {
		return 0, nil, fmt.Errorf("look at the readers: %w", err)
	}
	var (
		r       Reader
		seconds float64
	)
	_, err = pgx.ForEachRow(rows, []any{&head, &r.Name, &r.Behind, &seconds, &r.Parked}, func() error {
		r.Age = time.Duration(seconds * float64(time.Second))
		readers = append(readers, r)
		return nil
	})
	if err != nil {
		return 0, nil, fmt.Errorf("look at the readers: %w", err)
	}
	return head, readers, nil
}
