package store

import (
	"context"
	"fmt"
	"iter"
	"time"

	"foof/events"

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
		for {
			page, err := l.next(ctx, position, limit, nil)
			if !yield(page, err) || err != nil {
				return
			}
			position = page[len(page)-1].Position
		}
	}
}

// next waits for what follows position. It gives up with nothing when idle fires.
func (l *Log) next(ctx context.Context, position events.Position, limit int, idle <-chan time.Time) ([]events.Recorded, error) {
	for ctx.Err() == nil {
		page, wait := l.tail.after(position, limit)
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
		page, err := l.ReadAfter(ctx, position, limit)
		if err == nil && len(page) == 0 {
			err = fmt.Errorf("follow the log after %d: events that were there are gone", position)
		}
		return page, err
	}
	return nil, fmt.Errorf("follow the log after %d: %w", position, ctx.Err())
}

func (l *Log) read(ctx context.Context, page []events.Recorded, sql string, args ...any) ([]events.Recorded, error) {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var r events.Recorded
	_, err = pgx.ForEachRow(rows,
		[]any{&r.Position, &r.Stream, &r.Version, &r.Type, &r.Schema, &r.Data, &r.Meta, &r.At},
		func() error {
			r.At = r.At.UTC()
			page = append(page, r)
			r.Data, r.Meta = nil, nil
			return nil
		})
	return page, err
}
