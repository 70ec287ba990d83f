package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"foof/internal/feed"
	"foof/internal/pgtest"
	"foof/internal/sms"
)

// provider is a provider of text messages that answers as it is told.
type provider struct {
	*httptest.Server

	mu     sync.Mutex
	answer func(to string) int // status
	posted []posted
	came   chan posted
}

// posted is a message as the provider gets it.
type posted struct {
	ID   string `json:"id"`
	To   string `json:"to"`
	Body string `json:"body"`
	key  string
	raw  string
}

func (p posted) code() string { return regexp.MustCompile(`[0-9]{6}`).FindString(p.Body) }

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{came: make(chan posted, 1000), answer: func(string) int { return http.StatusOK }}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := posted{key: r.Header.Get("Idempotency-Key"), raw: string(body)}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		p.mu.Lock()
		p.posted = append(p.posted, m)
		status := p.answer(m.To)
		p.mu.Unlock()
		if status == http.StatusOK {
			p.came <- m
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answers(how func(to string) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = how
}

// to are the posts for a number so far.
func (p *provider) to(number string) (list []posted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.posted {
		if m.To == number {
			list = append(list, m)
		}
	}
	return list
}

// next is the next message that it took.
func (p *provider) next(t *testing.T) posted {
	t.Helper()
	select {
	case m := <-p.came:
		return m
	case <-patience(t).Done():
		t.Fatal("no message came")
		panic("unreachable")
	}
}

// through has a service send by a provider, and give up after a moment.
func (p *provider) through(s *setup) {
	s.around.texts = &sms.Webhook{URL: p.URL, Secret: []byte("secret"), Client: &http.Client{Timeout: time.Minute}, Now: time.Now}
	s.around.retries = feed.Retries{First: time.Millisecond, Longest: 5 * time.Millisecond, Total: 50 * time.Millisecond, Try: time.Minute}
}

// states asks the command line how the reactors are.
func states(t *testing.T, dsn string) map[string]reactorState {
	t.Helper()
	out, _, err := ran(t, "reactors", "--json", "--database-url", dsn)
	var list []reactorState
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	byName := map[string]reactorState{}
	for _, s := range list {
		if s.Poisoned == nil {
			t.Errorf("%s has no list of what is poisoned: %s", s.Reader, out)
		}
		byName[s.Reader] = s
	}
	return byName
}

// poisons waits until the sms reactor has given up so many events.
func poisons(t *testing.T, dsn string, n int) reactorState {
	t.Helper()
	until(t, fmt.Sprintf("%d are poisoned", n), func() bool { return len(states(t, dsn)["sms"].Poisoned) == n })
	return states(t, dsn)["sms"]
}

func TestCodesArriveWhenTheProviderIsBack(t *testing.T) {
	t.Parallel()
	dsn, p := pgtest.DSN(t), newProvider(t)
	p.answers(func(string) int { return http.StatusServiceUnavailable })
	s := start(t, over(dsn), p.through, func(s *setup) {
		s.around.retries = feed.Retries{First: time.Millisecond, Longest: 20 * time.Millisecond, Total: time.Hour, Try: time.Minute}
	})
	numbers := []string{newNumber(), newNumber(), newNumber()}
	for _, number := range numbers {
		s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t) // whoever sends it
	}
	until(t, "it was tried a few times", func() bool { return len(p.to(numbers[0])) > 3 })
	p.answers(func(string) int { return http.StatusOK })
	for _, number := range numbers {
		m := p.next(t)
		if m.To != number {
			t.Errorf("a code went to %s, want %s", m.To, number)
		}
		s.tryCode(t, number, m.code()).succeeded(t)
	}
	tries := p.to(numbers[0])
	for _, m := range tries {
		if m.ID == "" || m.key != m.ID || m.raw != tries[0].raw {
			t.Errorf("tries are not told to be of one message: %+v and %+v", m, tries[0])
		}
	}
	if other := p.to(numbers[1])[0]; other.ID == tries[0].ID {
		t.Errorf("two messages have the id %s", other.ID)
	}
}

func TestANumberThatIsRefusedForGoodHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	dsn, p := pgtest.DSN(t), newProvider(t)
	bad, good := newNumber(), newNumber()
	p.answers(func(to string) int {
		if to == bad {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	s := start(t, over(dsn), p.through)
	s.post(t, "/user/requirecode", fields{"phonenumber": bad}).succeeded(t)
	s.post(t, "/user/requirecode", fields{"phonenumber": good}).succeeded(t)
	s.tryCode(t, good, p.next(t).code()).succeeded(t)
	state := poisons(t, dsn, 1)
	one := state.Poisoned[0]
	if one.Position != 1 || one.Type != "phone.code_requested" || one.Attempts != 1 || one.Asked != nil || len(p.to(bad)) != 1 ||
		one.Error != "sms: the webhook answered 400 Bad Request: trying again is of no use" {
		t.Errorf("poisoned is %+v after %d posts", one, len(p.to(bad)))
	}

	text, _, err := ran(t, "reactors", "list", "--database-url", dsn)
	if err != nil || !strings.Contains(text, "sms: at ") || !strings.Contains(text, "1 poisoned") || !strings.Contains(text, "mail: at ") ||
		!regexp.MustCompile(`(?m)^  1 +phone\.code_requested .* 1 tries +sms: the webhook answered 400`).MatchString(text) {
		t.Errorf("%v: %s", err, text)
	}
	code := p.to(bad)[0].code()
	for what, told := range map[string]string{"the list": text, "the log": s.said.String(), "the table": value[string](t, s.db, `select string_agg(p::text, ' ') from poisoned_events p`)} {
		if strings.Contains(told, bad) || regexp.MustCompile(`\b`+code+`\b`).MatchString(told) {
			t.Errorf("%s tells the number %s or the code %s:\n%s", what, bad, code, told)
		}
	}

	out, _, err := ran(t, "reactors", "discard", "sms", "1", "--database-url", dsn)
	if err != nil || out != "1 discarded\n" {
		t.Errorf("%v: %s", err, out)
	}
	poisons(t, dsn, 0)
}

func TestWhatWasGivenUpIsReplayed(t *testing.T) {
	t.Parallel()
	dsn, p := pgtest.DSN(t), newProvider(t)
	p.answers(func(string) int { return http.StatusBadGateway })
	s := start(t, over(dsn), p.through)
	replay := func(want string, args ...string) {
		t.Helper()
		out, _, err := ran(t, append([]string{"reactors", "replay", "--database-url", dsn}, args...)...)
		if err != nil || out != want {
			t.Errorf("%v: %s", err, out)
		}
	}
	numbers := []string{newNumber(), newNumber(), newNumber()}
	for _, number := range numbers {
		s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
	}
	before := poisons(t, dsn, 3)
	if before.Lag != 0 || before.Checkpoint != 3 {
		t.Errorf("it is at %d, %d behind", before.Checkpoint, before.Lag)
	}

	t.Log("what fails again comes back with more attempts")
	replay("1 to be replayed\n", "sms", "1")
	until(t, "it has failed again", func() bool {
		return states(t, dsn)["sms"].Poisoned[0].Attempts > before.Poisoned[0].Attempts
	})
	if after := poisons(t, dsn, 3).Poisoned; after[0].Asked != nil || after[1].Attempts != before.Poisoned[1].Attempts {
		t.Errorf("after that: %+v", after)
	}

	t.Log("what succeeds arrives, and is gone")
	p.answers(func(string) int { return http.StatusOK })
	replay("1 to be replayed\n", "sms", "2")
	m := p.next(t)
	if m.To != numbers[1] || m.ID != p.to(numbers[1])[0].ID {
		t.Errorf("%s went to %s", m.ID, m.To)
	}
	s.tryCode(t, numbers[1], m.code()).succeeded(t)
	left := poisons(t, dsn, 2).Poisoned
	if left[0].Position != 1 || left[1].Position != 3 {
		t.Errorf("left are %+v", left)
	}
	replay("2 to be replayed\n", "sms", "--all")
	for _, number := range []string{numbers[0], numbers[2]} {
		m := p.next(t)
		if m.To != number {
			t.Errorf("it went to %s, want %s", m.To, number)
		}
		s.tryCode(t, number, m.code()).succeeded(t)
	}
	poisons(t, dsn, 0)
	replay("0 to be replayed\n", "sms", "--all")
	if len(p.came) > 0 {
		t.Errorf("%d more came", len(p.came))
	}
}

func TestReactorsCommandLinesThatAreNone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	for line, want := range map[string]string{
		"reactors replay":                  `expected "<reader>"`,
		"reactors replay sms":              "name positions, or --all",
		"reactors replay sms 1 --all":      "name positions, or --all",
		"reactors replay sms 1":            "sms has not given up event 1",
		"reactors discard sms 1 2":         "sms has not given up event 1",
		"reactors discard users --all":     "no reactor users: there are sms and mail",
		"reactors replay sms x":            "expected a valid 64 bit int",
		"reactors discard mail":            "name positions, or --all",
		"reactors list sms":                "unexpected argument sms",
		"reactors replay mail -1 --all":    "unknown flag -1",
		"reactors discard mail 9223372036": "mail has not given up event 9223372036",
	} {
		out, _, err := ran(t, append(strings.Fields(line), "--database-url", dsn)...)
		if err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: %v and %q, want %q", line, err, out, want)
		}
	}
	out, _, err := ran(t, "reactors", "--database-url", dsn)
	if err != nil || out != "mail: has not begun, 0 poisoned\nsms: has not begun, 0 poisoned\n" {
		t.Errorf("before anything: %v, %q", err, out)
	}
	_, _, err = ran(t, "reactors", "--database-url", "postgres://foof:"+hiddenPassword+"@127.0.0.1:1/foof")
	if err == nil || strings.Contains(err.Error(), hiddenPassword) {
		t.Errorf("of a database that is away: %v", err)
	}
	if _, _, err = ran(t, "reactors", "--database-url", emptied(t)); err == nil {
		t.Error("of a database that was not migrated: nothing")
	}
}

// TestSentAtLeastOnce kills the program between the provider's getting a message and its saying so.
func TestSentAtLeastOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	arrived, held := make(chan posted, 10), make(chan struct{})
	var once sync.Once
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := posted{key: r.Header.Get("Idempotency-Key"), raw: string(body)}
		_ = json.Unmarshal(body, &m)
		arrived <- m
		once.Do(func() { <-held })
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(webhook.Close)
	environment := rightEnvironment()
	environment["DATABASE_URL"], environment["FOOF_ADDR"], environment["FOOF_SMS_WEBHOOK"] = dsn, "127.0.0.1:0", webhook.URL
	serve := func() (*program, *service) {
		p := foof(t, environment, "serve")
		return p, &service{url: "http://" + p.err.await(t, `"msg":"serving","addr":"`, `"`), client: &http.Client{Timeout: time.Minute}, db: owner(t, dsn)}
	}
	next := func() posted {
		t.Helper()
		select {
		case m := <-arrived:
			return m
		case <-patience(t).Done():
			t.Fatal("nothing arrived")
			panic("unreachable")
		}
	}

	p, s := serve()
	number := newNumber()
	s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
	first := next()
	p.interrupt(t, syscall.SIGKILL)
	close(held)
	_, s = serve()
	second := next()
	if second.To != number || second.key == "" || second.key != first.key || second.raw != first.raw {
		t.Errorf("after the kill came %+v, before it %+v", second, first)
	}
	s.tryCode(t, number, second.code()).succeeded(t)
	if n := states(t, dsn)["sms"].Poisoned; len(n) > 0 {
		t.Errorf("poisoned: %+v", n)
	}
	s.post(t, "/user/requirecode", fields{"phonenumber": newNumber()}).succeeded(t)
	if third := next(); third.key == first.key || third.To == number {
		t.Errorf("then came %+v", third)
	}
	verifyLog(t, s.db)
}
