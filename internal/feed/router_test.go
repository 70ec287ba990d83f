package feed

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// quickly gives an event up after some tries within a moment.
func quickly() Retries {
	return Retries{First: time.Millisecond, Longest: 4 * time.Millisecond, Total: 100 * time.Millisecond, Try: time.Minute}
}

// patiently gives nothing up while a test lasts.
func patiently() Retries {
	return Retries{First: time.Millisecond, Longest: 4 * time.Millisecond, Total: time.Hour, Try: time.Minute}
}

func (w *world) router(t *testing.T, change ...func(*Options)) *Router {
	t.Helper()
	o := Options{Logger: slog.New(slog.DiscardHandler), CloseTimeout: time.Minute, Retries: patiently()}
	for _, f := range change {
		f(&o)
	}
	r, err := NewRouter(w.log, w.poison(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRouter(t *testing.T) {
	t.Parallel()

	t.Run("gives each reactor the events of its types, in order", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, "other.happened", happened)
		r := w.router(t)
		things, others := make(chan string, 10), make(chan string, 10)
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			things <- msg.UUID + " of " + middleware.MessageCorrelationID(msg)
			return nil
		})
		r.Add("others", []string{"other.happened"}, func(msg *message.Message) error {
			others <- msg.UUID
			return nil
		})
		run(t, r.Run)
		for _, want := range []string{"1 of request-1", "3 of request-1"} {
			if got := receive(t, things); got != want {
				t.Errorf("things got %s, want %s", got, want)
			}
		}
		if got := receive(t, others); got != "2" {
			t.Errorf("others got %s", got)
		}
		w.settled(t, "things", 3)
		w.settled(t, "others", 3)
	})

	t.Run("gives an event again that could not be handled, before any other", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		r := w.router(t)
		var calls atomic.Int32
		handled := make(chan string, 10)
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			handled <- msg.UUID
			switch calls.Add(1) {
			case 1:
				return errors.New("not now")
			case 2:
				panic("not now either")
			}
			return nil
		})
		run(t, r.Run)
		for _, want := range []string{"1", "1", "1", "2"} {
			if got := receive(t, handled); got != want {
				t.Errorf("event %s, want %s", got, want)
			}
		}
		w.settled(t, "things", 2)
	})

	t.Run("ends with its context, and takes reactors along", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		r := w.router(t)
		began, ended := make(chan struct{}), make(chan struct{})
		r.Add("things", []string{happened}, func(msg *message.Message) error {
			close(began)
			<-msg.Context().Done()
			close(ended)
			return nil
		})
		stop := run(t, r.Run)
		receiveOrEnd(t, began)
		stop()
		receiveOrEnd(t, ended)
	})
}
