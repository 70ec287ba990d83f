package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/events"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgconn"
)

func (w *world) poison() *Poison { return &Poison{DB: w.pool} }

func (w *world) poisoned(t *testing.T, reader string) []Poisoned {
	t.Helper()
	list, err := w.poison().List(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// until looks every few milliseconds whether something has come to be that gives no signal.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		receive(t, tick.C)
	}
}

// replay asks for it of the reader things.
func (w *world) replay(t *testing.T, positions ...events.Position) {
	t.Helper()
	if _, err := w.poison().Replay(t.Context(), "things", positions...); err != nil {
		t.Fatal(err)
	}
}

// reactor handles events as it is told, and remembers which.
type reactor struct {
	mu      sync.Mutex
	answers map[string]error // by position; nil: all is well
	handled []string
	came    chan string
}

func newReactor(answers map[string]error) *reactor {
	return &reactor{answers: maps.Clone(answers), came: make(chan string, 10_000)}
}

func (r *reactor) handle(msg *message.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handled = append(r.handled, msg.UUID)
	r.came <- msg.UUID
	return r.answers[msg.UUID]
}

func (r *reactor) answer(position string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[position] = err
}

func (r *reactor) times(position string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, came := range r.handled {
		if came == position {
			n++
		}
	}
	return n
}

var errDown = errors.New("down")

func TestWhatAReactorCannotHandle(t *testing.T) {
	t.Parallel()

	t.Run("is given up after a while, and later events go on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened, happened)
		things := newReactor(map[string]error{"2": errDown})
		r := w.router(t, func(o *Options) { o.Retries = quickly() })
		r.Add("things", []string{happened}, things.handle)
		run(t, r.Run)
		w.settled(t, "things", 3)
		n := things.times("2")
		if n < 3 || things.times("1") != 1 || things.times("3") != 1 {
			t.Errorf("they were handled %v", things.handled)
		}
		got := w.poisoned(t, "things")
		want := []Poisoned{{Position: 2, Type: happened, Error: "down", Attempts: n}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Poisoned{}, "FailedAt")); diff != "" {
			t.Errorf("poisoned (-want +got):\n%s", diff)
		}
		if age := time.Since(got[0].FailedAt).Abs(); age > time.Minute {
			t.Errorf("it failed %s ago", age)
		}
	})

	t.Run("for good is given up at once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened, happened)
		things := newReactor(map[string]error{
			"1": fmt.Errorf("no such number: %w", ErrPermanent), "2": fmt.Errorf("read: %w", &events.DecodeError{Position: 2, Err: events.ErrUnknownType}),
		})
		r := w.router(t)
		r.Add("things", []string{happened}, things.handle)
		run(t, r.Run)
		w.settled(t, "things", 3)
		if diff := cmp.Diff([]string{"1", "2", "3"}, things.handled); diff != "" {
			t.Errorf("handled (-want +got):\n%s", diff)
		}
		if got := w.poisoned(t, "things"); len(got) != 2 || got[0].Attempts != 1 || got[1].Attempts != 1 {
			t.Errorf("poisoned: %+v", got)
		}
	})

	t.Run("is nobody else's", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		bad, good := newReactor(map[string]error{"1": ErrPermanent}), newReactor(nil)
		r := w.router(t)
		r.Add("bad", []string{happened}, bad.handle)
		r.Add("good", []string{happened}, good.handle)
		run(t, r.Run)
		w.settled(t, "bad", 1)
		w.settled(t, "good", 1)
		if b, g := w.poisoned(t, "bad"), w.poisoned(t, "good"); len(b) != 1 || len(g) != 0 {
			t.Errorf("poisoned: %v and %v", b, g)
		}
	})

	t.Run("tells nothing of a panic but what went wrong in the program", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened, happened)
		var logged lines
		r := w.router(t, func(o *Options) {
			o.Retries, o.Logger = quickly(), slog.New(slog.NewTextHandler(&logged, nil))
		})
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			switch msg.UUID {
			case "1":
				panic("the number is 13800138000")
			case "2":
				none := make([]int, 0)
				none[len(msg.Payload)] = 1
			}
			return errors.New(strings.Repeat("长", 600))
		})
		run(t, r.Run)
		w.settled(t, "things", 3)
		var reasons []string
		for _, p := range w.poisoned(t, "things") {
			reasons = append(reasons, p.Error)
		}
		want := []string{"panic with a string", "panic: runtime error: index out of range [2] with length 0", strings.Repeat("长", 500)}
		if diff := cmp.Diff(want, reasons); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
		text := logged.String()
		if strings.Contains(text, "13800138000") || !strings.Contains(text, "poison_test.go") || !strings.Contains(text, `msg="event poisoned" reader=things position=1`) {
			t.Errorf("the log says:\n%s", text)
		}
	})

	t.Run("has so long for a try and no longer", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		r := w.router(t, func(o *Options) {
			o.Retries = quickly()
			o.Retries.Try = 5 * time.Millisecond
		})
		var hung atomic.Int32
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			if msg.UUID == "2" {
				return nil
			}
			<-msg.Context().Done()
			hung.Add(1)
			return msg.Context().Err()
		})
		run(t, r.Run)
		w.settled(t, "things", 2)
		got := w.poisoned(t, "things")
		if len(got) != 1 || got[0].Error != context.DeadlineExceeded.Error() || got[0].Attempts != int(hung.Load()) || hung.Load() < 2 {
			t.Errorf("poisoned after %d tries: %+v", hung.Load(), got)
		}
	})

	t.Run("is counted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		var mu sync.Mutex
		counts := map[string]int{}
		r := w.router(t, func(o *Options) {
			o.Retries = quickly()
			count := func(what string) {
				mu.Lock()
				defer mu.Unlock()
				counts[what]++
			}
			o.Observer.GaveUp = func(reader string) { count(reader + " poisoned") }
			o.Observer.Attempted = func(reader string, _ time.Duration, err error) {
				if err == nil {
					count(reader + " handled")
				} else {
					count(reader + " failed")
				}
			}
		})
		things := newReactor(map[string]error{"1": errDown})
		r.Add("things", []string{happened}, things.handle)
		stop := run(t, r.Run)
		w.settled(t, "things", 2)
		stop()
		want := map[string]int{"things handled": 1, "things failed": things.times("1"), "things poisoned": 1}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})

	t.Run("is not given up because the program ends", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		things := newReactor(map[string]error{"1": errDown})
		r := w.router(t)
		r.Add("things", []string{happened}, things.handle)
		stop := run(t, r.Run)
		receive(t, things.came)
		stop()
		if got := w.poisoned(t, "things"); len(got) > 0 || w.checkpoint(t, "things") != 0 {
			t.Errorf("poisoned: %v, and the checkpoint is at %d", got, w.checkpoint(t, "things"))
		}
		things.answer("1", nil)
		again := w.router(t)
		again.Add("things", []string{happened}, things.handle)
		run(t, again.Run)
		w.settled(t, "things", 1)
	})

	t.Run("waits where it is while the poison queue cannot be written", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		broken := &atomic.Bool{}
		broken.Store(true)
		things := newReactor(map[string]error{"1": ErrPermanent})
		r, err := NewRouter(w.log, &Poison{DB: sometimes{w.pool, broken}}, Options{Logger: slog.New(slog.DiscardHandler), CloseTimeout: time.Minute, Retries: quickly()})
		if err != nil {
			t.Fatal(err)
		}
		r.Add("things", []string{happened}, things.handle)
		run(t, r.Run)
		receive(t, things.came)
		if at := receive(t, things.came); at != "1" || w.checkpoint(t, "things") != 0 {
			t.Errorf("event %s came, and the checkpoint is at %d", at, w.checkpoint(t, "things"))
		}
		broken.Store(false)
		w.settled(t, "things", 2)
		if got := w.poisoned(t, "things"); len(got) != 1 {
			t.Errorf("poisoned: %+v", got)
		}
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	bad := map[string]error{"1": ErrPermanent, "2": ErrPermanent, "3": ErrPermanent}
	// given is a router that has given three events up.
	given := func(t *testing.T) (*world, *reactor, func()) {
		t.Helper()
		w := newWorld(t)
		w.append(t, happened, happened, happened, happened)
		things := newReactor(bad)
		r := w.router(t)
		r.Add("things", []string{happened}, things.handle)
		stop := run(t, r.Run)
		w.settled(t, "things", 4)
		if got := w.poisoned(t, "things"); len(got) != 3 {
			t.Fatalf("poisoned: %+v", got)
		}
		return w, things, stop
	}

	t.Run("handles again what was named, once, and nothing else", func(t *testing.T) {
		t.Parallel()
		w, things, stop := given(t)
		things.answer("2", nil)
		w.replay(t, 2)
		until(t, func() bool { return len(w.poisoned(t, "things")) == 2 })
		stop()
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "2"}, things.handled); diff != "" {
			t.Errorf("handled (-want +got):\n%s", diff)
		}
		if left := w.poisoned(t, "things"); left[0].Position != 1 || left[1].Position != 3 || w.checkpoint(t, "things") != 4 {
			t.Errorf("left are %+v", left)
		}
	})

	t.Run("handles all of a reader in the order of the log, and what fails again comes back with its attempts added up", func(t *testing.T) {
		t.Parallel()
		w, things, stop := given(t)
		things.answer("1", nil)
		things.answer("2", fmt.Errorf("%w: still", ErrPermanent))
		things.answer("3", nil)
		w.replay(t)
		until(t, func() bool { return len(w.poisoned(t, "things")) == 1 })
		stop()
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "1", "2", "3"}, things.handled); diff != "" {
			t.Errorf("handled (-want +got):\n%s", diff)
		}
		left := w.poisoned(t, "things")[0]
		if left.Position != 2 || left.Attempts != 2 || left.Asked != nil || left.Error != ErrPermanent.Error()+": still" {
			t.Errorf("left is %+v", left)
		}
	})

	t.Run("does not hold up what comes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		var failed atomic.Bool
		began, gate, live := make(chan struct{}), make(chan struct{}), make(chan string, 10)
		r := w.router(t)
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			switch {
			case msg.UUID != "1":
				live <- msg.UUID
			case failed.CompareAndSwap(false, true):
				return ErrPermanent
			default:
				close(began)
				<-gate
			}
			return nil
		})
		run(t, r.Run)
		w.settled(t, "things", 1)
		w.replay(t)
		receiveOrEnd(t, began)
		w.append(t, happened)
		if got := receive(t, live); got != "2" {
			t.Errorf("event %s came", got)
		}
		close(gate)
		until(t, func() bool { return len(w.poisoned(t, "things")) == 0 })
	})

	t.Run("comes again if the program ended in the middle of it", func(t *testing.T) {
		t.Parallel()
		w, _, stop := given(t)
		stop()
		w.replay(t, 3)
		began := make(chan struct{})
		r := w.router(t)
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			close(began)
			<-msg.Context().Done()
			return msg.Context().Err()
		})
		stop = run(t, r.Run)
		receiveOrEnd(t, began)
		stop()
		if got := w.poisoned(t, "things"); len(got) != 3 || got[2].Asked == nil {
			t.Fatalf("poisoned: %+v", got)
		}
		things := newReactor(nil)
		again := w.router(t)
		again.Add("things", []string{happened}, things.handle)
		run(t, again.Run)
		if at := receive(t, things.came); at != "3" {
			t.Errorf("event %s came", at)
		}
		until(t, func() bool { return len(w.poisoned(t, "things")) == 2 })
	})

	t.Run("is for the owner of the claim alone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		bad := newReactor(map[string]error{"1": ErrPermanent})
		owner := w.router(t)
		owner.Add("things", []string{happened}, bad.handle)
		stop := run(t, owner.Run)
		w.settled(t, "things", 1)
		standing := newReactor(nil)
		other := w.router(t)
		other.Add("things", []string{happened}, standing.handle)
		run(t, other.Run)
		w.replay(t)
		until(t, func() bool { return bad.times("1") == 2 })
		if standing.times("1") > 0 {
			t.Error("it came to the one that stands by")
		}
		until(t, func() bool { return w.poisoned(t, "things")[0].Attempts == 2 })
		stop()
		w.replay(t)
		if at := receive(t, standing.came); at != "1" {
			t.Errorf("event %s came", at)
		}
		until(t, func() bool { return len(w.poisoned(t, "things")) == 0 })
	})

	t.Run("that was discarded in the meantime, or is of no event, is nothing", func(t *testing.T) {
		t.Parallel()
		w, things, stop := given(t)
		if err := w.poison().add(t.Context(), "things", "99", happened, "gone", 1); err != nil {
			t.Fatal(err)
		}
		things.answer("3", nil)
		w.replay(t, 99)
		gone, err := w.poison().Discard(t.Context(), "things", 1, 2, 77)
		if slices.Sort(gone); err != nil || !slices.Equal(gone, []events.Position{1, 2}) {
			t.Errorf("discarded %v, %v", gone, err)
		}
		w.replay(t, 3)
		until(t, func() bool { return len(w.poisoned(t, "things")) == 1 })
		stop()
		if n := len(things.handled); n != 5 {
			t.Errorf("handled %v", things.handled)
		}
		if gone, err = w.poison().Discard(t.Context(), "things"); err != nil || !slices.Equal(gone, []events.Position{99}) {
			t.Errorf("discarded %v, %v", gone, err)
		}
	})

	t.Run("of another reader, or of what was not given up, is nothing", func(t *testing.T) {
		t.Parallel()
		w, _, _ := given(t)
		for reader, position := range map[string]events.Position{"others": 1, "things": 4} {
			if got, err := w.poison().Replay(t.Context(), reader, position); err != nil || len(got) > 0 {
				t.Errorf("%s %d: %v, %v", reader, position, got, err)
			}
		}
	})
}

// sometimes is a database that may not be written.
type sometimes struct {
	DB

	broken *atomic.Bool
}

func (s sometimes) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	if s.broken.Load() {
		return tag, errDown
	}
	return s.DB.Exec(ctx, sql, args...)
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
