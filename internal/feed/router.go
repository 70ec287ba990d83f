package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strconv"
	"time"

	"foof/events"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// ErrPermanent is in the error of a reactor that knows that no further try will do better: its event is poisoned at once.
var ErrPermanent = errors.New("trying again is of no use")

// Retries say how long a reactor tries to handle an event before that is poisoned: so long later events wait for it at most.
type Retries struct {
	First   time.Duration // the pause after the first try; each later one is twice as long, but for up to a half that chance adds or takes
	Longest time.Duration // what pauses grow to
	Total   time.Duration // after which no other try begins
	Try     time.Duration // how long one try may take
}

// DefaultRetries give an event up after about a minute.
func DefaultRetries() Retries {
	return Retries{First: 500 * time.Millisecond, Longest: 15 * time.Second, Total: time.Minute, Try: 20 * time.Second}
}

// Options say how a router behaves.
type Options struct {
	Logger       *slog.Logger
	Retries      Retries       // zero: the default ones
	CloseTimeout time.Duration // for reactors to finish what they are at when the router ends
	Observer     Observer
}

// Router runs reactors: what happens outside because of what is in the log. It is Watermill's, over the log.
type Router struct {
	log     Log
	poison  *Poison
	options Options
	router  *message.Router
	readers []string
}

// NewRouter makes a router over the log that puts what reactors give up into a poison queue.
func NewRouter(log Log, poison *Poison, o Options) (*Router, error) {
	if o.Retries == (Retries{}) {
		o.Retries = DefaultRetries()
	}
	quiet := map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug}
	theirs := watermill.NewSlogLoggerWithLevelMapping(o.Logger, quiet)
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: o.CloseTimeout}, theirs)
	if err != nil {
		return nil, fmt.Errorf("reactors: %w", err)
	}
	r := &Router{log: log, poison: poison, options: o, router: router}
	poisoned, err := middleware.PoisonQueue(toPoison{r}, "poison")
	if err != nil {
		return nil, fmt.Errorf("reactors: %w", err)
	}
	retry := middleware.Retry{
		MaxRetries:      math.MaxInt32, // time is what ends it
		InitialInterval: o.Retries.First, Multiplier: 2, MaxInterval: o.Retries.Longest, RandomizationFactor: 0.5,
		MaxElapsedTime: o.Retries.Total, Logger: theirs,
		ShouldRetry: func(p middleware.RetryParams) bool { return !permanent(p.Err) },
	}
	router.AddMiddleware(middleware.CorrelationID, poisoned, retry.Middleware, r.try, middleware.Recoverer)
	return r, nil
}

// Add lets a reactor, known by the name under which it reads the log, handle the events of these types: each at least once,
// in the order of the log. What it cannot handle it returns an error for, and is given again, more and more slowly; after a
// while, or at once if the error is ErrPermanent, the event goes to the poison queue and the next one comes. The error is
// logged and kept: it must tell nothing that is secret. What an operator wants handled again may come while another event is
// being handled.
func (r *Router) Add(reader string, types []string, handle func(msg *message.Message) error) {
	subscriber := NewSubscriber(r.log, r.options.Logger, types...)
	subscriber.poison = r.poison
	r.readers = append(r.readers, reader)
	r.router.AddConsumerHandler(reader, reader, subscriber, handle)
}

// Broadcast lets a reactor handle the events of these types in every process, from when it runs on: each once, in the order of
// the log. It is for what cannot fail: to try again would keep others waiting, and the poison queue is not for what was only
// for the moment.
func (r *Router) Broadcast(name string, types []string, handle func(msg *message.Message) error) {
	r.router.AddConsumerHandler(name, name, NewBroadcast(r.log, r.options.Logger, types...), handle)
}

// Readers are the names of the reactors that were added, but for those that broadcast.
func (r *Router) Readers() []string { return slices.Clone(r.readers) }

// Run runs the reactors until ctx ends, and returns when they have ended.
func (r *Router) Run(ctx context.Context) error {
	if err := r.router.Run(ctx); err != nil {
		return fmt.Errorf("reactors: %w", err)
	}
	return nil
}

// metaTries is where a message says how often it was tried.
const metaTries = "tries"

func tries(msg *message.Message) int {
	n, _ := strconv.Atoi(msg.Metadata.Get(metaTries)) // 0 at first
	return n
}

// try bounds one try, and counts it. A panic becomes an error here that can be shown: what was panicked with may be anything.
func (r *Router) try(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		msg.Metadata.Set(metaTries, strconv.Itoa(tries(msg)+1))
		whole, reader := msg.Context(), message.HandlerNameFromCtx(msg.Context())
		ctx, cancel := context.WithTimeout(whole, r.options.Retries.Try)
		ctx, tried := r.options.Observer.try(ctx, reader, msg.Metadata.Get(metaTrace))
		msg.SetContext(ctx)
		produced, err := h(msg)
		cancel()
		msg.SetContext(whole)

		if p, ok := errors.AsType[middleware.RecoveredPanicError](err); ok {
			r.options.Logger.ErrorContext(whole, "reactor panicked", slog.String("reader", reader),
				slog.String("position", msg.UUID), slog.String("stack", p.Stacktrace))
			err = fmt.Errorf("panic with a %T", p.V)
			if itself, ok := p.V.(runtime.Error); ok {
				err = fmt.Errorf("panic: %w", itself)
			}
		}
		tried(err)
		return produced, err
	}
}

// permanent tells whether no further try can do better.
func permanent(err error) bool {
	_, undecodable := errors.AsType[*events.DecodeError](err)
	return undecodable || errors.Is(err, ErrPermanent)
}

// toPoison is the poison queue as Watermill's middleware has it: a message.Publisher.
type toPoison struct{ *Router }

// Publish puts messages into the poison queue of the reactor that gave them up. Nothing is given up because the router ends:
// then the message's context has ended, too.
func (p toPoison) Publish(_ string, messages ...*message.Message) error {
	for _, msg := range messages {
		ctx, reader := msg.Context(), msg.Metadata.Get(middleware.PoisonedHandlerKey)
		reason := msg.Metadata.Get(middleware.ReasonForPoisonedKey)
		if err := p.poison.add(ctx, reader, msg.UUID, msg.Metadata.Get(metaType), reason, tries(msg)); err != nil {
			return err
		}
		if p.options.Observer.GaveUp != nil {
			p.options.Observer.GaveUp(reader)
		}
		p.options.Logger.ErrorContext(ctx, "event poisoned", slog.String("reader", reader),
			slog.String("position", msg.UUID), slog.Int("attempts", tries(msg)), slog.String("error", reason))
	}
	return nil
}

// Close implements message.Publisher.
func (toPoison) Close() error { return nil }
