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
	"github.com/jackc/pgx/v5"
)

// Log is what subscribers need of the log.
type Log interface {
	LogEnd
	Claim(ctx context.Context, reader string) (*store.Claim, error)
	Follow(ctx context.Context, claim *store.Claim, limit int) iter.Seq2[[]events.Recorded, error]
	ReadAfter(ctx context.Context, position events.Position, limit int) ([]events.Recorded, error)
}

// Subscriber is a message.Subscriber over the log. A topic is the name of a reader: each has a checkpoint of its own, and in
// all processes one subscription to it is active at a time, while others stand by. Messages come in the order of the log,
// one at a time: the next after the last was acknowledged, which a checkpoint remembers; one that is refused comes again.
// What was handled and not yet remembered when the process ended comes again too. Beside that, and at the same time, comes what
// an operator wants handled again. It is safe for concurrent use.
type Subscriber struct {
	*subscriptions

	log    Log
	poison *Poison // whose events are replayed; nil: none
}

// NewSubscriber makes a subscriber to the events of these types.
func NewSubscriber(log Log, logger *slog.Logger, types ...string) *Subscriber {
	return &Subscriber{subscriptions: newSubscriptions(logger, types), log: log}
}

// Subscribe implements message.Subscriber. The channel is closed when ctx ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, reader string) (<-chan *message.Message, error) {
	return s.begin(ctx, reader, func(ctx context.Context, messages chan<- *message.Message) error {
		return s.follow(ctx, reader, messages)
	})
}

func (s *Subscriber) follow(ctx context.Context, reader string, messages chan<- *message.Message) error {
	claim, err := s.log.Claim(ctx, reader)
	if err != nil {
		return err
	}
	defer claim.Release(ctx)
	defer s.replay(ctx, reader, messages)()
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

// lookFor is how often a reader looks for what it is to handle again.
const lookFor = 2 * time.Second

// replay hands out what somebody wants handled again, until end is called, which returns when that has ended.
func (s *Subscriber) replay(ctx context.Context, reader string, messages chan<- *message.Message) (end func()) {
	if s.poison == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := s.replayAsked(ctx, reader, messages); err != nil && ctx.Err() == nil {
				s.logger.ErrorContext(ctx, "replay interrupted", slog.String("reader", reader), slog.Any("error", err))
			}
			wait(ctx, lookFor)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (s *Subscriber) replayAsked(ctx context.Context, reader string, messages chan<- *message.Message) error {
	for position := events.Position(0); ; {
		was, err := s.poison.asked(ctx, reader, position)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		position = was.Position
		page, err := s.log.ReadAfter(ctx, position-1, 1)
		if err != nil {
			return err
		}
		if len(page) == 1 && offer(ctx, s.logger, &page[0], messages) {
			if err := s.poison.settle(ctx, reader, was); err != nil {
				return err
			}
		}
	}
}

// deliver hands a message out until it is acknowledged. It is false if ctx ended first.
func (s *Subscriber) deliver(ctx context.Context, r *events.Recorded, messages chan<- *message.Message) bool {
	for ctx.Err() == nil {
		if offer(ctx, s.logger, r, messages) {
			return true
		}
		wait(ctx, pause)
	}
	return false
}

// offer hands a message out once, and reports whether it was acknowledged. The message's context ends then, as Watermill
// wants it.
func offer(ctx context.Context, logger *slog.Logger, r *events.Recorded, messages chan<- *message.Message) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg, err := newMessage(ctx, r)
	if err != nil {
		logger.ErrorContext(ctx, "event without metadata",
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

// MessageID names what a reactor sends because of an event, the same each time: by the event's position, for people, and by the
// beginning of an id that was drawn for it, since a log that was restored from a backup uses positions again.
func MessageID(msg *message.Message, drawn string) string {
	return msg.UUID + "-" + drawn[:min(8, len(drawn))]
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
