package outbox

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"foof/internal/mail"
	"foof/internal/sms"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func text(t *testing.T, o *Outbox, to string) {
	t.Helper()
	if err := o.SendText(t.Context(), sms.Message{To: to}); err != nil {
		t.Error(err)
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()

	t.Run("gives messages of both kinds back, newest first, and tells of each", func(t *testing.T) {
		t.Parallel()
		var told []Message
		o := &Outbox{Tell: func(_ context.Context, m Message) { told = append(told, m) }}
		first := sms.Message{ID: "1", To: "139", Body: "your code", Code: "123456", At: noon}
		second := mail.Message{ID: "2", To: "a@b", Subject: "verify", Body: "your link", Link: "http://x", At: noon}
		for range 2 {
			if err := o.SendText(t.Context(), first); err != nil {
				t.Error(err)
			}
			if err := o.SendMail(t.Context(), second); err != nil {
				t.Error(err)
			}
		}
		one := Message{To: "139", Channel: "sms", Body: "your code", Code: "123456", At: noon}
		two := Message{To: "a@b", Channel: "mail", Body: "your link", Link: "http://x", At: noon}
		for to, want := range map[string][]Message{"": {two, one, two, one}, "139": {one, one}, "a@b": {two, two}, "3": {}} {
			if diff := cmp.Diff(want, o.Messages(to)); diff != "" {
				t.Errorf("to %q (-want +got):\n%s", to, diff)
			}
		}
		if diff := cmp.Diff([]Message{one, two, one, two}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
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
			text(t, o, strconv.Itoa(n))
		}
		got := o.Messages("")
		if len(got) != 1000 || got[0].To != "2000" || got[999].To != "1001" {
			t.Errorf("it keeps %d, from %s back to %s", len(got), got[0].To, got[len(got)-1].To)
		}
	})

	t.Run("gives a list away that is the caller's", func(t *testing.T) {
		t.Parallel()
		o := &Outbox{}
		text(t, o, "1")
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
					text(t, o, strconv.Itoa(n))
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
