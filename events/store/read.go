package store

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"foof/events"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const eventColumns = `position, stream, version, type, schema_version, data, meta, recorded_at`

// Load reads these streams whole, in the order of the log. A stream that does not exist has no events.
func (l *Log) Load(ctx context.Context, streams ...string) ([]events.Recorded, error) {
	const sql = `select ` + eventColumns + ` from events where stream = any($1) order by position`
	page, err := l.read(ctx, nil, sql, streams)
	if err != nil {
		return nil, fmt.Errorf("load %v: %w", streams, err)
	}
	return page, nil
}

// Missing tells which of these streams do not exist. A stream that exists never ceases to.
func (l *Log) Missing(ctx context.Context, streams ...string) ([]string, error) {
	const sql = `
		select asked from unnest($1::text[]) asked
		where not exists (select from events where stream = asked and version = 1)`
	rows, err := l.pool.Query(ctx, sql, streams)
	if err != nil {
		return nil, fmt.Errorf("look for streams: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for streams: %w", err)
	}
	return missing, nil
}

// Appended reads what a command appended, and nothing if it did not.
func (l *Log) Appended(ctx context.Context, command uuid.UUID) ([]events.Recorded, error) {
	const (
		last = `select ` + eventColumns + ` from events where command = $1`
		// An append's events stand next to each other, so that the way back ends at the first one of another command.
		before = `
			select ` + eventColumns + ` from events
			where position between $2 and $1 and meta ->> 'command' = $3 order by position`
		step = 1000
	)
	page, err := l.read(ctx, nil, last, command)
	for err == nil && len(page) > 0 {
		var earlier []events.Recorded
		to := page[0].Position - 1
		earlier, err = l.read(ctx, nil, before, to, to-step+1, command.String())
		page = slices.Concat(earlier, page)
		if len(earlier) < step {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read what command %s appended: %w", command, err)
	}
	return page, nil
}

// ReadAfter reads the events that follow position, in order, at most limit. A page that is not full ends at the head of
// the log as it was then.
func (l *Log) ReadAfter(ctx context.Context, position events.Position, limit int) ([]events.Recorded, error) {
	const sql = `select ` + eventColumns + ` from events where position > $1 order by position limit $2`
	page, err := l.read(ctx, make([]events.Recorded, 0, min(limit, 1024)), sql, position, limit)
	if err != nil {
		return nil, fmt.Errorf("read after %d: %w", position, err)
	}
	return page, nil
}

// Subscribe yields every event after position, once and in order, in pages of at most limit: those that are in the log
// already, then each as it is appended, for as long as the consumer goes on. In the process that appends, new events come
// from memory; those of other processes within 50 ms. It holds no connection between pages. An error is yielded once and
// ends the sequence, also that of ctx; to go on, subscribe again after the last event seen.
func (l *Log) Subscribe(ctx context.Context, position events.Position, limit int) iter.Seq2[[]events.Recorded, error] {
	return func(yield func([]events.Recorded, error) bool) {
		f := follower{log: l, limit: limit}
		defer f.stop()
		for {
			page, err := f.next(ctx, position, nil)
			if !yield(page, err) || err != nil {
				return
			}
			position = page[len(page)-1].Position
		}
	}
}

// follower gives one subscription its pages. While its consumer is busy with a page from the database, it reads the next one.
type follower struct {
	log   *Log
	limit int
	ahead chan readPage // a page that is being read; nil if none is
	quit  context.CancelFunc
}

type readPage struct {
	after events.Position
	page  []events.Recorded
	err   error
}

// next waits for what follows position. It gives up with nothing when idle fires.
func (f *follower) next(ctx context.Context, position events.Position, idle <-chan time.Time) ([]events.Recorded, error) {
	if f.ahead != nil {
		read := <-f.ahead
		f.ahead = nil
		f.stop()
		if read.after == position && read.err == nil && len(read.page) > 0 {
			return f.andAhead(ctx, read.page), nil
		}
	}
	for ctx.Err() == nil {
		page, wait := f.log.tail.after(position, f.limit)
		if wait != nil {
			select {
			case <-wait:
			case <-idle:
				return nil, nil
			case <-ctx.Done():
			}
			continue
		}
		if page != nil {
			return page, nil
		}
		page, err := f.log.ReadAfter(ctx, position, f.limit)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return nil, fmt.Errorf("follow the log after %d: events that were there are gone", position)
		}
		return f.andAhead(ctx, page), nil
	}
	return nil, fmt.Errorf("follow the log after %d: %w", position, ctx.Err())
}

// andAhead begins to read what follows a page, if there is likely more of it.
func (f *follower) andAhead(ctx context.Context, page []events.Recorded) []events.Recorded {
	if len(page) == f.limit {
		after := page[len(page)-1].Position
		ahead := make(chan readPage, 1)
		f.ahead = ahead
		ctx, f.quit = context.WithCancel(ctx)
		go func() {
			next, err := f.log.ReadAfter(ctx, after, f.limit)
			ahead <- readPage{after, next, err}
		}()
	}
	return page
}

// stop ends reading ahead, and returns when it has ended.
func (f *follower) stop() {
	if f.quit != nil {
		f.quit()
		f.quit = nil
	}
	if f.ahead != nil {
		<-f.ahead
		f.ahead = nil
	}
}

func (l *Log) read(ctx context.Context, page []events.Recorded, sql string, args ...any) ([]events.Recorded, error) {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var (
		r                 events.Recorded
		position, version int64 // pgx scans its own types faster
	)
	_, err = pgx.ForEachRow(rows,
		[]any{&position, &r.Stream, &version, &r.Type, &r.Schema, &r.Data, &r.Meta, &r.At},
		func() error {
			r.Position, r.Version, r.At = events.Position(position), events.Version(version), r.At.UTC()
			page = append(page, r)
			r.Data, r.Meta = nil, nil
			return nil
		})
	return page, err
}
