package main

import (
	"context"
	"testing"

	"github.com/google/uuid"
)

// TestWhoGoesAwayIsAnsweredNextTime has a client with a key give up while its command waits for the log: what it gets with the
// key then is an answer, and not that it was gone.
func TestWhoGoesAwayIsAnsweredNextTime(t *testing.T) {
	t.Parallel()
	s := start(t)
	ann := s.join(t)
	key, item := uuid.NewString(), powerBank().with("token", ann.token)
	tx, err := s.db.Begin(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(patience(t), `select from log_head for update`); err != nil { // no append gets through
		t.Fatal(err)
	}
	ctx, goAway := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := s.try(s.keyed(t, key, "/item/add", urlEncoded, item).WithContext(ctx))
		gone <- err
	}()
	until(t, "the append waits", func() bool {
		const sql = `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`
		return value[bool](t, s.db, sql)
	})
	goAway()
	if <-gone == nil {
		t.Fatal("it was answered")
	}
	until(t, "the service has noticed", func() bool {
		return value[bool](t, s.db, `select exists (select from answers where status is not null or taken_at = 'epoch')`)
	})
	if err := tx.Rollback(patience(t)); err != nil {
		t.Fatal(err)
	}
	s.postOnce(t, key, "/item/add", item).number(t, "itemid")
	if n := s.count(t, "item.published"); n != 1 {
		t.Errorf("%d items were published", n)
	}
}
