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
		type key struct{}
		attempts, traced := make(chan string, 10), make(chan string, 10)
		told := func(to chan<- string, reader string, err error) {
			if err != nil {
				reader += ": " + err.Error()
			}
			to <- reader
		}
		r := w.router(t, func(o *Options) {
			o.Observer = Observer{
				Attempted: func(reader string, _ time.Duration, err error) { told(attempts, reader, err) },
				Trace: func(ctx context.Context, reader, _ string) (context.Context, func(error)) {
					return context.WithValue(ctx, key{}, true), func(err error) { told(traced, reader, err) }
				},
			}
		})
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
		for _, want := range []string{"things: not now", "things: panic with a string", "things", "things"} {
			if got := receive(t, attempts); got != want {
				t.Errorf("attempt %q, want %q", got, want)
			}
			if got := receive(t, traced); got != want {
				t.Errorf("span %q, want %q", got, want)
			}
		}
	})
}
