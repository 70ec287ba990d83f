package inbox

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"foof/events"
)

func wait(t *testing.T, b *Bell, user events.UserID) *Wait {
	t.Helper()
	w, err := b.Wait(user)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// rung tells whether it has rung, without waiting.
func rung(w *Wait) (rung, open bool) {
	select {
	case _, open := <-w.Rung:
		return true, open
	default:
		return false, true
	}
}

func TestBell(t *testing.T) {
	t.Parallel()
	t.Run("rings for all who wait for a user, and for nobody else", func(t *testing.T) {
		t.Parallel()
		b := NewBell(2)
		one, two, other := wait(t, b, 7), wait(t, b, 7), wait(t, b, 8)
		b.Ring(7, 41)
		b.Ring(9, 42)
		for w, want := range map[*Wait]bool{one: true, two: true, other: false} {
			if got, _ := rung(w); got != want {
				t.Errorf("it rang: %t, want %t", got, want)
			}
		}
		if one.Position() != 41 || other.Position() != 0 {
			t.Errorf("positions %d and %d", one.Position(), other.Position())
		}
	})
	t.Run("rings once for many messages that nobody looked at, and tells the newest", func(t *testing.T) {
		t.Parallel()
		b := NewBell(1)
		w := wait(t, b, 7)
		for position := range events.Position(1000) {
			b.Ring(7, position)
		}
		b.Ring(7, 5)
		first, _ := rung(w)
		second, _ := rung(w)
		if !first || second || w.Position() != 999 {
			t.Errorf("it rang: %t, and again: %t, for %d", first, second, w.Position())
		}
		b.Ring(7, 1000)
		if again, _ := rung(w); !again {
			t.Error("it does not ring again")
		}
	})
	t.Run("lets so many wait for one user", func(t *testing.T) {
		t.Parallel()
		b := NewBell(2)
		first := wait(t, b, 7)
		wait(t, b, 7)
		if _, err := b.Wait(7); !errors.Is(err, ErrTooMany) {
			t.Errorf("the third: %v", err)
		}
		wait(t, b, 8)
		first.Stop()
		first.Stop()
		wait(t, b, 7)
		if n := b.Waiting(); n != 3 {
			t.Errorf("%d wait", n)
		}
	})
	t.Run("sends all home when it closes", func(t *testing.T) {
		t.Parallel()
		b := NewBell(1)
		w := wait(t, b, 7)
		b.Close()
		b.Close()
		b.Ring(7, 1)
		if _, open := rung(w); open {
			t.Error("they still wait")
		}
		w.Stop()
		if _, err := b.Wait(8); !errors.Is(err, ErrClosed) {
			t.Errorf("who comes late: %v", err)
		}
	})
	t.Run("may be used by many at once", func(t *testing.T) {
		t.Parallel()
		b := NewBell(1000)
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				for i := range 100 {
					w, err := b.Wait(events.UserID(i % 3))
					if err != nil {
						return // it is closed
					}
					b.Ring(events.UserID(n%3), events.Position(i))
					rung(w)
					w.Position()
					w.Stop()
				}
			})
		}
		all.Go(b.Close)
		all.Wait()
		if n := b.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

func TestMessageIsWrittenAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	at := Time(time.Date(2019, 9, 4, 22, 29, 5, 999_999, time.FixedZone("", 8*3600)))
	text, err := json.Marshal(Message{ID: 2, From: 1, To: 3, Data: "hi, world.", CreatedAt: at, UpdatedAt: at, Position: 9})
	const want = `{"id":2,"from":1,"to":3,"data":"hi, world.","fetched":false,"createdAt":"2019-09-04T14:29:05.000Z","updatedAt":"2019-09-04T14:29:05.000Z"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	longest := Message{ID: 1<<63 - 1, From: 1<<63 - 1, To: 1<<63 - 1, CreatedAt: at, UpdatedAt: at}
	if text, err = json.Marshal(longest); err != nil || len(text) > frame-len(",") {
		t.Errorf("without its text a message takes %d bytes", len(text))
	}
}
