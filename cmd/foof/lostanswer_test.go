package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
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
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(patience(t), `select from log_head for update`); err != nil { // no append gets through
		t.Fatal(err)
	}
	ctx, goAway := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := s.try(s.keyed(t, key, "/item/add", urlEncoded, item).WithContext(ctx)) //nolint:contextcheck // it has it here
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

// TestAnAnswerThatBrokeOffIsNotKept has a long answer break off in the middle, as the log refuses what belongs to it: with the key
// the whole answer comes next time.
func TestAnAnswerThatBrokeOffIsNotKept(t *testing.T) {
	t.Parallel()
	const count = 40 // 2.6 MB, which are looked up in two pieces
	s := start(t)
	ann, bob := s.join(t), s.join(t)
	ann.write(t, bob, slices.Repeat([]string{strings.Repeat("x", 65_000)}, count-1))
	ann.push(t, bob, "the last one") // which is answered when they all show
	all := fields{"token": bob.token}
	s.post(t, "/user/chat/fetchall", all.with("limit", count-1)).json(t) // so that nothing is to be marked in the first piece
	alter := func(sql string) {
		if _, err := s.db.Exec(patience(t), sql); err != nil {
			t.Fatal(err)
		}
	}
	alter(`alter table events add constraint none check (type <> 'message.fetched') not valid`)
	key := uuid.NewString()
	first, err := s.try(s.keyed(t, key, "/user/chat/fetchall", urlEncoded, all))
	if _, wrong := literally(first.body); err != nil || wrong == nil {
		t.Fatalf("it did not break off: %v, %d and %d bytes", err, first.status, len(first.body))
	}
	alter(`alter table events drop constraint none`)
	var got struct {
		Data []chatMessage `json:"data"`
	}
	again := s.postOnce(t, key, "/user/chat/fetchall", all)
	if err := json.Unmarshal([]byte(again.body), &got); err != nil || len(got.Data) != count {
		t.Errorf("again: %d, replayed: %t, %d bytes, %d messages of %d, %v", again.status, replayed(again), len(again.body), len(got.Data), count, err)
	}
}
