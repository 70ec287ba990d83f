package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func timed(by *clock) func(*setup) { return func(s *setup) { s.around.now = by.Now } }

const invalidRequest = "invaild request"

// tryCode registers a number with a code.
func (s *service) tryCode(t testing.TB, number, code string) answer {
	t.Helper()
	return s.post(t, "/user/register", fields{"phonenumber": number, "verifycode": code, "password": "correct-horse"})
}

func TestRequiringACode(t *testing.T) {
	t.Parallel()
	s := shared(t)
	t.Run("sends six digits", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		code := s.code(t, number)
		if !regexp.MustCompile(`^[0-9]{6}$`).MatchString(code) {
			t.Errorf("the code is %q", code)
		}
		sent := s.get(t, "/dev/outbox?to="+number)
		first := sent.json(t).([]any)[0].(object)
		at, err := time.Parse(time.RFC3339, fmt.Sprint(first["at"]))
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("sent at %v (%v)", first["at"], err)
		}
		if body, _ := first["body"].(string); !strings.Contains(body, code) {
			t.Errorf("the code is not in the message %q", body)
		}
		sent.is(t, http.StatusOK, []any{object{
			"to": number, "channel": "sms", "body": first["body"], "code": code, "link": "", "at": first["at"],
		}})
	})
	t.Run("shows it to who writes a + in a query as it is", func(t *testing.T) {
		t.Parallel()
		number := "+" + newNumber()
		s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
		for _, spelled := range []string{number, strings.Replace(number, "+", "%2B", 1)} {
			if sent, ok := s.get(t, "/dev/outbox?to="+spelled).json(t).([]any); !ok || len(sent) != 1 {
				t.Errorf("to %s: %v", spelled, sent)
			}
		}
	})
	t.Run("answers alike whether the number is known or not", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		s.post(t, "/user/requirecode", fields{"phonenumber": p.number}).succeeded(t)
		s.post(t, "/user/requirecode", fields{"phonenumber": newNumber()}).succeeded(t)
	})
	t.Run("takes what looks like a number", func(t *testing.T) {
		t.Parallel()
		for _, right := range []string{"1", "+1", "12345678901234567890", "+12345678901234567890", "+86" + newNumber()} {
			s.post(t, "/user/requirecode", fields{"phonenumber": right}).succeeded(t)
		}
		for _, wrong := range wrongNumbers {
			s.post(t, "/user/requirecode", fields{"phonenumber": wrong}).invalid(t, "phonenumber")
		}
		s.post(t, "/user/requirecode", fields{}).invalid(t, "phonenumber")
	})
	t.Run("is limited per number", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		for range 5 {
			s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
		}
		code := s.lastCode(t, number)
		a := s.post(t, "/user/requirecode", fields{"phonenumber": number})
		a.refused(t, http.StatusTooManyRequests, "too many requests")
		if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 800 || wait > 900 {
			t.Errorf("Retry-After: %q, want about 900", a.header.Get("Retry-After"))
		}
		s.post(t, "/user/requirecode", fields{"phonenumber": newNumber()}).succeeded(t)
		s.tryCode(t, number, code).succeeded(t) // what was refused has not replaced the last one
	})
}

var wrongNumbers = []string{
	"", "+", "abc", "138 0013 8000", "138-0013-8000", " 13800138000", "13800138000 ", "13800138000\n", "123456789012345678901", "++1", "1+", "１３８", "0x1", "1e3",
}

func TestCodesAreLimitedPerNumberOverTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, timed(now))
	number := newNumber()
	ask := func(want int) {
		t.Helper()
		a := s.post(t, "/user/requirecode", fields{"phonenumber": number})
		if a.status != want {
			t.Fatalf("status %d (%s), want %d", a.status, a.body, want)
		}
		if want == http.StatusTooManyRequests {
			wait, err := strconv.Atoi(a.header.Get("Retry-After"))
			if err != nil || wait < 1 {
				t.Fatalf("Retry-After: %q", a.header.Get("Retry-After"))
			}
			now.pass(time.Duration(wait-1) * time.Second)
			if a := s.post(t, "/user/requirecode", fields{"phonenumber": number}); a.status != want {
				t.Errorf("a second before that, status %d (%s)", a.status, a.body)
			}
			now.pass(time.Second)
		}
	}
	for range 5 {
		ask(200)
		now.pass(time.Minute)
	}
	ask(429) // and waits for the quarter of an hour
	for range 5 {
		ask(200)
		now.pass(3 * time.Minute)
	}
	ask(429) // and waits for the day
	ask(200)
}

func TestCodesAreLimitedPerAddress(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_CODES_PER_ADDRESS", "3"))
	for range 3 {
		s.post(t, "/user/requirecode", fields{"phonenumber": newNumber()}).succeeded(t)
		s.post(t, "/user/requirecode", fields{"phonenumber": "none"}).invalid(t, "phonenumber") // which costs nothing
	}
	contentType, body := urlEncoded.encode(fields{"phonenumber": newNumber()})
	r := s.request(t.Context(), http.MethodPost, "/user/requirecode", contentType, strings.NewReader(string(body)))
	r.Header.Set("X-Forwarded-For", "192.0.2.7") // nobody believes it
	a := s.do(t, r)
	a.refused(t, http.StatusTooManyRequests, "too many requests")
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 900 {
		t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
	if n := s.count(t, "phone.code_requested"); n != 3 {
		t.Errorf("%d codes, want 3", n)
	}
}

func TestAProxysWordForAnAddressIsBelievedIfItIsTrusted(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_CODES_PER_ADDRESS", "1"), setting("FOOF_TRUSTED_PROXIES", "127.0.0.1"))
	for address, want := range map[string]int{"192.0.2.1": 200, "192.0.2.2": 200} {
		for _, status := range []int{want, 429} {
			contentType, body := urlEncoded.encode(fields{"phonenumber": newNumber()})
			r := s.request(t.Context(), http.MethodPost, "/user/requirecode", contentType, strings.NewReader(string(body)))
			r.Header.Set("X-Forwarded-For", address)
			if a := s.do(t, r); a.status != status {
				t.Errorf("%s: status %d, want %d", address, a.status, status)
			}
		}
	}
}

func TestRegistering(t *testing.T) {
	t.Parallel()
	s := shared(t)
	register := func(t *testing.T, number, code, password any) answer {
		t.Helper()
		return s.post(t, "/user/register", fields{"phonenumber": number, "verifycode": code, "password": password})
	}
	t.Run("with what is malformed is refused, and costs no try", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		code := s.code(t, number)
		for _, password := range []string{"", "1", "1234567", "密码密码密码密", strings.Repeat("p", 129)} {
			register(t, number, code, password).failed(t, invalidRequest)
		}
		for _, wrong := range wrongNumbers {
			register(t, wrong, code, "correct-horse").failed(t, invalidRequest)
		}
		right := fields{"phonenumber": number, "verifycode": code, "password": "correct-horse"}
		s.post(t, "/user/register", right.without("phonenumber")).failed(t, invalidRequest)
		s.post(t, "/user/register", right.without("password")).failed(t, invalidRequest)
		s.post(t, "/user/register", fields{}).failed(t, invalidRequest)
		s.postAs(t, inJSON, "/user/register", right.with("password", []string{"correct-horse"})).failed(t, invalidRequest)
		register(t, number, code, "correct-horse").succeeded(t)
	})
	t.Run("takes passwords of 8 to 128 characters", func(t *testing.T) {
		t.Parallel()
		for _, password := range []string{"12345678", "密码密码密码密码", strings.Repeat("密", 128), "  spaces  ", "\" ' \\ <>"} {
			p := &person{service: s, number: newNumber(), password: password}
			register(t, p.number, s.code(t, p.number), password).succeeded(t)
			p.login(t)
		}
	})
	t.Run("with a wrong code is refused, five times at most", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		code := s.code(t, number)
		for range 4 {
			s.tryCode(t, number, another(code)).failed(t, invalidRequest)
		}
		s.tryCode(t, number, code).succeeded(t)

		number = newNumber()
		code = s.code(t, number)
		for _, wrong := range []string{another(code), "", "x", code + "0", " " + code} {
			s.tryCode(t, number, wrong).failed(t, invalidRequest)
		}
		s.tryCode(t, number, code).failed(t, invalidRequest)
		s.tryCode(t, number, s.code(t, number)).succeeded(t)
	})
	t.Run("without a code is refused, and is a try", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		code := s.code(t, number)
		for range 5 {
			s.post(t, "/user/register", fields{"phonenumber": number, "password": "correct-horse"}).failed(t, invalidRequest)
		}
		s.tryCode(t, number, code).failed(t, invalidRequest)
	})
	t.Run("for a number that asked for no code is refused", func(t *testing.T) {
		t.Parallel()
		s.tryCode(t, newNumber(), s.code(t, newNumber())).failed(t, invalidRequest)
	})
	t.Run("takes the newest code alone", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		first := s.code(t, number)
		second := s.code(t, number)
		if first != second { // once in a million
			s.tryCode(t, number, first).failed(t, invalidRequest)
		}
		s.tryCode(t, number, second).succeeded(t)
	})
	t.Run("uses a code up", func(t *testing.T) {
		t.Parallel()
		number := newNumber()
		code := s.code(t, number)
		s.tryCode(t, number, code).succeeded(t)
		s.tryCode(t, number, code).failed(t, invalidRequest)
	})
	t.Run("a taken number looks at the code first", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		code := s.code(t, p.number)
		s.tryCode(t, p.number, another(code)).failed(t, invalidRequest)
		s.post(t, "/user/register", fields{"phonenumber": p.number, "verifycode": code, "password": "battery-staple"}).failed(t, "phone number already token")
		p.login(t) // the password is the first one
	})
}

func TestACodeIsGoodForTenMinutes(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, timed(now))
	early, late := newNumber(), newNumber()
	earlyCode, lateCode := s.code(t, early), s.code(t, late)
	now.pass(10*time.Minute - time.Millisecond)
	s.tryCode(t, early, earlyCode).succeeded(t)
	now.pass(time.Millisecond)
	s.tryCode(t, late, lateCode).failed(t, invalidRequest)
	s.tryCode(t, late, s.code(t, late)).succeeded(t)
}

func TestNumbersOfARegion(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_PHONE_REGION", "CN"))
	for _, wrong := range []string{"1", "12345", "+12025550123", "23800138000", "138001380001"} {
		s.post(t, "/user/requirecode", fields{"phonenumber": wrong}).invalid(t, "phonenumber")
		s.tryCode(t, wrong, "000000").failed(t, invalidRequest)
	}
	p := s.register(t, "13800138000")
	p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
	code := s.code(t, "+8613800138000")
	s.tryCode(t, "13800138000", code).failed(t, "phone number already token")
	p.number = "+8613800138000"
	p.login(t)
}
