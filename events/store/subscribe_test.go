package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"foof/events"

	"github.com/jackc/pgx/v5/pgxpool"
)

// follow reads what a subscription yields until it has seen the event at last, and checks the pages' sizes.
func follow(ctx context.Context, log *Log, after, last events.Position, limit int) ([]events.Recorded, error) {
	var seen []events.Recorded
	for page, err := range log.Subscribe(ctx, after, limit) {
		if err != nil {
			return seen, err
		}
		if len(page) == 0 || len(page) > limit {
			return seen, fmt.Errorf("a page has %d events, the limit is %d", len(page), limit)
		}
		seen = append(seen, page...)
		if page[len(page)-1].Position >= last {
			return seen, nil
		}
	}
	return seen, errors.New("the subscription ended")
}

type followed struct {
	seen []events.Recorded
	err  error
}

func goFollow(t *testing.T, log *Log, after, last events.Position, limit int) <-chan followed {
	t.Helper()
	ctx, result := patience(t), make(chan followed, 1)
	go func() {
		seen, err := follow(ctx, log, after, last, limit)
		result <- followed{seen, err}
	}()
	return result
}

// fill appends n events to a stream, many at a time.
func fill(t *testing.T, log *Log, stream string, version events.Version, n int, data string) {
	t.Helper()
	for n > 0 {
		a := command(at{stream: version})
		for range min(n, 500) {
			a.Events = append(a.Events, fact(stream, data))
		}
		n -= len(a.Events)
		version += events.Version(len(a.Events))
		mustAppend(t, log, a)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	here, there := Open(d.service(t)), Open(d.service(t))
	start(t, here)
	fill(t, here, "a", 0, 50, `1`)
	start(t, there)

	var (
		froms  = []events.Position{0, 1, 20, 50, 60}
		limits = []int{1, 7, 1000}

		inBoth []<-chan followed
	)
	for _, from := range froms {
		for _, limit := range limits {
			inBoth = append(inBoth, goFollow(t, here, from, 100, limit), goFollow(t, there, from, 100, limit))
		}
	}
	for version := range events.Version(50) {
		mustAppend(t, []*Log{here, there}[version/10%2], next("b", version))
	}
	want := everything(t, here)
	for i, result := range inBoth {
		f := <-result
		from := froms[i/2/len(limits)]
		if f.err != nil {
			t.Errorf("from %d: %v", from, f.err)
		}
		sameEvents(t, fmt.Sprintf("from %d, in process %d", from, i%2), f.seen, want[from:])
	}
}

// The look at the head, which is all that runs in the background, never comes back here, and there is no read either: what
// the process appends comes from memory alone.
func TestSubscribeInTheProcessThatAppendsAsksNoDatabase(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	pool, questions := d.counted(t, watchBlocked)
	log := Open(pool)
	start(t, log)
	results := []<-chan followed{goFollow(t, log, 0, 400, 10), goFollow(t, log, 0, 400, 1000), goFollow(t, log, 100, 400, 1)}
	for version := range events.Version(200) {
		mustAppend(t, log, twin("a", 2*version))
	}
	for i, result := range results {
		f := <-result
		if want := []int{400, 400, 300}[i]; f.err != nil || len(f.seen) != want {
			t.Errorf("subscriber %d saw %d events, want %d; %v", i, len(f.seen), want, f.err)
		}
	}
	if pages, heads := questions.pages.Load(), questions.heads.Load(); pages != 0 || heads > 1 {
		t.Errorf("the database was asked for %d pages, and %d times for its head", pages, heads)
	}
}

// Another process has an event within 50 ms. What is asserted is the median: a machine under load may be late now and then.
func TestSubscribeInAnotherProcessIsSoon(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	here, there := Open(d.service(t)), Open(d.service(t))
	start(t, here)
	start(t, there)
	const count = 200
	ctx, arrived := patience(t), make(chan time.Time, count)
	go func() {
		for page, err := range there.Subscribe(ctx, 0, 10) {
			now := time.Now()
			if err != nil || page[len(page)-1].Position == count {
				close(arrived)
				return
			}
			for range page {
				arrived <- now
			}
		}
	}()
	var (
		took  []time.Duration
		pause = time.NewTicker(11 * time.Millisecond) // so that the watch is met in all its moods
	)
	defer pause.Stop()
	for version := range events.Version(count) {
		<-pause.C
		mustAppend(t, here, next("a", version))
		durable := time.Now()
		if seen, ok := <-arrived; ok {
			took = append(took, seen.Sub(durable))
		}
	}
	slices.Sort(took)
	if len(took) != count-1 {
		t.Fatalf("%d of %d events arrived", len(took), count-1)
	}
	median := took[count/2]
	t.Logf("median %v, p90 %v, p98 %v, worst %v", median, took[count*9/10], took[count*98/100], took[len(took)-1])
	if median > 50*time.Millisecond {
		t.Errorf("half of the events took %v and more", median)
	}
}

func TestSubscribeEnds(t *testing.T) {
	t.Parallel()
	t.Run("when the consumer stops", func(t *testing.T) {
		t.Parallel()
		log, _ := running(t)
		fill(t, log, "a", 0, 10, `1`)
		pages := 0
		for _, err := range log.Subscribe(patience(t), 0, 3) {
			if pages++; pages == 2 || err != nil {
				break
			}
		}
		f := <-goFollow(t, log, 6, 10, 3)
		if f.err != nil || len(f.seen) != 4 {
			t.Errorf("then, %d events, %v", len(f.seen), f.err)
		}
	})
	for name, at := range map[string]events.Position{
		"when the context ends while it waits for more":     10,
		"when the context ends while it is behind":          0,
		"when the context ends while it waits for the past": 20,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, _ := running(t)
			fill(t, log, "a", 0, 10, `1`)
			ctx, cancel := context.WithCancel(patience(t))
			if at >= 10 {
				go cancel()
			}
			defer cancel()
			var seen []error
			for _, err := range log.Subscribe(ctx, at, 1) {
				if seen = append(seen, err); err == nil && len(seen) == 3 {
					cancel()
				}
			}
			last := len(seen) - 1
			if !errors.Is(seen[last], context.Canceled) || slices.ContainsFunc(seen[:last], func(err error) bool { return err != nil }) {
				t.Errorf("it yielded %v", seen)
			}
			if at == 0 && last != 3 {
				t.Errorf("it yielded %d pages, and the context ended at the third", last)
			}
		})
	}
	t.Run("with an error when the database is away, and goes on when it is back", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		appending := Open(d.service(t))
		start(t, appending)
		pool, proxy := d.proxied(t)
		log := Open(pool)
		start(t, log)
		fill(t, appending, "a", 0, 10, `1`)

		var (
			seen []events.Recorded
			errs []error
		)
		for page, err := range log.Subscribe(patience(t), 0, 4) {
			proxy.takeAway()
			if err != nil {
				errs = append(errs, err)
			}
			seen = append(seen, page...)
		}
		if len(errs) != 1 || len(seen) != 4 {
			t.Errorf("errors %v, %d events; want one, and 4", errs, len(seen))
		}
		proxy.bringBack()
		fill(t, appending, "a", 10, 10, `2`)
		after := seen[len(seen)-1].Position
		f := <-goFollow(t, log, after, 20, 4)
		if f.err != nil {
			t.Error(f.err)
		}
		sameEvents(t, "both times", append(seen, f.seen...), everything(t, appending))
	})
	t.Run("with an error when the log is shorter than it was", func(t *testing.T) {
		t.Parallel()
		log := Open(newDatabase(t).service(t))
		log.tail.reach(3)
		if f := <-goFollow(t, log, 0, 3, 10); f.err == nil || len(f.seen) > 0 {
			t.Errorf("%d events, %v", len(f.seen), f.err)
		}
	})
}

// A subscriber that falls behind what is kept in memory reads on from the database, and comes back to memory.
func TestSubscribeSlowly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data   string
		events int
	}{
		"behind many events":  {`1`, tailEvents + tailEvents/2 + 17},
		"behind large events": {`"` + strings.Repeat("x", 1<<20) + `"`, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			pool, questions := d.counted(t, watchBlocked)
			log := Open(pool)
			start(t, log)
			fill(t, log, "a", 0, 2, `0`)
			var (
				seen []events.Recorded
				last = events.Position(c.events) + 3
			)
			for page, err := range log.Subscribe(patience(t), 0, 1000) {
				if err != nil {
					t.Fatal(err)
				}
				if seen == nil { // the consumer takes its time over the first page
					fill(t, log, "b", 0, c.events, c.data)
				}
				seen = append(seen, page...)
				behind := questions.pages.Load()
				if len(seen) == int(last)-1 {
					if behind == 0 {
						t.Error("all that was in memory")
					}
					mustAppend(t, log, next("a", 2))
				}
				if page[len(page)-1].Position == last {
					break
				}
			}
			sameEvents(t, "subscribed", seen, everything(t, log))
			if n := log.tail.bytes; n > tailBytes {
				t.Errorf("%d bytes are kept in memory", n)
			}
		})
	}
}

// While the consumer is busy with a page, the next one is being read, and when it stops, so does that.
func TestSubscribeReadsAhead(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	together(t, d.service(t), twin("a", 0), twin("b", 0))
	var (
		began = make(chan struct{})
		ended atomic.Bool
	)
	pool, _ := d.counted(t, func(q *questions) {
		q.onPage = func(ctx context.Context, n int64) {
			if n == 3 {
				close(began)
				<-ctx.Done()
				ended.Store(true)
			}
		}
	})
	log := Open(pool)
	log.tail.reach(4)
	pages := 0
	for page, err := range log.Subscribe(patience(t), 0, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if pages++; page[0].Position != events.Position(pages) {
			t.Errorf("page %d has event %d", pages, page[0].Position)
		}
		if pages == 2 {
			<-began
			break
		}
	}
	if !ended.Load() {
		t.Error("it reads on when the consumer has stopped")
	}
}

func TestSubscribeHoldsNoConnectionBetweenPages(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	together(t, d.service(t), twin("a", 0))
	log := Open(d.service(t, func(c *pgxpool.Config) { c.MaxConns = 1 }))
	log.tail.reach(2)
	for _, err := range log.Subscribe(patience(t), 0, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if head, err := log.Head(patience(t)); err != nil || head != 2 {
			t.Errorf("with the one connection, the head is at %d, %v", head, err)
		}
		break
	}
}

// When the watch's connection dies without a word, as it does when a machine loses its power, it takes some seconds and no
// more. Other connections are the pool's affair: this one has no other.
func TestSubscribeOutlivesADeadConnection(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	appending := Open(d.service(t))
	start(t, appending)
	pool, proxy := d.proxied(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	log := Open(pool)
	start(t, log)
	until(t, "the watch has looked", func(context.Context) (bool, error) { return pool.Stat().AcquireCount() > 1, nil })
	proxy.freeze()
	fill(t, appending, "a", 0, 3, `1`)
	if f := <-goFollow(t, log, 0, 3, 10); f.err != nil {
		t.Error(f.err)
	}
	proxy.takeAway() // or the pool would wait for an end to them
}
