package feed

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// Router runs reactors: what happens outside because of what is in the log. It is Watermill's, over the log.
type Router struct {
	Observer Observer // set before Add

	log    Log
	logger *slog.Logger
	router *message.Router

	readers []string
}

// NewRouter makes a router that, when it ends, gives reactors closeTimeout to finish what they are at.
func NewRouter(log Log, logger *slog.Logger, closeTimeout time.Duration) (*Router, error) {
	quiet := map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug}
	theirs := watermill.NewSlogLoggerWithLevelMapping(logger, quiet)
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, theirs)
	if err != nil {
		return nil, fmt.Errorf("reactors: %w", err)
	}
	retry := middleware.Retry{
		MaxRetries: 5, InitialInterval: 200 * time.Millisecond, Multiplier: 2, MaxInterval: 5 * time.Second, Logger: theirs,
	}
	r := &Router{log: log, logger: logger, router: router}
	router.AddMiddleware(middleware.CorrelationID, r.givingUp, retry.Middleware, middleware.Recoverer)
	return r, nil
}

// Add lets a reactor, known by the name under which it reads the log, handle the events of these types: each at least once,
// in the order of the log. What it cannot handle it returns an error for, and is given again, more and more slowly.
func (r *Router) Add(reader string, types []string, handle func(msg *message.Message) error) {
	r.readers = append(r.readers, reader)
	r.router.AddConsumerHandler(reader, reader, NewSubscriber(r.log, r.logger, types...), r.observed(reader, handle))
}

// Readers are the names of the reactors that were added.
func (r *Router) Readers() []string { return slices.Clone(r.readers) }

// Run runs the reactors until ctx ends, and returns when they have ended.
func (r *Router) Run(ctx context.Context) error {
	if err := r.router.Run(ctx); err != nil {
		return fmt.Errorf("reactors: %w", err)
	}
	return nil
}
