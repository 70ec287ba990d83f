package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// waitingFor is an append that only its streams and its size are of interest of.
func waitingFor(size int, streams ...string) *pending {
	p := &pending{Append: Append{Command: uuid.New(), Expect: at{}}, bytes: size}
	for _, stream := range streams {
		p.Expect[stream] = 0
	}
	return p
}

func queueOf(appends ...*pending) <-chan *pending {
	queue := make(chan *pending, len(appends))
	for _, p := range appends {
		queue <- p
	}
	return queue
}

// Whatever waits, it is taken once, in batches that one call can carry, and who waits longest is in the next one.
func TestCollectTakesEverythingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			size    = rapid.SampledFrom([]int{1, 10_000, 1 << 20}).Draw(t, "bytes")
			names   = rapid.IntRange(0, rapid.SampledFrom([]int{0, 3, 2000}).Draw(t, "streams"))
			count   = rapid.SampledFrom([]int{1, 10, 100, 1200}).Draw(t, "count")
			waiting []*pending
		)
		for _, n := range rapid.SliceOfN(names, count, count).Draw(t, "appends") {
			p := waitingFor(size, fmt.Sprint(n), fmt.Sprint(n/2))
			if n%16 == 7 && len(waiting) > 0 {
				p.Command = waiting[0].Command // handed in twice
			}
			waiting = append(waiting, p)
		}
		w := &writer{queue: queueOf(waiting...)}
		taken := map[*pending]bool{}
		for oldest := 0; len(taken) < len(waiting); {
			batch := w.collect(t.Context())
			checkCallable(t, batch, size)
			for _, p := range batch {
				if taken[p] {
					t.Fatalf("%v is taken twice", p.Expect)
				}
				taken[p] = true
			}
			if !taken[waiting[oldest]] {
				t.Fatalf("number %d waits longest, and is not in a batch of %d", oldest, len(batch))
			}
			for oldest < len(waiting) && taken[waiting[oldest]] {
				oldest++
			}
		}
		if len(w.held) > 0 {
			t.Fatalf("%d are held still", len(w.held))
		}
	})
}

func checkCallable(t *rapid.T, batch []*pending, size int) {
	t.Helper()
	if n := len(batch); n == 0 || n > batchAppends || (n-1)*size > batchBytes {
		t.Fatalf("a batch has %d appends of %d bytes", n, size)
	}
	streams, commands := map[string]bool{}, map[uuid.UUID]bool{}
	for _, p := range batch {
		if commands[p.Command] {
			t.Fatalf("command %v is twice in a batch", p.Command)
		}
		commands[p.Command] = true
		for stream := range p.Expect {
			if streams[stream] {
				t.Fatalf("stream %s is twice in a batch", stream)
			}
			streams[stream] = true
		}
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	t.Run("takes nothing new when it is to end", func(t *testing.T) {
		t.Parallel()
		ended, end := context.WithCancel(t.Context())
		end()
		for range 20 {
			w := &writer{queue: queueOf(waitingFor(1, "a"))}
			if batch := w.collect(ended); batch != nil || len(w.held) > 0 {
				t.Errorf("a batch of %d", len(batch))
			}
		}
	})
	t.Run("returns what it holds even when it is to end", func(t *testing.T) {
		t.Parallel()
		w := &writer{queue: queueOf(waitingFor(1, "a"), waitingFor(1, "a"), waitingFor(1, "a"))}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		for i := range 3 {
			if batch := w.collect(ctx); len(batch) != 1 {
				t.Errorf("batch %d has %d", i, len(batch))
			}
			end()
		}
		if batch := w.collect(ctx); batch != nil {
			t.Errorf("a batch of %d", len(batch))
		}
	})
	t.Run("leaves those in the queue that it would have to hold too many of", func(t *testing.T) {
		t.Parallel()
		hot := make([]*pending, 3*batchAppends)
		for i := range hot {
			hot[i] = waitingFor(1, "hot")
		}
		w := &writer{queue: queueOf(hot...)}
		for range hot {
			if batch := w.collect(t.Context()); len(batch) != 1 || len(w.held) > batchAppends {
				t.Fatalf("a batch of %d, and %d are held", len(batch), len(w.held))
			}
		}
	})
	t.Run("takes no more of what it holds than one call carries", func(t *testing.T) {
		t.Parallel()
		const large = batchBytes / 4
		w := &writer{queue: queueOf(
			waitingFor(1, "a", "b", "c", "d", "e", "f"),
			waitingFor(large, "a"), waitingFor(large, "b"), waitingFor(large, "c"),
			waitingFor(large, "d"), waitingFor(large, "e"), waitingFor(large, "f"),
		)}
		for _, want := range []int{1, 4, 2} {
			if batch := w.collect(t.Context()); len(batch) != want {
				t.Errorf("a batch of %d, want %d", len(batch), want)
			}
		}
	})
	t.Run("takes an append that is larger than a batch alone", func(t *testing.T) {
		t.Parallel()
		w := &writer{queue: queueOf(waitingFor(2*batchBytes, "a"), waitingFor(1, "b"))}
		for range 2 {
			if batch := w.collect(t.Context()); len(batch) != 1 {
				t.Errorf("a batch of %d", len(batch))
			}
		}
	})
}
