package store

import (
	"testing"
	"time"

	"foof/events"

	"pgregory.net/rapid"
)

// recorded makes events from one position to another, both included.
func recorded(from, to events.Position, data string) []events.Recorded {
	var page []events.Recorded
	for p := from; p <= to; p++ {
		page = append(page, events.Recorded{Position: p, Stream: "a", Version: events.Version(p), Data: []byte(data)})
	}
	return page
}

func TestTail(t *testing.T) {
	t.Parallel()
	// What follows a position is in memory, in the database, or yet to come.
	const memory, database, toCome = "memory", "database", "to come"
	where := func(tail *tail, position events.Position) string {
		page, wait := tail.after(position, 1)
		switch {
		case wait != nil:
			return toCome
		case page == nil:
			return database
		default:
			return memory
		}
	}
	large := string(make([]byte, tailBytes/4))
	for name, c := range map[string]struct {
		given func(*tail)
		then  map[events.Position]string
	}{
		"knows nothing at first": {
			given: func(*tail) {}, then: map[events.Position]string{0: toCome, 9: toCome},
		},
		"has what was published": {
			given: func(t *tail) { t.publish(recorded(1, 3, "")); t.publish(recorded(4, 4, "")) },
			then:  map[events.Position]string{0: memory, 3: memory, 4: toCome, 9: toCome},
		},
		"has only the newest when it began in the middle": {
			given: func(t *tail) { t.publish(recorded(5, 6, "")) },
			then:  map[events.Position]string{0: database, 3: database, 4: memory, 5: memory, 6: toCome},
		},
		"knows that there is more when others append": {
			given: func(t *tail) { t.publish(recorded(1, 3, "")); t.reach(5) },
			then:  map[events.Position]string{0: database, 3: database, 4: database, 5: toCome},
		},
		"starts anew where others appended in between": {
			given: func(t *tail) { t.publish(recorded(1, 3, "")); t.publish(recorded(6, 7, "")) },
			then:  map[events.Position]string{2: database, 4: database, 5: memory, 7: toCome},
		},
		"goes on after what others appended": {
			given: func(t *tail) { t.publish(recorded(1, 3, "")); t.reach(5); t.publish(recorded(6, 7, "")) },
			then:  map[events.Position]string{3: database, 4: database, 5: memory, 7: toCome},
		},
		"is none the worse for a look at the head that came late": {
			given: func(t *tail) { t.publish(recorded(1, 3, "")); t.reach(2); t.reach(3) },
			then:  map[events.Position]string{0: memory, 2: memory, 3: toCome},
		},
		"is none the worse for a look at the head that came first": {
			given: func(t *tail) { t.reach(3); t.publish(recorded(1, 3, "")); t.publish(recorded(4, 4, "")) },
			then:  map[events.Position]string{0: database, 2: database, 3: memory, 4: toCome},
		},
		"forgets the oldest of many": {
			given: func(t *tail) {
				t.publish(recorded(1, tailEvents, ""))
				t.publish(recorded(tailEvents+1, tailEvents+1, ""))
			},
			then: map[events.Position]string{0: database, tailEvents / 4: database, tailEvents - 1: memory, tailEvents: memory},
		},
		"forgets the oldest of large ones": {
			given: func(t *tail) { t.publish(recorded(1, 4, large)); t.publish(recorded(5, 5, large)) },
			then:  map[events.Position]string{0: database, 3: memory, 4: memory, 5: toCome},
		},
		"keeps the newest however large": {
			given: func(t *tail) { t.publish(recorded(1, 1, large+large+large+large+large)) },
			then:  map[events.Position]string{0: memory, 1: toCome},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tail := newTail()
			c.given(tail)
			for position, want := range c.then {
				if got := where(tail, position); got != want {
					t.Errorf("what follows %d is in %s, want %s", position, got, want)
				}
			}
		})
	}
}

func TestTailWakes(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(*tail){
		"when something is published":           func(t *tail) { t.publish(recorded(4, 4, "")) },
		"when others appended":                  func(t *tail) { t.reach(9) },
		"when something is published far ahead": func(t *tail) { t.publish(recorded(20, 21, "")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tail := newTail()
			tail.publish(recorded(1, 3, ""))
			_, wait := tail.after(3, 10)
			tail.reach(3)
			tail.publish(recorded(2, 3, ""))
			select {
			case <-wait:
				t.Fatal("it wakes for nothing")
			default:
			}
			move(tail)
			select {
			case <-wait:
			default:
				t.Error("it does not wake")
			}
		})
	}
}

// However appends of this process and of others, looks at the head, and readers come one after the other, every reader
// gets each event once, in order and with its content.
func TestTailGivesEachEventOnce(t *testing.T) {
	t.Parallel()
	large := make([]byte, tailBytes/3)
	rapid.Check(t, func(t *rapid.T) {
		w := &world{tail: newTail(), readers: make([]reader, 3), large: large}
		t.Repeat(map[string]func(*rapid.T){
			"append here":      w.appendHere,
			"publish":          func(*rapid.T) { w.publish() },
			"append elsewhere": w.appendElsewhere,
			"look":             w.look,
			"read":             w.read,
			"":                 w.check,
		})
		w.finish(t)
	})
}

// world is a log, what its process has yet to publish, and readers.
type world struct {
	tail        *tail
	log         []events.Recorded
	unpublished []events.Recorded // durable, and the writer has not got round to it
	readers     []reader
	large       []byte
}

type reader struct {
	position events.Position
	wait     <-chan struct{} // it was told to wait for this
	waited   events.Position // when the tail ended there
}

func (w *world) head() events.Position { return events.Position(len(w.log)) }

func (w *world) add(t *rapid.T) []events.Recorded {
	n := rapid.SampledFrom([]events.Position{1, 1, 2, 7, 7, 40, 200, tailEvents / 3}).Draw(t, "events")
	data := w.large[:rapid.SampledFrom([]int{1, 1, 1000, tailBytes / 3}).Draw(t, "size")]
	page := recorded(w.head()+1, w.head()+n, "")
	for i := range page {
		page[i].Data = data
	}
	w.log = append(w.log, page...)
	return page
}

func (w *world) appendHere(t *rapid.T) {
	w.publish() // one call at a time
	w.unpublished = w.add(t)
}

func (w *world) publish() {
	if w.unpublished != nil {
		w.tail.publish(w.unpublished)
		w.unpublished = nil
	}
}

func (w *world) appendElsewhere(t *rapid.T) { w.add(t) }

// A look may be old news by the time that it gets here.
func (w *world) look(t *rapid.T) {
	head := w.head()
	if w.unpublished == nil || rapid.Bool().Draw(t, "old") {
		head = events.Position(rapid.Int64Range(0, int64(head)).Draw(t, "head"))
	}
	w.tail.reach(head)
}

func (w *world) read(t *rapid.T) {
	r := &w.readers[rapid.IntRange(0, len(w.readers)-1).Draw(t, "reader")]
	w.readOn(t, r, rapid.SampledFrom([]int{1, 2, 100, 100_000}).Draw(t, "limit"))
}

func (w *world) readOn(t *rapid.T, r *reader, limit int) {
	page, wait := w.tail.after(r.position, limit)
	switch {
	case wait != nil:
		if page != nil {
			t.Fatalf("after %d: a page, and to wait", r.position)
		}
		r.wait, r.waited = wait, w.tail.end
		return
	case page == nil: // from the database
		if page = w.log[r.position:]; len(page) > limit {
			page = page[:limit]
		}
		if len(page) == 0 {
			t.Fatalf("after %d: the database has no more", r.position)
		}
	}
	if len(page) > limit {
		t.Fatalf("a page of %d, the limit is %d", len(page), limit)
	}
	for _, e := range page {
		if r.position++; e.Position != r.position || e.Version != events.Version(r.position) || len(e.Data) != len(w.log[r.position-1].Data) {
			t.Fatalf("%d comes after %d", e.Position, r.position-1)
		}
	}
}

func (w *world) check(t *rapid.T) {
	tail, bytes := w.tail, 0
	for i, e := range tail.recent {
		bytes += len(e.Data)
		if want := tail.end - events.Position(len(tail.recent)-1-i); e.Position != want {
			t.Fatalf("%d is where %d should be", e.Position, want)
		}
	}
	if bytes != tail.bytes || len(tail.recent) > tailEvents || bytes > tailBytes && len(tail.recent) > 1 {
		t.Fatalf("%d events of %d bytes are kept, and count as %d", len(tail.recent), bytes, tail.bytes)
	}
	for _, r := range w.readers {
		if r.wait != nil && tail.end > r.waited {
			select {
			case <-r.wait:
			default:
				t.Fatalf("who waited at %d is not woken at %d", r.waited, tail.end)
			}
		}
	}
}

// finish lets everybody have everything.
func (w *world) finish(t *rapid.T) {
	w.publish()
	w.tail.reach(w.head())
	for i := range w.readers {
		for r := &w.readers[i]; r.position < w.head(); {
			before := r.position
			if w.readOn(t, r, 1000); r.position == before {
				t.Fatalf("reader %d waits at %d of %d", i, r.position, w.head())
			}
		}
	}
}

func TestTheEndIsAsOldAsItSays(t *testing.T) {
	t.Parallel()
	const looks = 20_000
	l := &Log{tail: newTail()}
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range looks {
			l.tail.confirm(events.Position(n), began.Add(time.Duration(n)))
		}
	}()
	for end := events.Position(0); end < looks-1; {
		var at time.Time
		end, at = l.Looked()
		if !at.IsZero() && at.Sub(began) > time.Duration(end) {
			t.Fatalf("the log ended at %d, it says, when it ended at %d", end, at.Sub(began))
		}
	}
	<-done
}
