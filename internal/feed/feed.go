// Package feed makes the log a source of Watermill's: what leaves the log, such as text messages, runs on a Watermill router.
package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"foof/events"
	"foof/events/store"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// Log is what a Subscriber needs of the log.
type Log interface {
	Claim(ctx context.Context, reader string) (*store.Claim, error)
	Follow(ctx context.Context, claim *store.Claim, limit int) iter.Seq2[[]events.Recorded, error]
}

// Subscriber is a message.Subscriber over the log. A topic is the name of a reader: each has a checkpoint of its own, and in
// all processes one subscription to it is active at a time, while others stand by. Messages come in the order of the log,
// one at a time: the next after the last was acknowledged, which a checkpoint remembers; one that is refused comes again.
// What was handled and not yet remembered when the process ended comes again too. It is safe for concurrent use.
type Subscriber struct {
	log    Log
	types  map[string]bool
	logger *slog.Logger

	mu      sync.Mutex      // held where a subscription begins and where closing does, so that one comes first
	closing context.Context //nolint:containedctx // Watermill's contract: Close ends all subscriptions
	close   context.CancelFunc
	running sync.WaitGroup
}

// NewSubscriber makes a subscriber to the events of these types.
func NewSubscriber(log Log, logger *slog.Logger, types ...string) *Subscriber {
	s := &Subscriber{log: log, types: map[string]bool{}, logger: logger}
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

// Subscribe implements message.Subscriber. The channel is closed when ctx ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, reader string) (<-chan *message.Message, error) {
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
			if err := s.follow(ctx, reader, messages); err != nil && ctx.Err() == nil {
				s.logger.ErrorContext(ctx, "feed interrupted",
					slog.String("reader", reader), slog.Any("error", err), slog.Duration("again_in", pause))
				wait(ctx, pause)
			}
		}
	})
	return messages, nil
}

// Close implements message.Subscriber: it ends all subscriptions and returns when they have ended. It may be repeated.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

func (s *Subscriber) follow(ctx context.Context, reader string, messages chan<- *message.Message) error {
	claim, err := s.log.Claim(ctx, reader)
	if err != nil {
		return err
	}
	defer claim.Release(ctx)
	for page, err := range s.log.Follow(ctx, claim, pageSize) {
		if err != nil {
			return err
		}
		for i := range page {
			if !s.types[page[i].Type] {
				continue
			}
			if !s.deliver(ctx, &page[i], messages) {
				return ctx.Err()
			}
			if err := claim.Advance(ctx, page[i].Position, nil); err != nil {
				return err
			}
		}
		if last := page[len(page)-1].Position; last > claim.Position {
			if err := claim.Advance(ctx, last, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver hands a message out until it is acknowledged. It is false if ctx ended first.
func (s *Subscriber) deliver(ctx context.Context, r *events.Recorded, messages chan<- *message.Message) bool {
	for ctx.Err() == nil {
		if s.offer(ctx, r, messages) {
			return true
		}
		wait(ctx, pause)
	}
	return false
}

// offer hands a message out once, and reports whether it was acknowledged. The message's context ends then, as Watermill
// wants it.
func (s *Subscriber) offer(ctx context.Context, r *events.Recorded, messages chan<- *message.Message) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg, err := newMessage(ctx, r)
	if err != nil {
		s.logger.ErrorContext(ctx, "event without metadata",
			slog.Int64("position", int64(r.Position)), slog.Any("error", err))
	}
	select {
	case messages <- msg:
	case <-ctx.Done():
		return false
	}
	select {
	case <-msg.Acked():
		return true
	case <-msg.Nacked():
	case <-ctx.Done():
	}
	return false
}

// The metadata of a message.
const (
	metaStream  = "stream"
	metaType    = "type"
	metaSchema  = "schema"
	metaVersion = "version"
	metaAt      = "recorded_at"
	metaTrace   = "traceparent"
)

// newMessage makes a message of an event: its position is the message's id, its data the payload.
func newMessage(ctx context.Context, r *events.Recorded) (*message.Message, error) {
	msg := message.NewMessageWithContext(ctx, strconv.FormatInt(int64(r.Position), 10), r.Data)
	msg.Metadata.Set(metaStream, r.Stream)
	msg.Metadata.Set(metaType, r.Type)
	msg.Metadata.Set(metaSchema, strconv.Itoa(int(r.Schema)))
	msg.Metadata.Set(metaVersion, strconv.FormatInt(int64(r.Version), 10))
	msg.Metadata.Set(metaAt, r.At.Format(time.RFC3339Nano))
	meta, err := r.Metadata()
	if err == nil && meta.Correlation != "" {
		middleware.SetCorrelationID(meta.Correlation, msg)
	}
	if meta.Trace != "" {
		msg.Metadata.Set(metaTrace, meta.Trace)
	}
	return msg, err
}

// Event turns a message back into the event that it was made of.
func Event(ctx context.Context, codec *events.Codec, msg *message.Message) (events.Event, error) {
	position, err := strconv.ParseInt(msg.UUID, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("message %s: not a position", msg.UUID)
	}
	schema, err := strconv.ParseInt(msg.Metadata.Get(metaSchema), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("message %s: no schema version", msg.UUID)
	}
	page := []events.Recorded{{
		Position: events.Position(position), Stream: msg.Metadata.Get(metaStream),
		Type: msg.Metadata.Get(metaType), Schema: int16(schema), Data: msg.Payload,
	}}
	if err := codec.Decode(ctx, page); err != nil {
		return nil, fmt.Errorf("message %s: %w", msg.UUID, err)
	}
	return page[0].Event, nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
