package feed

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// An Observer is told how reactors fare: for metrics and traces. A function that is nil is not called.
type Observer struct {
	// Attempted is called after each attempt of a reactor at an event.
	Attempted func(reader string, took time.Duration, err error)
	// GaveUp is called when the last attempt has failed. What becomes of the event then is decided elsewhere.
	GaveUp func(reader string)
	// Trace is called when an attempt begins, and what it returns when it has ended. trace is what the event's metadata has as
	// Trace, "" for nothing. The attempt goes on under the context that it returns.
	Trace func(ctx context.Context, reader, trace string) (context.Context, func(error))
}

var errPanicked = errors.New("it panicked")

// observed is a reactor's handler under the eyes of the observer.
func (r *Router) observed(reader string, handle message.NoPublishHandlerFunc) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		began, err := time.Now(), errPanicked // unless it returns
		if r.Observer.Trace != nil {
			before := msg.Context()
			ctx, done := r.Observer.Trace(before, reader, msg.Metadata.Get(metaTrace))
			msg.SetContext(ctx)
			defer func() { msg.SetContext(before); done(err) }()
		}
		if r.Observer.Attempted != nil {
			defer func() { r.Observer.Attempted(reader, time.Since(began), err) }()
		}
		err = handle(msg)
		return err
	}
}

// givingUp stands around all that tries again.
func (r *Router) givingUp(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		produced, err := next(msg)
		if err != nil && r.Observer.GaveUp != nil && msg.Context().Err() == nil {
			r.Observer.GaveUp(message.HandlerNameFromCtx(msg.Context()))
		}
		return produced, err
	}
}
