package store

import (
	"context"
	"runtime"
	"time"

	"github.com/google/uuid"
)

// A batch is at most this large: more would delay its first append more than it speeds up its last.
const (
	batchAppends = 512
	batchBytes   = 4 << 20
)

// linger is how long a batch of several goes on yielding to those who may be about to append while none does. It is short
// beside a commit, and a lone append does not wait.
const linger = 10 * time.Microsecond

// collect takes what waits: at least one append, and no stream and no command twice. What does not fit is held for the next
// batch. When ctx has ended it takes nothing new, and returns nothing when nothing is held.
func (w *writer) collect(ctx context.Context) []*pending {
	b := &w.batch
	b.reset()
	queue, held := w.queue, w.held
	w.held = nil
	if ctx.Err() != nil {
		queue = nil
	}
	take := func(p *pending) {
		if b.full() || !b.add(p) {
			w.held = append(w.held, p)
		}
	}
	for _, p := range held {
		take(p)
	}
	if len(b.appends) == 0 {
		select {
		case p := <-queue:
			take(p)
		case <-ctx.Done():
			return nil
		}
	}
	// No timer: what is not here yet comes with the next batch, and meanwhile nobody waits for it.
	for quiet := (time.Time{}); !b.full() && len(w.held) < batchAppends; {
		select {
		case p := <-queue:
			take(p)
			quiet = time.Time{}
			continue
		default:
		}
		if quiet.IsZero() {
			quiet = time.Now()
		} else if len(b.appends) == 1 || time.Since(quiet) > linger {
			break
		}
		runtime.Gosched() // those whom the last batch has just answered may be about to append again
	}
	return b.appends
}

// batch is a set of appends that one call can carry.
type batch struct {
	appends  []*pending
	bytes    int
	streams  map[string]bool
	commands map[uuid.UUID]bool
}

// reset empties the batch. The appends are the caller's: their slice is not used again.
func (b *batch) reset() {
	if b.streams == nil {
		b.streams, b.commands = map[string]bool{}, map[uuid.UUID]bool{}
	}
	clear(b.streams)
	clear(b.commands)
	b.appends, b.bytes = nil, 0
}

func (b *batch) full() bool { return len(b.appends) >= batchAppends || b.bytes >= batchBytes }

func (b *batch) add(p *pending) bool {
	if b.commands[p.Command] {
		return false
	}
	for stream := range p.Expect {
		if b.streams[stream] {
			return false
		}
	}
	for stream := range p.Expect {
		b.streams[stream] = true
	}
	b.commands[p.Command] = true
	b.appends = append(b.appends, p)
	b.bytes += p.bytes
	return true
}
