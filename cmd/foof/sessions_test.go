package main

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"foof/events"
	"foof/events/store"
	"foof/internal/pgtest"
	"foof/readapi"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestLogOutRevokesAllTokensSoFar(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	other := *p
	other.login(t)
	p.post(t, "/user/logout", fields{}).succeeded(t)
	p.post(t, "/user/me", fields{}).forbidden(t)
	other.post(t, "/user/me", fields{}).forbidden(t)
	p.post(t, "/user/logout", fields{}).forbidden(t)
	p.login(t)
	if got := p.post(t, "/user/me", fields{}).number(t, "uuid"); got != p.id {
		t.Errorf("after logging in again it is user %d, want %d", got, p.id)
	}
}

func TestPasswordReset(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	reset := func(code, password string) answer {
		t.Helper()
		return s.post(t, "/user/password/reset", fields{"phonenumber": p.number, "verifycode": code, "password": password})
	}
	code := s.code(t, p.number)
	reset(another(code), "another-password").failed(t, invalidRequest)
	reset(code, "short").failed(t, invalidRequest)
	p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
	reset(code, "another-password").succeeded(t)
	p.post(t, "/user/me", fields{}).forbidden(t)
	s.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password}).failed(t, "password incorrect")
	p.password = "another-password"
	p.login(t)
	reset(code, "a-third-password").failed(t, invalidRequest)

	t.Run("of a number that is nobody's says the same as with a wrong code", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		code := s.code(t, number)
		s.post(t, "/user/password/reset", fields{"phonenumber": number, "verifycode": code, "password": "another-password"}).failed(t, invalidRequest)
		s.tryCode(t, number, code).succeeded(t)
	})
	t.Run("burns the code after five wrong ones", func(t *testing.T) {
		t.Parallel()
		p := s.join(t)
		code := s.code(t, p.number)
		for range 5 {
			s.post(t, "/user/password/reset", fields{"phonenumber": p.number, "verifycode": another(code), "password": "another-password"}).failed(t, invalidRequest)
		}
		s.post(t, "/user/password/reset", fields{"phonenumber": p.number, "verifycode": code, "password": "another-password"}).failed(t, invalidRequest)
	})
	t.Run("by many at once uses the code once", func(t *testing.T) {
		t.Parallel()
		p := s.join(t)
		code := s.code(t, p.number)
		done := 0
		for _, a := range atOnce(10, func(int) answer {
			return s.post(t, "/user/password/reset", fields{"phonenumber": p.number, "verifycode": code, "password": "another-password"})
		}) {
			if a.body == `{"status":"success"}`+"\n" {
				done++
			}
		}
		if changes := s.count(t, "user.password_changed", events.UserID(p.id).Stream()); done != 1 || changes != 1 {
			t.Errorf("%d were told that it is done, and it was %d times", done, changes)
		}
	})
}

func TestSecretsOfTokensRotate(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	fresh := "fresh-secret-of-at-least-32-bytes"
	before := start(t, over(dsn))
	p := before.register(t)
	told := start(t, over(dsn), setting("FOOF_JWT_SECRETS", testSecret+","+fresh))
	during := start(t, over(dsn), setting("FOOF_JWT_SECRETS", fresh+","+testSecret))
	after := start(t, over(dsn), setting("FOOF_JWT_SECRETS", fresh))

	old := p.token
	p.via(during).post(t, "/user/me", fields{}).number(t, "uuid")
	during.post(t, "/user/me", fields{"token": old}).number(t, "uuid")
	after.post(t, "/user/me", fields{"token": old}).forbidden(t)
	again := p.via(during)
	again.login(t)
	again.via(after).post(t, "/user/me", fields{}).number(t, "uuid")
	again.via(before).post(t, "/user/me", fields{}).forbidden(t)
	again.via(told).post(t, "/user/me", fields{}).number(t, "uuid") // which is why all are told before any signs with it
	early := p.via(told)
	early.login(t)
	early.via(before).post(t, "/user/me", fields{}).number(t, "uuid")
}

// TestTokensAreRevokedEverywhere holds two services over one database to it: what is revoked at one is soon at the other, which
// has the user in memory, and no token made later is taken for one of before.
func TestTokensAreRevokedEverywhere(t *testing.T) {
	t.Parallel()
	services := fleet(t)
	p := services[0].register(t)
	for range 5 {
		for _, s := range services {
			p.via(s).post(t, "/user/me", fields{}).number(t, "uuid")
		}
		p.post(t, "/user/logout", fields{}).succeeded(t)
		revoked := time.Now()
		p.post(t, "/user/me", fields{}).forbidden(t)
		until(t, "the other service has heard of it", func() bool {
			return p.via(services[1]).post(t, "/user/me", fields{}).status == http.StatusForbidden
		})
		t.Logf("revoked at the other service after %s", time.Since(revoked).Round(time.Millisecond))
		p.login(t)
		if later := p.via(services[1]); later.post(t, "/user/me", fields{}).status != http.StatusOK {
			t.Error("a token of after is taken for one of before")
		}
	}
}

// asked counts queries.
type asked struct{ queries atomic.Int64 }

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	a.queries.Add(1)
	return ctx
}

func (*asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestSessionsAreCheckedFromMemory counts what Sessions asks of the database.
func TestSessionsAreCheckedFromMemory(t *testing.T) {
	t.Parallel()
	s := start(t)
	p, other := s.join(t), s.join(t)
	config, err := pgxpool.ParseConfig(string(s.app.config.DatabaseURL))
	if err != nil {
		t.Fatal(err)
	}
	counting := &asked{}
	config.ConnConfig.Tracer = counting
	counted, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer counted.Close()

	log := store.Open(s.app.pool)
	sessions := readapi.NewSessions(counted, log, events.NewCodec(events.Types, nil), s.app.logger)
	since := func(want func(int64) bool) {
		t.Helper()
		got, err := sessions.TokensSince(t.Context(), events.UserID(p.id), 0)
		if err != nil || !want(got) {
			t.Errorf("tokens count since %d, %v", got, err)
		}
	}
	never := func(since int64) bool { return since == 0 }
	since(never)
	since(never)
	if n := counting.queries.Load(); n != 2 {
		t.Errorf("before it follows the log it asked %d times, of 2", n)
	}

	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error, 2)
	go func() { running <- log.Run(ctx) }()
	go func() { running <- sessions.Run(ctx) }()
	if err := sessions.Await(patience(t), events.Position(s.head(t))); err != nil {
		t.Fatal(err)
	}
	until(t, "it answers from memory", func() bool {
		before := counting.queries.Load()
		since(never)
		return counting.queries.Load() == before
	})
	before := counting.queries.Load()
	for range 1000 {
		since(never)
	}
	if n := counting.queries.Load() - before; n > 10 { // it asks where it is not sure, such as after half a second of silence
		t.Errorf("it asked %d times, of 1000", n)
	}

	p.post(t, "/user/logout", fields{}).succeeded(t)
	if err := sessions.Await(patience(t), events.Position(s.head(t))); err != nil {
		t.Fatal(err)
	}
	since(func(since int64) bool { return since > 0 })
	other.post(t, "/user/logout", fields{}).succeeded(t)
	since(func(since int64) bool { return since > 0 })

	cancel()
	if err := errors.Join(<-running, <-running); err != nil {
		t.Error(err)
	}
	before = counting.queries.Load()
	until(t, "it asks again, as nobody follows the log for it", func() bool {
		since(func(since int64) bool { return since > 0 })
		return counting.queries.Load() > before
	})
	if _, err := s.db.Exec(patience(t), `update users set tokens_since = 0`); err != nil { // as if it had not come so far
		t.Fatal(err)
	}
	since(func(since int64) bool { return since > 0 })
}

// TestAReadModelThatIsBehindRevivesNoToken has a process begin after a revocation that the read model does not show yet, as it may
// be after a crash of the database, or where it is being built.
func TestAReadModelThatIsBehindRevivesNoToken(t *testing.T) {
	t.Parallel()
	s := start(t)
	p, other := s.join(t), s.join(t)
	before := s.head(t)
	p.post(t, "/user/logout", fields{}).succeeded(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	const back = `with u as (update users set tokens_since = 0) update checkpoints set position = $1 where reader = 'users'`
	if _, err := s.db.Exec(patience(t), back, before); err != nil {
		t.Fatal(err)
	}
	pool := owner(t, string(s.app.config.DatabaseURL))
	log := store.Open(pool)
	sessions := readapi.NewSessions(pool, log, events.NewCodec(events.Types, nil), s.app.logger)
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error, 2)
	go func() { running <- log.Run(ctx) }()
	go func() { running <- sessions.Run(ctx) }()
	if err := sessions.Await(patience(t), events.Position(s.head(t))); err != nil {
		t.Fatal(err)
	}
	for user, revoked := range map[int64]bool{p.id: true, other.id: false} {
		since, err := sessions.TokensSince(t.Context(), events.UserID(user), 0)
		if err != nil || since > 0 != revoked {
			t.Errorf("tokens of user %d count since %d, %v", user, since, err)
		}
	}
	cancel()
	if err := errors.Join(<-running, <-running); err != nil {
		t.Error(err)
	}
}
