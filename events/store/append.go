package store

import (
	"context"
	"errors"
	"fmt"

	"foof/events"

	"github.com/google/uuid"
)

// ErrClosed refuses an append because Run has ended. Nothing was appended.
var ErrClosed = errors.New("the log is closed")

// ErrUnavailable refuses an append because the database is away. Nothing was appended.
var ErrUnavailable = errors.New("the log's database is not available")

// ErrInDoubt means that an append may or may not have been made durable: the answer got lost, or the caller did not wait
// for it. The same Append again, with the same command id, is safe, and finds out.
var ErrInDoubt = errors.New("the append may or may not be in the log")

// ConflictError refuses an append because a stream is not at the version that it expected. Nothing was appended.
type ConflictError struct {
	Stream           string
	Expected, Actual events.Version
}

func (c *ConflictError) Error() string {
	return fmt.Sprintf("%s is at version %d, not %d", c.Stream, c.Actual, c.Expected)
}

// pending is an append on its way through the writer. All that can be worked out about it is, before it gets there.
type pending struct {
	Append

	versions []events.Version // of the events, if the expectations hold
	meta     []byte
	bytes    int
	done     chan outcome // room for one
}

type outcome struct {
	receipt Receipt
	err     error
}

// Append makes what a command did durable, all of it or nothing. Once it returns a receipt, the events are on disk and
// readers can see them. Errors: *ConflictError, ErrClosed, ErrUnavailable and ErrInDoubt; any other means that the append itself
// is wrong. When ctx ends while the writer has the append, the outcome is in doubt.
func (l *Log) Append(ctx context.Context, a Append) (Receipt, error) {
	p, err := newPending(a)
	if err != nil {
		return Receipt{}, err
	}
	if ctx.Err() != nil {
		return Receipt{}, fmt.Errorf("append: %w", ctx.Err())
	}
	select {
	case l.queue <- p:
	case <-l.closed:
		return Receipt{}, ErrClosed
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("append: %w", ctx.Err())
	}
	select {
	case o := <-p.done:
		return o.receipt, o.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("%w: %w", ErrInDoubt, ctx.Err())
	}
}

func newPending(a Append) (*pending, error) {
	if len(a.Events) == 0 {
		return nil, errors.New("append: no events")
	}
	if a.Command == uuid.Nil {
		return nil, errors.New("append: no command id")
	}
	meta, err := events.EncodeMetadata(a.Meta)
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	p := &pending{Append: a, versions: make([]events.Version, len(a.Events)), meta: meta, done: make(chan outcome, 1)}
	added := make(map[string]events.Version, len(a.Expect))
	for i, e := range a.Events {
		expected, ok := a.Expect[e.Stream]
		if !ok {
			return nil, fmt.Errorf("append: no version is expected of %s", e.Stream)
		}
		added[e.Stream]++
		p.versions[i] = expected + added[e.Stream]
		p.bytes += len(e.Data) + len(meta)
	}
	return p, nil
}

func (p *pending) answer(r Receipt, err error) { p.done <- outcome{r, err} }
