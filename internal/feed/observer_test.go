package feed

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestObserver(t *testing.T) {
	t.Parallel()

	t.Run("hears of each attempt, and how it ended", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		r := w.router(t)
		type key struct{}
		attempts, traced := make(chan string, 10), make(chan string, 10)
		told := func(to chan<- string, reader string, err error) {
			if err != nil {
				reader += ": " + err.Error()
			}
			to <- reader
		}
		r.Observer = Observer{
			Attempted: func(reader string, _ time.Duration, err error) { told(attempts, reader, err) },
			Trace: func(ctx context.Context, reader, _ string) (context.Context, func(error)) {
				return context.WithValue(ctx, key{}, true), func(err error) { told(traced, reader, err) }
			},
		}
		var calls atomic.Int32
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			if msg.Context().Value(key{}) == nil {
				t.Error("the attempt goes on under another context than the observer's")
			}
			switch calls.Add(1) {
			case 1:
				return errors.New("not now")
			case 2:
				panic("not now either")
			}
			return nil
		})
		run(t, r.Run)
		for _, want := range []string{"things: not now", "things: it panicked", "things", "things"} {
			if got := receive(t, attempts); got != want {
				t.Errorf("attempt %q, want %q", got, want)
			}
			if got := receive(t, traced); got != want {
				t.Errorf("span %q, want %q", got, want)
			}
		}
	})

	t.Run("hears when a reactor gives up, and not when it is told to end", func(t *testing.T) {
		t.Parallel()
		r := newWorld(t).router(t)
		gaveUp := 0
		r.Observer.GaveUp = func(string) { gaveUp++ }
		failing := r.givingUp(func(*message.Message) ([]*message.Message, error) { return nil, errors.New("never") })
		ctx, cancel := context.WithCancel(t.Context())
		msg := message.NewMessageWithContext(ctx, "1", nil)
		if _, err := failing(msg); err == nil || gaveUp != 1 {
			t.Errorf("%v, and it gave up %d times", err, gaveUp)
		}
		cancel()
		if _, err := failing(msg); err == nil || gaveUp != 1 {
			t.Errorf("%v, and it gave up %d times", err, gaveUp)
		}
	})
}
