package store

import (
	"context"
	"time"
)

// An Observer is told how appending goes: for metrics and traces, of which the log knows nothing. The writer waits for it. A
// function that is nil is not called.
type Observer struct {
	// Settled is called when all appends of a batch have been answered.
	Settled func(Batch)
	// Trace is called when a batch goes to the database, and what it returns when all its appends have been answered. traces
	// are the Trace of each append's metadata that has one. What the database is asked goes under the context that it returns.
	Trace func(ctx context.Context, traces []string) (context.Context, func())
}

// Batch says how a batch of appends went.
type Batch struct {
	Appends   int           // taken together
	Events    int           // made durable; those of commands that were in the log already do not count
	Conflicts int           // appends refused because a stream was at another version
	Failed    int           // appends refused because the database was away for too long
	Retries   int           // times that it was sent again because the database was away
	Took      time.Duration // until all were answered
}

// observe settles a batch under the eyes of the observer.
func (w *writer) observe(ctx context.Context, batch []*pending) {
	began := time.Now()
	w.went = Batch{Appends: len(batch)}
	if w.observer.Trace != nil {
		var done func()
		ctx, done = w.observer.Trace(ctx, traces(batch))
		defer done()
	}
	w.settle(ctx, batch)
	if w.observer.Settled != nil {
		w.went.Took = time.Since(began)
		w.observer.Settled(w.went)
	}
}

func traces(batch []*pending) []string {
	var found []string
	for _, p := range batch {
		if p.Meta.Trace != "" {
			found = append(found, p.Meta.Trace)
		}
	}
	return found
}
