package feed

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"

	"foof/events"

	"github.com/ThreeDotsLabs/watermill/message"
)

// LogEnd is what a Broadcast needs of the log.
type LogEnd interface {
	Head(ctx context.Context) (events.Position, error)
	Subscribe(ctx context.Context, position events.Position, limit int) iter.Seq2[[]events.Recorded, error]
}

// Broadcast is a message.Subscriber that gives every process all events of some types which are appended from now on, in the
// order of the log, one at a time. It remembers nothing between runs, and what went wrong does not keep it from going on: it
// is for those who are there to hear it. It is safe for concurrent use.
type Broadcast struct {
	log    LogEnd
	types  map[string]bool
	logger *slog.Logger

	mu      sync.Mutex
	closing context.Context //nolint:containedctx // Watermill's contract: Close ends all subscriptions
	close   context.CancelFunc
	running sync.WaitGroup
}

// NewBroadcast makes a subscriber to the events of these types.
func NewBroadcast(log LogEnd, logger *slog.Logger, types ...string) *Broadcast {
	b := &Broadcast{log: log, types: map[string]bool{}, logger: logger}
	for _, t := range types {
		b.types[t] = true
	}
	b.closing, b.close = context.WithCancel(context.Background())
	return b
}

// Subscribe implements message.Subscriber. The topic has no meaning. The channel is closed when ctx ends or the subscriber is
// closed.
func (b *Broadcast) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Err() != nil {
		return nil, errors.New("feed: the subscriber is closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.closing, cancel) //nolint:contextcheck // it ends with either of the two
	messages := make(chan *message.Message)
	b.running.Go(func() {
		defer cancel()
		defer stop()
		defer close(messages)
		position := events.Position(-1) // where it begins is not known yet
		for ctx.Err() == nil {
			var err error
			if position, err = b.follow(ctx, position, messages); err != nil && ctx.Err() == nil {
				b.logger.ErrorContext(ctx, "broadcast interrupted", slog.Any("error", err), slog.Duration("again_in", pause))
				wait(ctx, pause)
			}
		}
	})
	return messages, nil
}

// Close implements message.Subscriber: it ends all subscriptions and returns when they have ended. It may be repeated.
func (b *Broadcast) Close() error {
	b.mu.Lock()
	b.close()
	b.mu.Unlock()
	b.running.Wait()
	return nil
}

// follow hands on what comes after position, or after the head as it is now. It returns how far it came.
func (b *Broadcast) follow(ctx context.Context, position events.Position, messages chan<- *message.Message) (events.Position, error) {
	if position < 0 {
		head, err := b.log.Head(ctx)
		if err != nil {
			return position, err
		}
		position = head
	}
	for page, err := range b.log.Subscribe(ctx, position, pageSize) {
		if err != nil {
			return position, err
		}
		for i := range page {
			if b.types[page[i].Type] {
				offer(ctx, b.logger, &page[i], messages)
			}
			position = page[i].Position
		}
	}
	return position, ctx.Err()
}
