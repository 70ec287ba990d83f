package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/internal/pgtest"
)

// TestTheStoreGoesDownAndComesBack kills PostgreSQL under a service that is being written to, and starts it again.
func TestTheStoreGoesDownAndComesBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	dsn := server.DSN("")
	if err := migrateQuietly(patience(t), dsn); err != nil {
		t.Fatal(err)
	}
	s := start(t, over(dsn))
	s.down = true
	p := s.join(t)

	const writers = 6
	var (
		acknowledged sync.Map // item number → title
		kept         atomic.Int64
		unsure       atomic.Int64
	)
	write := func() {
		title := "item " + newNumber()
		a := p.post(t, "/item/add", powerBank().with("title", title))
		if a.status == http.StatusOK {
			acknowledged.Store(a.number(t, "itemid"), title)
			kept.Add(1)
			return
		}
		a.isDown(t)
		unsure.Add(1)
	}
	for round := range 2 {
		ctx, cancel := context.WithCancel(patience(t))
		started := kept.Load()
		var working sync.WaitGroup
		for range writers {
			working.Go(func() {
				for ctx.Err() == nil {
					write()
				}
			})
		}
		until(t, "30 are written", func() bool { return kept.Load() >= started+30 })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		missed := unsure.Load()
		until(t, "each writer has heard of it", func() bool { return unsure.Load() >= missed+2*writers })
		t.Logf("round %d: %d written; the writers heard after %s", round, kept.Load(), time.Since(began).Round(time.Millisecond))
		cancel()
		working.Wait()

		for path, f := range posts(p, 1) {
			began := time.Now()
			a := s.post(t, path, f)
			if path == "/user/register" && a.status == http.StatusOK { // malformed ones are refused without the store
				t.Errorf("%s: %s", path, a.body)
			}
			if a.status == http.StatusBadRequest && (path == "/item/image" || path == "/user/avatar") {
				a.invalid(t, "image") // whose token it is may be known still, and that there is no file is seen without the store
			} else {
				a.isDown(t)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s is answered after %s", path, took)
			}
		}
		s.user(t, p.id).isDown(t)
		s.item(t, 1).isDown(t)
		s.post(t, "/user/me", fields{"token": "x"}).forbidden(t) // what needs no store is answered as ever
		s.post(t, "/user/published", fields{"uuid": "x"}).invalid(t, "uuid")
		s.get(t, "/nothing").refused(t, http.StatusNotFound, "not found")

		if err := server.Restart(patience(t)); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		until(t, "the service writes again", func() bool {
			return p.post(t, "/item/add", powerBank()).status == http.StatusOK
		})
		t.Logf("round %d: written to again %s after the restart", round, time.Since(began).Round(time.Millisecond))
		// That answer came when the read models had caught up: everything before it shows.
		acknowledged.Range(func(id, title any) bool {
			var got answer
			until(t, "it is read again", func() bool { // a connection that broke is noticed when it is used
				got = s.item(t, id.(int64))
				return got.status == http.StatusOK
			})
			if got.text(t, "title") != title {
				t.Errorf("item %d, which was acknowledged, is %s, want %s", id, got.body, title)
			}
			return true
		})
		verifyLog(t, owner(t, dsn))
	}
	t.Logf("%d acknowledged, %d were told that it is unavailable", kept.Load(), unsure.Load())
	s.down = false
	q := s.join(t)
	q.trade(t, q.via(s).add(t, powerBank())).failed(t, "item not availabe for trade")
}

// TestWhatWasAcknowledgedShowsAgainAfterACrash has nobody write after the crash, so that nothing else wakes the projectors.
func TestWhatWasAcknowledgedShowsAgainAfterACrash(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	dsn := server.DSN("")
	if err := migrateQuietly(patience(t), dsn); err != nil {
		t.Fatal(err)
	}
	s := start(t, over(dsn))
	s.down = true
	p := s.join(t)
	for range 3 {
		item := powerBank().with("price", 1)
		id := p.add(t, item)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(patience(t)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		until(t, "the item shows again", func() bool {
			a := s.item(t, id)
			return a.status == http.StatusOK && !strings.Contains(a.body, "none")
		})
		t.Logf("it shows %s after the restart", time.Since(began).Round(time.Millisecond))
		p.showing(t, id, item)
	}
}

// isDown wants the answer of a service whose store is away.
func (a answer) isDown(t *testing.T) {
	t.Helper()
	a.refused(t, http.StatusServiceUnavailable, "temporarily unavailable")
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
		t.Errorf("%s: Retry-After is %q", a.asked, a.header.Get("Retry-After"))
	}
}
