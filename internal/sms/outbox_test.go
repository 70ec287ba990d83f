package sms

import (
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func send(t *testing.T, o *Outbox, messages ...Message) {
	t.Helper()
	for _, m := range messages {
		if err := o.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()

	t.Run("gives messages back, newest first", func(t *testing.T) {
		t.Parallel()
		o := &Outbox{}
		one, two, three := Message{To: "1", Code: "a", Body: "x", At: noon}, Message{To: "2", Code: "b"}, Message{To: "1", Code: "c"}
		send(t, o, one, two, three)
		for to, want := range map[string][]Message{"": {three, two, one}, "1": {three, one}, "2": {two}, "3": nil} {
			if diff := cmp.Diff(want, o.Messages(to)); diff != "" {
				t.Errorf("to %q (-want +got):\n%s", to, diff)
			}
		}
	})

	t.Run("has none at first", func(t *testing.T) {
		t.Parallel()
		if got := (&Outbox{}).Messages(""); len(got) > 0 {
			t.Errorf("it has %v", got)
		}
	})

	t.Run("keeps the newest thousand", func(t *testing.T) {
		t.Parallel()
		o := &Outbox{}
		for n := range 2*outboxSize + 1 {
			send(t, o, Message{To: strconv.Itoa(n)})
		}
		got := o.Messages("")
		if len(got) != 1000 || got[0].To != "2000" || got[999].To != "1001" {
			t.Errorf("it keeps %d, from %s back to %s", len(got), got[0].To, got[len(got)-1].To)
		}
	})

	t.Run("gives a list away that is the caller's", func(t *testing.T) {
		t.Parallel()
		o := &Outbox{}
		send(t, o, Message{To: "1"})
		o.Messages("")[0].To = "changed"
		if got := o.Messages(""); got[0].To != "1" {
			t.Errorf("it has %v", got)
		}
	})

	t.Run("may be used by many at once", func(t *testing.T) {
		t.Parallel()
		const senders, each = 20, 60
		o := &Outbox{}
		var all sync.WaitGroup
		for n := range senders {
			all.Go(func() {
				for range each {
					send(t, o, Message{To: strconv.Itoa(n)})
					o.Messages("0")
				}
			})
		}
		all.Wait()
		if got := len(o.Messages("")); got != outboxSize {
			t.Errorf("it keeps %d", got)
		}
	})
}
