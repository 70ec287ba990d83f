package bench

import (
	"context"
	"fmt"
	"time"

	"foof/events"
	"foof/events/store"

	"github.com/jackc/pgx/v5"
)

// replayPage is how many events a projector gets at a time.
const replayPage = 1000

// replays measures how fast a log is read from its beginning, in as many rounds, every other one backwards.
func replays(ctx context.Context, o LogOptions, at *place, s *samples, progress func(string)) ([]Replay, error) {
	progress(fmt.Sprintf("making a log of %d events", o.Events))
	if err := at.fill(ctx, s, o.Events); err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	decode := func(page []events.Recorded) error { return s.codec.Decode(ctx, page) }
	keep := func([]events.Recorded) error { return nil }
	subjects := []struct {
		kind Kind
		read func(context.Context) (int, error)
	}{
		{LogReplay, func(ctx context.Context) (int, error) { return subscribed(ctx, at, o.Events, decode) }},
		{BareSelect, func(ctx context.Context) (int, error) { return selected(ctx, at, decode) }},
		{LogReplayRaw, func(ctx context.Context) (int, error) { return subscribed(ctx, at, o.Events, keep) }},
		{BareSelectRaw, func(ctx context.Context) (int, error) { return selected(ctx, at, keep) }},
	}
	rates := make([][]float64, len(subjects))
	for round := range o.Rounds {
		for k := range subjects {
			if round%2 == 1 {
				k = len(subjects) - 1 - k
			}
			one := subjects[k]
			progress(fmt.Sprintf("round %d of %d: %s", round+1, o.Rounds, one.kind))
			begin := time.Now()
			n, err := one.read(ctx)
			if err == nil && n != o.Events {
				err = fmt.Errorf("%d events were read, and %d are there", n, o.Events)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", one.kind, err)
			}
			rates[k] = append(rates[k], float64(n)/time.Since(begin).Seconds())
		}
	}
	table := make([]Replay, len(subjects))
	for k, one := range subjects {
		table[k] = Replay{Kind: one.kind, PerSecond: spreadOf(rates[k])}
	}
	return table, nil
}

// fill copies events into the empty log and settles it, as if it had been there for long.
func (at *place) fill(ctx context.Context, s *samples, n int) error {
	next := newItems(s, 0, 1)
	err := pgx.BeginFunc(ctx, at.owner, func(tx pgx.Tx) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"events"}, copyColumns,
			pgx.CopyFromSlice(n, func(int) ([]any, error) { return copyRow(next) }))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update log_head set position = $1, recorded_at = clock_timestamp()`, n)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := at.owner.Exec(ctx, `vacuum (analyze) events`); err != nil {
		return err
	}
	return at.checkpoint(ctx)
}

// subscribed reads the log as a projector does.
func subscribed(ctx context.Context, at *place, n int, take func([]events.Recorded) error) (int, error) {
	read := 0
	err := withLog(ctx, at, func(ctx context.Context, log *store.Log) error {
		for page, err := range log.Subscribe(ctx, 0, replayPage) {
			if err != nil {
				return err
			}
			if err := take(page); err != nil {
				return err
			}
			if read += len(page); read >= n {
				break
			}
		}
		return nil
	})
	return read, err
}

// selected reads the same with one statement, row by row, and hands it on in pages of the same size.
func selected(ctx context.Context, at *place, take func([]events.Recorded) error) (int, error) {
	const sql = `
		select position, stream, version, type, schema_version, data, meta, recorded_at from events order by position`
	rows, err := at.pool.Query(ctx, sql)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var (
		read int
		page = make([]events.Recorded, 0, replayPage)
	)
	for rows.Next() { //nolint:forbidigo // as bare as can be
		var (
			r                 events.Recorded
			position, version int64
		)
		if err := rows.Scan(&position, &r.Stream, &version, &r.Type, &r.Schema, &r.Data, &r.Meta, &r.At); err != nil {
			return read, err
		}
		r.Position, r.Version = events.Position(position), events.Version(version)
		if page = append(page, r); len(page) == replayPage {
			if err := take(page); err != nil {
				return read, err
			}
			read, page = read+len(page), page[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return read, err
	}
	return read + len(page), take(page)
}
