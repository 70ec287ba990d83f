package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"foof/events"
	"foof/events/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Log is what projections need of the log.
type Log interface {
	Claim(ctx context.Context, reader string) (*store.Claim, error)
	Follow(ctx context.Context, claim *store.Claim, limit int) iter.Seq2[[]events.Recorded, error]
}

// A Runner keeps one read model up to date. Of all the runners of a projector, in whichever process, one owns the read
// model at a time, and the others stand by.
type Runner struct {
	Projector Projector
	Log       Log
	Codec     *events.Codec
	Progress  *Progress
	Logger    *slog.Logger
	// Trace, unless it is nil, is called when a page is taken up, and what it returns when that is done. The page is projected
	// under the context that it returns.
	Trace func(ctx context.Context, projector string, page []events.Recorded) (context.Context, func(error))
}

const (
	pageSize  = 1000
	pauseLeft = 50 * time.Millisecond
	pauseMost = 5 * time.Second
)

// Run projects until ctx ends. An event that cannot be projected parks its stream, and the others go on; anything else that
// goes wrong is logged and tried again, more slowly each time. The writing side notices neither.
func (r *Runner) Run(ctx context.Context) error {
	logger := r.Logger.With(slog.String("projector", r.Projector.Name))
	for pause := pauseLeft; ; {
		began := time.Now()
		err := r.own(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // that is how it ends
		}
		if time.Since(began) > pauseMost {
			pause = pauseLeft
		}
		if err != nil {
			logger.ErrorContext(ctx, "projection interrupted", slog.Any("error", err), slog.Duration("again_in", pause))
		}
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, pauseMost)
	}
}

// own waits until it is this runner's turn, and then follows the log.
func (r *Runner) own(ctx context.Context) error {
	claim, err := r.Log.Claim(ctx, r.Projector.Name)
	if err != nil {
		return err
	}
	defer claim.Release(ctx)
	r.Progress.own(r.Projector.Name, claim.Position)
	defer r.Progress.disown(r.Projector.Name)
	for page, err := range r.Log.Follow(ctx, claim, pageSize) {
		if err != nil {
			return err
		}
		if err := r.traced(ctx, claim, page); err != nil {
			return err
		}
		r.Progress.advance(r.Projector.Name, claim.Position)
	}
	return nil
}

func (r *Runner) traced(ctx context.Context, claim *store.Claim, page []events.Recorded) (err error) {
	if r.Trace != nil {
		var done func(error)
		ctx, done = r.Trace(ctx, r.Projector.Name, page)
		defer func() { done(err) }()
	}
	return r.take(ctx, claim, page)
}

// take projects a page. If something in it is at fault, it goes through it event by event and parks what that is.
func (r *Runner) take(ctx context.Context, claim *store.Claim, page []events.Recorded) error {
	err := r.project(ctx, claim, page)
	if !atFault(err) {
		return err
	}
	for i := range page {
		err := r.project(ctx, claim, page[i:i+1])
		if atFault(err) {
			err = r.park(ctx, claim, page[i], err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) project(ctx context.Context, claim *store.Claim, page []events.Recorded) error {
	return claim.Advance(ctx, page[len(page)-1].Position, func(tx pgx.Tx) error {
		going, err := r.unparked(ctx, tx, page)
		if err != nil {
			return err
		}
		if err := r.Codec.Decode(ctx, going); err != nil {
			return err
		}
		return r.Projector.Project(ctx, tx, going)
	})
}

// park leaves an event and all later ones of its stream out, until somebody has seen to it.
func (r *Runner) park(ctx context.Context, claim *store.Claim, event events.Recorded, why error) error {
	r.Logger.ErrorContext(ctx, "stream parked", slog.String("projector", r.Projector.Name),
		slog.String("stream", event.Stream), slog.Int64("position", int64(event.Position)), slog.Any("error", why))
	const sql = `insert into parked_streams (reader, stream, position, error) values ($1, $2, $3, $4)`
	return claim.Advance(ctx, event.Position, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, r.Projector.Name, event.Stream, event.Position, why.Error())
		return err
	})
}

// unparked is the page without the streams that are parked.
func (r *Runner) unparked(ctx context.Context, tx pgx.Tx, page []events.Recorded) ([]events.Recorded, error) {
	const sql = `select stream from parked_streams where reader = $1`
	rows, err := tx.Query(ctx, sql, r.Projector.Name)
	if err != nil {
		return nil, fmt.Errorf("parked streams: %w", err)
	}
	parked, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("parked streams: %w", err)
	}
	if len(parked) == 0 {
		return page, nil
	}
	left := make(map[string]bool, len(parked))
	for _, stream := range parked {
		left[stream] = true
	}
	going := make([]events.Recorded, 0, len(page))
	for _, e := range page {
		if !left[e.Stream] {
			going = append(going, e)
		}
	}
	return going, nil
}

// atFault tells whether an event is to blame, which trying again would not change: it cannot be decoded, or its rows break a
// rule of the schema.
func atFault(err error) bool {
	var (
		undecodable *events.DecodeError
		refusal     *pgconn.PgError
	)
	if errors.As(err, &undecodable) {
		return true
	}
	return errors.As(err, &refusal) && (refusal.Code[:2] == "22" || refusal.Code[:2] == "23")
}

// sleep waits, and reports whether ctx is still going.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
