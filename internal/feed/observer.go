package feed

import (
	"context"
	"time"
)

// An Observer is told how reactors fare: for metrics and traces. A function that is nil is not called; those that are there are
// called by several goroutines at once.
type Observer struct {
	// Attempted is called after each try of a reactor at an event.
	Attempted func(reader string, took time.Duration, err error)
	// GaveUp is called when the last try has failed, and the event is in the poison queue.
	GaveUp func(reader string)
	// Trace is called when a try begins, and what it returns when it has ended. trace is what the event's metadata has as
	// Trace, "" for nothing. The try goes on under the context that it returns.
	Trace func(ctx context.Context, reader, trace string) (context.Context, func(error))
}

// try tells of a try, and gives what tells of its end.
func (o Observer) try(ctx context.Context, reader, trace string) (context.Context, func(error)) {
	began, traced := time.Now(), func(error) {}
	if o.Trace != nil {
		ctx, traced = o.Trace(ctx, reader, trace)
	}
	return ctx, func(err error) {
		traced(err)
		if o.Attempted != nil {
			o.Attempted(reader, time.Since(began), err)
		}
	}
}
