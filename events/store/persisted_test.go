package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"foof/events"

	"github.com/google/go-cmp/cmp"
)

const mark = "the one that is cut off"

// shapes are the ways that an append can take to the database, with one event that has the mark.
var shapes = map[string]func() Append{
	"one event":      func() Append { return command(at{"a": 0}, fact("a", `"`+mark+`"`)) },
	"several events": func() Append { return command(at{"a": 0}, fact("a", `1`), fact("a", `"`+mark+`"`)) },
	"several streams": func() Append {
		return command(at{"b": 0, "a": 0}, fact("b", `1`), fact("b", `2`), fact("a", `"`+mark+`"`))
	},
}

var moments = map[string]moment{
	"before the request":                beforeRequest,
	"while the server is at it":         duringRequest,
	"between the commit and the answer": beforeAnswer,
	"within the answer":                 duringAnswer,
}

// A connection that breaks while it carries an append, at whatever moment, costs nothing: the writer tries again, and the
// append is in the log once.
func TestAppendOverABrokenConnection(t *testing.T) {
	t.Parallel()
	for name, when := range moments {
		for shape, shaped := range shapes {
			t.Run(name+", of "+shape, func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t)
				pool, proxy := d.proxied(t)
				log := Open(pool)
				start(t, log)
				mustAppend(t, log, next("before", 0))

				cut := proxy.cut(mark, 0, when, nil)
				a := shaped()
				receipt := mustAppend(t, log, a)
				<-cut.done

				want := Receipt{Position: events.Position(1 + len(a.Events)), Version: a.versionOfLast()}
				if receipt.Repeated = false; receipt != want {
					t.Errorf("receipt %+v, want %+v", receipt, want)
				}
				want.Repeated = true
				if again := mustAppend(t, log, a); again != want {
					t.Errorf("repeated, it has receipt %+v, want %+v", again, want)
				}
				mustAppend(t, log, next("after", 0))
				checkDelivery(t, log, len(a.Events)+2)
			})
		}
	}
}

// versionOfLast is the version of the last event, if what is expected holds.
func (a Append) versionOfLast() events.Version {
	last := a.Events[len(a.Events)-1].Stream
	version := a.Expect[last]
	for _, e := range a.Events {
		if e.Stream == last {
			version++
		}
	}
	return version
}

// checkDelivery checks that the log has n events and that a subscriber gets each once.
func checkDelivery(t *testing.T, log *Log, n int) {
	t.Helper()
	stored := everything(t, log)
	if len(stored) != n {
		t.Errorf("the log has %d events, want %d", len(stored), n)
	}
	var seen []events.Recorded
	for page, err := range log.Subscribe(patience(t), 0, 2) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, page...); len(seen) >= n {
			break
		}
	}
	sameEvents(t, "subscribed", seen, stored)
}

// A batch that is cut off is answered as it would have been otherwise, whichever of the calls that it takes is the one.
func TestBatchOverABrokenConnection(t *testing.T) {
	t.Parallel()
	for name, when := range moments {
		for call, skip := range map[string]int{"the appends": 0, "the question for repeated ones": 1} {
			t.Run(name+" of "+call, func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t)
				given := next("known", 0)
				together(t, d.service(t), given, next("taken", 0))

				pool, proxy := d.proxied(t)
				cut := proxy.cut(string(given.Command[:]), skip, when, nil)
				var (
					appends = []Append{next("first", 0), given, next("taken", 0)}
					want    = []string{"at 3", "at 1 again", "taken is at version 1, not 0"}
					head    = 3
				)
				for i := range 20 {
					appends = append(appends, twin(fmt.Sprintf("new-%d", i), 0))
					head += 2
					want = append(want, fmt.Sprintf("at %d", head))
				}
				var got []string
				for i, o := range together(t, pool, appends...) {
					if appends[i].Command != given.Command {
						o.receipt.Repeated = false // as the case may be
					}
					got = append(got, told(o))
				}
				<-cut.done
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// When the writer tries again, its first try may still be waiting in the server for its turn, and comes first or second.
func TestAppendWhoseFirstTryIsStillUnderWay(t *testing.T) {
	t.Parallel()
	for shape, shaped := range shapes {
		t.Run("of "+shape, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			pool, proxy := d.proxied(t)
			log := Open(pool)
			start(t, log)
			mustAppend(t, log, next("before", 0))

			release := d.lockHead(t)
			cut := proxy.cut(mark, 0, duringRequest, nil)
			a := shaped()
			answered := goAppend(t, log, a)
			<-cut.done
			d.untilBlocked(t, 2) // both tries
			release()
			o := <-answered
			if want := events.Position(1 + len(a.Events)); o.err != nil || o.receipt.Position != want {
				t.Errorf("%+v, %v, want position %d", o.receipt, o.err, want)
			}
			checkDelivery(t, log, 1+len(a.Events))
		})
	}
}

func goAppend(t *testing.T, log *Log, a Append) <-chan outcome {
	t.Helper()
	ctx, answered := patience(t), make(chan outcome, 1)
	go func() {
		r, err := log.Append(ctx, a)
		answered <- outcome{r, err}
	}()
	return answered
}

// Who does not wait for the end of it is in doubt, and finds out by handing the same append in again.
func TestAppendInDoubt(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]moment{"that was lost": beforeRequest, "that was made durable": beforeAnswer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			pool, proxy := d.proxied(t)
			log := Open(pool)
			start(t, log)
			mustAppend(t, log, next("before", 0))

			ctx, giveUp := context.WithCancel(patience(t))
			a := twin("a", 0)
			a.Events[1].Data = []byte(`"` + mark + `"`)
			proxy.cut(mark, 0, when, func() {
				proxy.takeAway()
				giveUp()
			})
			_, err := log.Append(ctx, a)
			if !errors.Is(err, ErrInDoubt) || !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want %v", err, ErrInDoubt)
			}
			again := goAppend(t, log, a)
			proxy.bringBack()
			if o := <-again; o.err != nil || o.receipt != (Receipt{Position: 3, Version: 2, Repeated: true}) {
				t.Errorf("%+v, %v", o.receipt, o.err) // repeated in both cases: the writer went on with the first
			}
			checkDelivery(t, log, 3)
		})
	}
}

// While the database is away for long, appends are refused: after a while, and then at once. What is not known to be
// refused is in doubt.
func TestAppendWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	t.Run("is refused", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		pool, proxy := d.proxied(t)
		log := Open(pool)
		start(t, log)
		proxy.takeAway()

		var waiting sync.WaitGroup
		for i := range 10 { // some of them in the batch that is tried for long
			waiting.Go(func() {
				_, err := log.Append(patience(t), next(fmt.Sprint(i), 0))
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInDoubt) {
					t.Errorf("%v, want %v", err, ErrUnavailable)
				}
			})
		}
		waiting.Wait()
		began := time.Now()
		if _, err := log.Append(patience(t), next("0", 0)); !errors.Is(err, ErrUnavailable) || time.Since(began) > retryFor {
			t.Errorf("%v after %v, want %v at once", err, time.Since(began), ErrUnavailable)
		}
		proxy.bringBack()
		if r := mustAppend(t, log, next("0", 0)); r.Position != 1 {
			t.Errorf("the first append is at %d", r.Position)
		}
		cut := proxy.cut(mark, 0, beforeRequest, nil) // and then it is patient again
		mustAppend(t, log, shapes["one event"]())
		<-cut.done
	})
	t.Run("is in doubt if it may have got through", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		pool, proxy := d.proxied(t)
		log := Open(pool)
		start(t, log)
		proxy.cut(mark, 0, beforeAnswer, proxy.takeAway)

		a := shapes["one event"]()
		if _, err := log.Append(patience(t), a); !errors.Is(err, ErrInDoubt) {
			t.Errorf("%v, want %v", err, ErrInDoubt)
		}
		proxy.bringBack()
		if r := mustAppend(t, log, a); r != (Receipt{Position: 1, Version: 1, Repeated: true}) {
			t.Errorf("repeated, it has receipt %+v", r)
		}
		checkDelivery(t, log, 1)
	})
}
