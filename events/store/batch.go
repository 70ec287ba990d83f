package store

import (
	"context"
	"runtime"

	"github.com/google/uuid"
)

// A batch is at most this large: more would delay its first append more than it speeds up its last.
const (
	batchAppends = 512
	batchBytes   = 4 << 20
)

// collect takes what waits: at least one append, and no stream and no command twice. What does not fit is held for the next
// batch. It returns nothing when ctx has ended and nothing is held.
func (w *writer) collect(ctx context.Context) []*pending {
	b := batch{streams: map[string]bool{}, commands: map[uuid.UUID]bool{}}
	held := w.held
	w.held = nil
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
		case p := <-w.queue:
			take(p)
		case <-ctx.Done():
			return nil
		}
	}
	// No timer: what is not here yet comes with the next batch, and meanwhile nobody waits for it.
	for yielded := false; !b.full() && len(w.held) < batchAppends; {
		select {
		case p := <-w.queue:
			take(p)
			continue
		default:
		}
		if yielded {
			break
		}
		yielded = true
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

// columns is a batch as the arguments of append_events.
type columns struct {
	expectAppend  []int32
	expectStream  []string
	expectVersion []int64

	append  []int32
	stream  []string
	version []int64
	kind    []string
	schema  []int16
	data    []string
	meta    []string
	command []*uuid.UUID
}

func columnsOf(appends []*pending) *columns {
	c := &columns{}
	for i, p := range appends {
		n := int32(i)
		for stream, version := range p.Expect {
			c.expectAppend = append(c.expectAppend, n)
			c.expectStream = append(c.expectStream, stream)
			c.expectVersion = append(c.expectVersion, int64(version))
		}
		meta := string(p.meta)
		for k, e := range p.Events {
			c.append = append(c.append, n)
			c.stream = append(c.stream, e.Stream)
			c.version = append(c.version, int64(p.versions[k]))
			c.kind = append(c.kind, e.Type)
			c.schema = append(c.schema, e.Schema)
			c.data = append(c.data, string(e.Data))
			c.meta = append(c.meta, meta)
			c.command = append(c.command, nil)
		}
		c.command[len(c.command)-1] = &p.Command
	}
	return c
}
