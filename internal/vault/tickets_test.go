package vault

import (
	"errors"
	"regexp"
	"sync"
	"testing"

	"foof/events"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

func newTicket(t *testing.T, v *Vault, user events.UserID) (id, token string) {
	t.Helper()
	id, err := v.NewTicket(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	if token, err = v.Ticket(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id, token
}

func TestTickets(t *testing.T) {
	t.Parallel()
	// found says which ticket has a token, "" for none.
	found := func(t *testing.T, v *Vault, token string) (string, events.UserID) {
		t.Helper()
		id, user, err := v.TicketOf(t.Context(), token)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is %v", err)
		}
		return id, user
	}

	t.Run("have tokens of 130 bits that a URL takes as they are, drawn each time", func(t *testing.T) {
		t.Parallel()
		v := open(t, service(t))
		drawn := map[string]bool{}
		for range 20 {
			_, token := newTicket(t, v, 7)
			if !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(token) {
				t.Errorf("a token is %q", token)
			}
			drawn[token] = true
		}
		if len(drawn) != 20 {
			t.Errorf("20 draws gave %d tokens", len(drawn))
		}
	})

	t.Run("are found by their tokens, also when opened again and by many at once", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		var all sync.WaitGroup
		for user := range events.UserID(10) {
			all.Go(func() {
				id, token := newTicket(t, v, user+1)
				if got, whose := found(t, open(t, pool), token); got != id || whose != user+1 {
					t.Errorf("it is %s of user %d, want %s of %d", got, whose, id, user+1)
				}
			})
		}
		all.Wait()
	})

	t.Run("are not found by anything else", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		id, token := newTicket(t, v, 7)
		_, elsewhere := newTicket(t, open(t, service(t)), 7)
		for _, junk := range []string{
			"", id, token[1:], token + "A", token + "\x00", " " + token, "\x00", "\xff\xfe", "' or true", elsewhere, string(v.ticketHash(token)), string(make([]byte, 1<<20)),
		} {
			if got, _ := found(t, v, junk); got != "" {
				t.Errorf("%.40q finds %s", junk, got)
			}
		}
	})

	t.Run("that there are not are pgx.ErrNoRows", func(t *testing.T) {
		t.Parallel()
		v := open(t, service(t))
		if _, err := v.Ticket(t.Context(), uuid.NewString()); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is %v", err)
		}
		if _, _, err := v.TicketOf(t.Context(), "x"); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("of more than two days ago are swept away with the next one", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		old, oldToken := newTicket(t, v, 7)
		recent, _ := newTicket(t, v, 7)
		exec(t, pool, `update vault_tickets set created_at = now() - interval '2 days 1 second' where id = $1`, old)
		exec(t, pool, `update vault_tickets set created_at = now() - interval '47 hours 59 minutes' where id = $1`, recent)
		if got, _ := found(t, v, oldToken); got != old {
			t.Error("it was swept before its time")
		}
		newTicket(t, v, 8)
		if _, err := v.Ticket(t.Context(), old); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("the old one is %v", err)
		}
		if _, err := v.Ticket(t.Context(), recent); err != nil {
			t.Errorf("the recent one is %v", err)
		}
	})

	t.Run("cannot be moved to another id", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		mine, _ := newTicket(t, v, 7)
		theirs, _ := newTicket(t, v, 8)
		exec(t, pool, `update vault_tickets set sealed = (select sealed from vault_tickets where id = $1) where id = $2`, mine, theirs)
		if _, err := v.Ticket(t.Context(), theirs); err == nil || errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("are not in the tables in clear", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		_, token := newTicket(t, open(t, pool), 7)
		absent(t, pool, []byte(token))
	})
}
