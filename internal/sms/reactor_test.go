package sms

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/events"
	"foof/events/store"
	"foof/internal/feed"
	"foof/internal/pgtest"
	"foof/internal/vault"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// phones is what sends codes: the log, the vault and a reactor between them and a sender of the test's own.
type phones struct {
	pool   *pgxpool.Pool
	log    *store.Log
	vault  *vault.Vault
	codec  *events.Codec
	logged *lines
	sent   chan Message
	fail   atomic.Int32 // so many messages are not taken
	stop   func()
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newPhones(t *testing.T) *phones {
	t.Helper()
	config, err := pgxpool.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["role"] = "foof_service"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p := &phones{pool: pool, log: store.Open(pool), logged: &lines{}, sent: make(chan Message, 10)}
	if p.vault, err = vault.Open(t.Context(), pool, make([]byte, vault.KeySize)); err != nil {
		t.Fatal(err)
	}
	p.codec = events.NewCodec(events.Types, p.vault)
	run(t, p.log.Run)
	p.start(t)
	return p
}

// SendText implements Sender.
func (p *phones) SendText(_ context.Context, m Message) error {
	if p.fail.Add(-1) >= 0 {
		return errors.New("not now")
	}
	p.sent <- m
	return nil
}

func (p *phones) reactor() *Reactor {
	return &Reactor{
		Codec: p.codec, Codes: p.vault, Sender: p, Now: func() time.Time { return noon },
		Logger: slog.New(slog.NewTextHandler(p.logged, nil)),
	}
}

// start runs the reactor, until stop.
func (p *phones) start(t *testing.T) {
	t.Helper()
	router, err := feed.NewRouter(p.log, &feed.Poison{DB: p.pool}, feed.Options{
		Logger: slog.New(slog.NewTextHandler(p.logged, nil)), CloseTimeout: time.Minute,
		Retries: feed.Retries{First: time.Millisecond, Longest: 10 * time.Millisecond, Total: time.Minute, Try: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	router.Add(Reader, Types, p.reactor().Handle)
	p.stop = run(t, router.Run)
}

// code draws a code for a number.
func (p *phones) code(t *testing.T, number string) (id, digits string) {
	t.Helper()
	id, err := p.vault.NewCode(t.Context(), p.vault.PhoneIndex(number), number)
	if err != nil {
		t.Fatal(err)
	}
	_, digits, err = p.vault.Code(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return id, digits
}

// request makes a code the one that counts for a number, until some time.
func (p *phones) request(t *testing.T, number, code string, until time.Time) {
	t.Helper()
	phone := p.vault.PhoneIndex(number)
	past, err := p.log.Load(t.Context(), phone.Stream())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := p.codec.Encode(t.Context(), []events.Event{events.PhoneCodeRequested{Phone: phone, Code: code, At: noon, ExpiresAt: until}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.log.Append(t.Context(), store.Append{
		Command: uuid.New(), Expect: map[string]events.Version{phone.Stream(): events.Version(len(past))}, Events: encoded,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wanted(number, digits string) Message {
	return Message{
		To: number, Code: digits, At: noon,
		Body: "【FOOF】验证码 " + digits + "，10 分钟内有效。Your code is " + digits + ", good for 10 minutes.",
	}
}

func (p *phones) receives(t *testing.T, want Message) {
	t.Helper()
	got := receive(t, p.sent)
	if !regexp.MustCompile(`^[0-9]+-[0-9a-f]{8}$`).MatchString(got.ID) {
		t.Errorf("its id is %q", got.ID)
	}
	got.ID = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

const (
	ada = "13800138000"
	bob = "+8613900139000"
)

func TestReactor(t *testing.T) {
	t.Parallel()
	soon := noon.Add(10 * time.Minute)

	t.Run("sends each code once, in order", func(t *testing.T) {
		t.Parallel()
		p := newPhones(t)
		for range 3 {
			first, firstDigits := p.code(t, ada)
			second, secondDigits := p.code(t, bob)
			p.request(t, ada, first, soon)
			p.request(t, bob, second, soon)
			p.receives(t, wanted(ada, firstDigits))
			p.receives(t, wanted(bob, secondDigits))
		}
		p.stop()
		if len(p.sent) > 0 {
			t.Errorf("and %d more", len(p.sent))
		}
	})

	t.Run("passes over codes that have expired or were swept away", func(t *testing.T) {
		t.Parallel()
		p := newPhones(t)
		late, lateDigits := p.code(t, ada)
		swept, sweptDigits := p.code(t, ada)
		good, goodDigits := p.code(t, bob)
		if _, err := p.pool.Exec(t.Context(), `delete from vault_codes where id = $1`, swept); err != nil {
			t.Fatal(err)
		}
		p.request(t, ada, late, noon)
		p.request(t, ada, swept, soon)
		p.request(t, bob, good, noon.Add(1))
		p.receives(t, wanted(bob, goodDigits))
		text := p.logged.String()
		for _, reason := range []string{"it has expired", "it is no more"} {
			if !strings.Contains(text, reason) {
				t.Errorf("the log does not say %q:\n%s", reason, text)
			}
		}
		for _, secret := range []string{ada, bob, lateDigits, sweptDigits, goodDigits} {
			if strings.Contains(text, secret) {
				t.Errorf("the log tells %s:\n%s", secret, text)
			}
		}
	})

	t.Run("tries again what was not taken, and then goes on", func(t *testing.T) {
		t.Parallel()
		p := newPhones(t)
		p.fail.Store(3)
		first, firstDigits := p.code(t, ada)
		second, secondDigits := p.code(t, bob)
		p.request(t, ada, first, soon)
		p.request(t, bob, second, soon)
		p.receives(t, wanted(ada, firstDigits))
		p.receives(t, wanted(bob, secondDigits))
		for _, secret := range []string{ada, bob, firstDigits, secondDigits} {
			if text := p.logged.String(); strings.Contains(text, secret) {
				t.Errorf("the log tells %s:\n%s", secret, text)
			}
		}
	})

	t.Run("goes on where it was when it starts again", func(t *testing.T) {
		t.Parallel()
		p := newPhones(t)
		first, firstDigits := p.code(t, ada)
		second, secondDigits := p.code(t, ada)
		third, thirdDigits := p.code(t, ada)
		p.request(t, ada, first, soon)
		p.request(t, ada, second, soon)
		p.receives(t, wanted(ada, firstDigits))
		p.receives(t, wanted(ada, secondDigits))
		p.settled(t, 2)
		p.stop()
		p.request(t, ada, third, soon)
		p.start(t)
		p.receives(t, wanted(ada, thirdDigits))
		p.stop()
		if len(p.sent) > 0 {
			t.Errorf("and %d more", len(p.sent))
		}
	})
}

// settled waits until the reactor's checkpoint is there.
func (p *phones) settled(t *testing.T, position events.Position) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var at events.Position
		if err := p.pool.QueryRow(t.Context(), `select position from checkpoints where reader = $1`, Reader).Scan(&at); err != nil {
			t.Fatal(err)
		}
		if at >= position {
			return
		}
		receive(t, tick.C)
	}
}

// noCodes is a vault that is away.
type noCodes struct{}

var errAway = errors.New("the vault is away")

func (noCodes) Code(context.Context, string) (number, digits string, err error) {
	return "", "", errAway
}

// nobody is to be sent anything.
type nobody struct{ t *testing.T }

func (n nobody) SendText(_ context.Context, m Message) error {
	n.t.Errorf("%s was sent something", m.To)
	return nil
}

func TestHandle(t *testing.T) {
	t.Parallel()
	sent := nobody{t}
	reactor := &Reactor{
		Codec: events.NewCodec(events.Types, nil), Codes: noCodes{}, Sender: sent, Now: func() time.Time { return noon },
		Logger: slog.New(slog.DiscardHandler),
	}
	const request = `{"phone":"ab","code":"c","at":"2026-11-22T12:00:00Z","expires_at":"2026-11-22T12:10:00Z"}`
	for name, c := range map[string]struct {
		id, kind, schema, data string
		want                   string // of the error
	}{
		"another event is none of its business":   {"1", "item.traded", "1", `{"item":1,"buyer":2,"sold":2}`, ""},
		"an event that cannot be read":            {"1", "phone.code_requested", "1", `{`, "event 1"},
		"an event of a newer form":                {"1", "phone.code_requested", "2", `{}`, "newer form"},
		"a message that is no event":              {"a", "phone.code_requested", "1", `{}`, "not a position"},
		"a message without a schema version":      {"1", "phone.code_requested", "", `{}`, "no schema version"},
		"a vault that is away is asked once more": {"1", "phone.code_requested", "1", request, errAway.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := message.NewMessage(c.id, []byte(c.data))
			for key, value := range map[string]string{"type": c.kind, "schema": c.schema, "stream": "phone-ab"} {
				msg.Metadata.Set(key, value)
			}
			err := reactor.Handle(msg)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("it is %v, want %q", err, c.want)
			}
		})
	}
}
