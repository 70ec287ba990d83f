package main

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"testing"
)

// tooMany wants the answer to who has to wait: so many seconds at most.
func (a answer) tooMany(t testing.TB, most int) {
	t.Helper()
	a.refused(t, http.StatusTooManyRequests, "too many requests")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > most {
		t.Errorf("%s: Retry-After is %q", a.asked, a.header.Get("Retry-After"))
	}
}

// from posts as a proxy at 127.0.0.1 passes on what comes from an address.
func (s *service) from(t testing.TB, address, path string, f fields) answer {
	t.Helper()
	contentType, body := urlEncoded.encode(f)
	r := s.request(t.Context(), http.MethodPost, path, contentType, bytes.NewReader(body))
	r.Header.Set("X-Forwarded-For", address)
	return s.do(t, r)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const proxy = "127.0.0.1"
	t.Run("of codes per address", func(t *testing.T) {
		t.Parallel()
		s := start(t, setting("FOOF_CODES_PER_ADDRESS", "2"), setting("FOOF_TRUSTED_PROXIES", proxy))
		for range 2 {
			s.from(t, "192.0.2.1", "/user/requirecode", fields{"phonenumber": newNumber()}).succeeded(t)
		}
		s.from(t, "192.0.2.1", "/user/requirecode", fields{"phonenumber": newNumber()}).tooMany(t, 900)
		s.from(t, "192.0.2.2", "/user/requirecode", fields{"phonenumber": newNumber()}).succeeded(t)
		s.from(t, "198.51.100.9, 192.0.2.1", "/user/requirecode", fields{"phonenumber": newNumber()}).tooMany(t, 900)
	})
	t.Run("of posts per address, wherever to", func(t *testing.T) {
		t.Parallel()
		s := start(t, setting("FOOF_POSTS_PER_ADDRESS", "3"), setting("FOOF_TRUSTED_PROXIES", proxy))
		for _, path := range []string{"/user/published", "/user/me", "/item/trade"} {
			if a := s.from(t, "2001:db8::1", path, fields{"uuid": 1}); a.status == http.StatusTooManyRequests {
				t.Errorf("%s: %s", path, a.body)
			}
		}
		s.from(t, "2001:db8::2", "/user/published", fields{"uuid": 1}).tooMany(t, 60)
		s.from(t, "2001:db8:0:1::1", "/user/published", fields{"uuid": 1}).is(t, http.StatusOK, `[]`)
		s.get(t, "/item/1").none(t)
	})
	t.Run("are no matter of what a client says, where no proxy is known", func(t *testing.T) {
		t.Parallel()
		s := start(t, setting("FOOF_POSTS_PER_ADDRESS", "1"))
		s.from(t, "192.0.2.1", "/user/published", fields{"uuid": 1}).is(t, http.StatusOK, `[]`)
		s.from(t, "192.0.2.2", "/user/published", fields{"uuid": 1}).tooMany(t, 60)
	})
	t.Run("of posts per account, from wherever", func(t *testing.T) {
		t.Parallel()
		s := start(t, setting("FOOF_POSTS_PER_ACCOUNT", "3"), setting("FOOF_TRUSTED_PROXIES", proxy))
		ann, bob := s.join(t), s.join(t)
		for range 3 {
			ann.post(t, "/user/me", fields{}).number(t, "uuid")
		}
		s.from(t, "192.0.2.1", "/item/add", powerBank().with("token", ann.token)).tooMany(t, 60)
		bob.post(t, "/user/me", fields{}).number(t, "uuid")
		if n := s.count(t, "item.published"); n > 0 {
			t.Error("what was refused was done")
		}
	})
	t.Run("of logins per address", func(t *testing.T) {
		t.Parallel()
		s := start(t, setting("FOOF_LOGINS_PER_ADDRESS", "2"))
		p := s.join(t)
		p.login(t)
		p.login(t)
		s.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password}).tooMany(t, 900)
	})
	t.Run("of wrong passwords per number, known or not", func(t *testing.T) {
		t.Parallel()
		s := start(t, setting("FOOF_WRONG_PASSWORDS_PER_NUMBER", "2"))
		p, other := s.join(t), s.join(t)
		for _, number := range []string{p.number, newNumber()} {
			for range 2 {
				s.post(t, "/user/login", fields{"phonenumber": number, "password": "wrong"}).failed(t, "password incorrect")
			}
			s.post(t, "/user/login", fields{"phonenumber": number, "password": "wrong"}).tooMany(t, 900)
			s.post(t, "/user/login", fields{"phonenumber": number, "password": p.password}).tooMany(t, 900)
		}
		for range 5 {
			other.login(t)
		}
	})
}

// TestGuessesAtOnceAreNoMoreThanOneByOne has a right password be looked at while wrong ones use up all tries that the number has.
func TestGuessesAtOnceAreNoMoreThanOneByOne(t *testing.T) {
	t.Parallel()
	const most = 3
	s := start(t, setting("FOOF_WRONG_PASSWORDS_PER_NUMBER", strconv.Itoa(most)))
	p := s.join(t)
	tx, err := s.db.Begin(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(patience(t), `lock table vault_passwords`); err != nil { // no password is compared
		t.Fatal(err)
	}
	right := make(chan answer, 1)
	go func() { right <- s.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password}) }()
	until(t, "the password is about to be compared", func() bool {
		const sql = `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`
		return value[bool](t, s.db, sql)
	})
	index := string(s.vault(t).PhoneIndex(p.number))
	for range most {
		if err := s.app.limits.wrong.Take(patience(t), index); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Rollback(patience(t)); err != nil {
		t.Fatal(err)
	}
	(<-right).tooMany(t, 900)
}
