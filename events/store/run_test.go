package store

import (
	"context"
	"errors"
	"sync"
	"testing"

	"foof/events"
	"foof/internal/pgtest"

	"go.uber.org/goleak"
)

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("refuses appends when it has ended", func(t *testing.T) {
		t.Parallel()
		log := Open(newDatabase(t).service(t))
		stop := start(t, log)
		mustAppend(t, log, next("a", 0))
		stop()
		if _, err := log.Append(patience(t), next("a", 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want %v", err, ErrClosed)
		}
		if head, err := log.Head(patience(t)); head != 1 || err != nil {
			t.Errorf("the head is at %d, %v", head, err)
		}
	})
	t.Run("ends under load with every append answered", func(t *testing.T) {
		t.Parallel()
		var (
			log       = Open(newDatabase(t).service(t))
			stop      = start(t, log)
			ctx       = patience(t)
			mu        sync.Mutex
			last      = map[string]events.Version{}
			appenders sync.WaitGroup
			underWay  = make(chan struct{}, 1000)
		)
		for _, stream := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			appenders.Go(func() {
				for version := events.Version(0); ; version++ {
					_, err := log.Append(ctx, next(stream, version))
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Errorf("%s: %v, want %v", stream, err, ErrClosed)
						}
						mu.Lock()
						last[stream] = version
						mu.Unlock()
						return
					}
					select {
					case underWay <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 100 {
			<-underWay
		}
		stop()
		appenders.Wait()
		for stream, want := range last {
			if page, err := log.Load(ctx, stream); err != nil || len(page) != int(want) {
				t.Errorf("%s has %d events, %v; %d were acknowledged", stream, len(page), err, want)
			}
		}
	})
	t.Run("ends while everybody wants the same stream", func(t *testing.T) {
		t.Parallel()
		var (
			log       = Open(newDatabase(t).service(t))
			stop      = start(t, log)
			ctx       = patience(t)
			appenders sync.WaitGroup
			conflicts = make(chan struct{}, 1000)
		)
		for range 32 { // some of them are always held for the next batch
			appenders.Go(func() {
				var (
					err      error
					conflict *ConflictError
				)
				for version := events.Version(0); err == nil || errors.As(err, &conflict); version++ {
					if conflict != nil {
						version = conflict.Actual
						select {
						case conflicts <- struct{}{}:
						default:
						}
					}
					_, err = log.Append(ctx, next("hot", version))
				}
				if !errors.Is(err, ErrClosed) {
					t.Errorf("%v, want %v", err, ErrClosed)
				}
			})
		}
		for range 100 {
			<-conflicts
		}
		stop()
		appenders.Wait()
	})
	t.Run("answers what it took when it is told to end", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		log := Open(d.service(t))
		stop := start(t, log)
		mustAppend(t, log, next("a", 0)) // now the writer has its connection

		release := d.lockHead(t)
		answered := make(chan outcome, 1)
		go func() {
			r, err := log.Append(patience(t), next("a", 1))
			answered <- outcome{r, err}
		}()
		d.untilBlocked(t, 1)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		select {
		case <-stopped:
			t.Error("Run ended before the append that it had taken")
		case <-log.closed:
			t.Error("the writer ended before the append that it had taken")
		default:
		}
		release()
		<-stopped
		if o := <-answered; o.err != nil || o.receipt.Position != 2 {
			t.Errorf("%+v, %v", o.receipt, o.err)
		}
	})
}

// No other test runs beside this one: it looks at every goroutine of the process.
func TestRunLeavesNothingBehind(t *testing.T) { //nolint:paralleltest // goleak sees what other tests run
	pgtest.New(t) // the server that all tests share is running from here on
	ignore := []goleak.Option{goleak.IgnoreCurrent(), pgtest.IgnoreServer()}
	t.Run("when it had much to do", func(t *testing.T) {
		log, _ := running(t)
		ctx, cancel := context.WithCancel(t.Context())
		var consumers sync.WaitGroup
		for range 4 {
			consumers.Go(func() {
				for _, err := range log.Subscribe(ctx, 0, 2) {
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Errorf("subscribe: %v", err)
					}
				}
			})
		}
		for version := range events.Version(10) {
			mustAppend(t, log, next("a", version))
		}
		claim, err := log.Claim(ctx, "reader")
		if err != nil {
			t.Fatal(err)
		}
		claim.Release(t.Context())
		cancel()
		consumers.Wait()
	})
	goleak.VerifyNone(t, ignore...)
}
