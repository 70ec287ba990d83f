package store

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestObserver(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	log := Open(d.service(t))
	queue := make(chan *pending, 8)
	log.queue = queue
	type key struct{}
	var (
		settled = make(chan Batch, 8)
		traced  = make(chan []string, 8)
		open    int // batches that are being traced; the writer's alone
	)
	log.Observer = Observer{
		Settled: func(b Batch) {
			if b.Took <= 0 {
				t.Error("a batch took no time")
			}
			b.Took = 0
			settled <- b
		},
		Trace: func(ctx context.Context, traces []string) (context.Context, func()) {
			traced <- traces
			open++
			return context.WithValue(ctx, key{}, true), func() { open-- }
		},
	}
	var waiting []*pending
	add := func(a Append, trace string) {
		t.Helper()
		a.Meta.Trace = trace
		p, err := newPending(a)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, p)
		queue <- p
	}
	add(next("a", 0), "trace-a")
	add(command(at{"b": 0}, fact("b", `1`), fact("b", `2`)), "")
	add(next("c", 7), "trace-c") // in conflict
	stop := start(t, log)
	answers(patience(t), t, waiting)
	if diff := cmp.Diff(Batch{Appends: 3, Events: 3, Conflicts: 1}, <-settled); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"trace-a", "trace-c"}, <-traced); diff != "" {
		t.Error(diff)
	}
	mustAppend(t, log, next("a", 1))
	if diff := cmp.Diff(Batch{Appends: 1, Events: 1}, <-settled); diff != "" {
		t.Error(diff)
	}
	if traces := <-traced; traces != nil {
		t.Errorf("what is in no trace has %v", traces)
	}
	stop()
	if open != 0 {
		t.Errorf("%d batches are still being traced", open)
	}
}
