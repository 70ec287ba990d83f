package store

import (
	"sync"
	"time"

	"foof/events"
)

// How much of the newest is kept in memory for subscribers that are up to date: a few thousand events, or less where they
// are large.
const (
	tailEvents = 8192
	tailBytes  = 16 << 20
)

// tail is the end of the log as this process knows it, and wakes those who wait for more. What the process appends itself
// is in it with content; of what others append it knows only that it is there, and subscribers read that from the
// database.
type tail struct {
	mu      sync.Mutex
	recent  []events.Recorded // contiguous; the last one is at end
	bytes   int               // what their data takes
	end     events.Position
	looked  time.Time     // when the log ended at end for sure
	changed chan struct{} // closed when end moves
}

func newTail() *tail { return &tail{changed: make(chan struct{})} }

// publish adds events that were just appended, in order and contiguous.
func (t *tail) publish(page []events.Recorded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if page[len(page)-1].Position <= t.end {
		return // a look at the head came first
	}
	if page[0].Position != t.end+1 { // others appended in between
		t.forgetAll()
	}
	for _, r := range page {
		t.bytes += len(r.Data) + len(r.Meta)
	}
	t.recent = append(t.recent, page...)
	for len(t.recent) > tailEvents || t.bytes > tailBytes && len(t.recent) > 1 {
		t.forget(len(t.recent) / 2)
	}
	t.move(page[len(page)-1].Position)
}

// confirm notes that the log ended at head at a time, and reports whether that is news.
func (t *tail) confirm(head events.Position, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looked = at // together with the end: who asks for both gets what was seen
	return t.grow(head)
}

// reach notes that the log goes up to head.
func (t *tail) reach(head events.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grow(head)
}

func (t *tail) grow(head events.Position) bool {
	if head <= t.end {
		return false
	}
	t.forgetAll()
	t.move(head)
	return true
}

func (t *tail) forget(oldest int) {
	for _, r := range t.recent[:oldest] {
		t.bytes -= len(r.Data) + len(r.Meta)
	}
	kept := copy(t.recent, t.recent[oldest:])
	clear(t.recent[kept:]) // so that what they point to can be freed
	t.recent = t.recent[:kept]
}

func (t *tail) forgetAll() {
	clear(t.recent)
	t.recent, t.bytes = t.recent[:0], 0
}

func (t *tail) move(end events.Position) {
	t.end = end
	close(t.changed)
	t.changed = make(chan struct{})
}

// after gives what follows position, at most limit events: in memory if it is there. When nothing follows yet, wait is
// what to wait for; when something does that is not in memory, both are nil. The page is the caller's; what its fields
// point to is shared and must not be changed.
func (t *tail) after(position events.Position, limit int) (page []events.Recorded, wait <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if position >= t.end {
		return nil, t.changed
	}
	missed := int(t.end - position)
	if missed > len(t.recent) {
		return nil, nil
	}
	from := t.recent[len(t.recent)-missed:]
	return append(page, from[:min(limit, len(from))]...), nil
}
