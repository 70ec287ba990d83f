package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// subscriptions are what is common to those who subscribe to events of some types: that they begin, go on when something went
// wrong, and end.
type subscriptions struct {
	types  map[string]bool
	logger *slog.Logger

	mu      sync.Mutex      // held where a subscription begins and where closing does, so that one comes first
	closing context.Context //nolint:containedctx // Watermill's contract: Close ends all subscriptions
	close   context.CancelFunc
	running sync.WaitGroup
}

func newSubscriptions(logger *slog.Logger, types []string) *subscriptions {
	s := &subscriptions{types: map[string]bool{}, logger: logger}
	for _, t := range types {
		s.types[t] = true
	}
	s.closing, s.close = context.WithCancel(context.Background())
	return s
}

const (
	pageSize = 500
	pause    = time.Second // before what went wrong is tried again
)

// begin runs follow, again and again, until ctx ends or Close is called.
func (s *subscriptions) begin(
	ctx context.Context, reader string, follow func(ctx context.Context, messages chan<- *message.Message) error,
) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return nil, errors.New("feed: the subscriber is closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel) //nolint:contextcheck // it ends with either of the two
	messages := make(chan *message.Message)
	s.running.Go(func() {
		defer cancel()
		defer stop()
		defer close(messages)
		for ctx.Err() == nil {
			if err := follow(ctx, messages); err != nil && ctx.Err() == nil {
				s.logger.ErrorContext(ctx, "feed interrupted",
					slog.String("reader", reader), slog.Any("error", err), slog.Duration("again_in", pause))
				wait(ctx, pause)
			}
		}
	})
	return messages, nil
}

// Close implements message.Subscriber: it ends all subscriptions and returns when they have ended. It may be repeated.
func (s *subscriptions) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}
