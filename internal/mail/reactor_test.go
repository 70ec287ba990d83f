package mail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
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

// students is what mails links: the log, the vault and a reactor between them and a sender of the test's own.
type students struct {
	pool   *pgxpool.Pool
	log    *store.Log
	vault  *vault.Vault
	codec  *events.Codec
	logged *lines
	sent   chan Message
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

func newStudents(t *testing.T) *students {
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
	s := &students{pool: pool, log: store.Open(pool), logged: &lines{}, sent: make(chan Message, 10)}
	if s.vault, err = vault.Open(t.Context(), pool, make([]byte, vault.KeySize)); err != nil {
		t.Fatal(err)
	}
	s.codec = events.NewCodec(events.Types, s.vault)
	run(t, s.log.Run)
	logger := slog.New(slog.NewTextHandler(s.logged, nil))
	router, err := feed.NewRouter(s.log, &feed.Poison{DB: pool}, feed.Options{Logger: logger, CloseTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	reactor := &Reactor{
		Codec: s.codec, Tickets: s.vault, Sender: s, Links: "https://foof.example/user/mail/verify/",
		Now: func() time.Time { return noon }, Logger: logger,
	}
	router.Add(Reader, Types, reactor.Handle)
	run(t, router.Run)
	return s
}

// SendMail implements Sender.
func (s *students) SendMail(_ context.Context, m Message) error {
	s.sent <- m
	return nil
}

// ask makes a ticket and asks for the link of it, and gives the token.
func (s *students) ask(t *testing.T, user events.UserID, address string, until time.Time, before ...func(ticket string)) (token string) {
	t.Helper()
	if err := s.vault.NewUserKey(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	ticket, err := s.vault.NewTicket(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	if token, err = s.vault.Ticket(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	past, err := s.log.Load(t.Context(), user.Stream())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := s.codec.Encode(t.Context(), []events.Event{events.UserMailRequested{
		User: user, Mail: events.NewPrivate(address), Ticket: ticket, At: noon, ExpiresAt: until,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range before {
		f(ticket)
	}
	_, err = s.log.Append(t.Context(), store.Append{
		Command: uuid.New(), Expect: map[string]events.Version{user.Stream(): events.Version(len(past))}, Events: encoded,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s *students) receives(t *testing.T, address, token string) {
	t.Helper()
	got := receive(t, s.sent)
	if !regexp.MustCompile(`^[0-9]+-[0-9a-f]{8}$`).MatchString(got.ID) || !strings.Contains(got.Body, "\n"+got.Link+"\n") || got.Subject == "" {
		t.Errorf("sent was %+v", got)
	}
	got.ID, got.Subject, got.Body = "", "", ""
	want := Message{To: address, Link: "https://foof.example/user/mail/verify/" + token, At: noon}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestReactor(t *testing.T) {
	t.Parallel()
	tomorrow := noon.Add(24 * time.Hour)

	t.Run("mails each link once, in order", func(t *testing.T) {
		t.Parallel()
		s := newStudents(t)
		var tokens []string
		for range 3 {
			tokens = append(tokens, s.ask(t, 7, "ada@campus.example", tomorrow), s.ask(t, 8, "2019@campus.example", noon.Add(1)))
		}
		for i, token := range tokens {
			s.receives(t, []string{"ada@campus.example", "2019@campus.example"}[i%2], token)
		}
		for _, hidden := range append(tokens, "campus.example") {
			if text := s.logged.String(); strings.Contains(text, hidden) {
				t.Errorf("the log tells %s:\n%s", hidden, text)
			}
		}
	})

	t.Run("passes over links that have expired or were swept away, and those of the erased", func(t *testing.T) {
		t.Parallel()
		s := newStudents(t)
		exec := func(sql string, args ...any) {
			t.Helper()
			if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
				t.Fatal(err)
			}
		}
		hidden := []string{
			s.ask(t, 7, "late@campus.example", noon),
			s.ask(t, 7, "swept@campus.example", tomorrow, func(ticket string) { exec(`delete from vault_tickets where id = $1`, ticket) }),
			"campus.example",
		}
		other, err := vault.Open(t.Context(), s.pool, make([]byte, vault.KeySize)) // remembers no keys
		if err != nil {
			t.Fatal(err)
		}
		erased := &Reactor{
			Codec: events.NewCodec(events.Types, other), Tickets: s.vault, Sender: nobody{t},
			Now: func() time.Time { return noon }, Logger: slog.New(slog.NewTextHandler(s.logged, nil)),
		}
		hidden = append(hidden, s.ask(t, 9, "erased@campus.example", tomorrow))
		receive(t, s.sent) // by the one that has the key
		page, err := s.log.Load(t.Context(), "user-9")
		if err != nil {
			t.Fatal(err)
		}
		exec(`update vault_keys set wrapped = null where name = 'user-9'`)
		msg := message.NewMessageWithContext(t.Context(), "3", page[0].Data)
		msg.Metadata = message.Metadata{"type": page[0].Type, "schema": "1", "stream": "user-9"}
		if err := erased.Handle(msg); err != nil {
			t.Error(err)
		}
		text := s.logged.String()
		for _, why := range []string{"it has expired", "it is no more", "its owner was erased"} {
			if !strings.Contains(text, why) {
				t.Errorf("the log does not say %q:\n%s", why, text)
			}
		}
		for _, hidden := range hidden {
			if strings.Contains(text, hidden) {
				t.Errorf("the log tells %s:\n%s", hidden, text)
			}
		}
		if len(s.sent) > 0 {
			t.Errorf("%d more were sent", len(s.sent))
		}
	})
}

// nobody is to be sent anything.
type nobody struct{ t *testing.T }

func (n nobody) SendMail(_ context.Context, m Message) error {
	n.t.Errorf("%s was sent something", m.To)
	return nil
}

// noTickets is a vault that is away.
type noTickets struct{}

var errAway = errors.New("the vault is away")

func (noTickets) Ticket(context.Context, string) (string, error) { return "", errAway }

// keys has a key for everyone.
type keys struct{}

func (keys) Keys(_ context.Context, users []events.UserID) (map[events.UserID][]byte, error) {
	all := map[events.UserID][]byte{}
	for _, user := range users {
		all[user] = make([]byte, 32)
	}
	return all, nil
}

func TestHandle(t *testing.T) {
	t.Parallel()
	codec := events.NewCodec(events.Types, keys{})
	reactor := &Reactor{
		Codec: codec, Tickets: noTickets{}, Sender: nobody{t}, Now: func() time.Time { return noon }, Logger: slog.New(slog.DiscardHandler),
	}
	request, err := codec.Encode(t.Context(), []events.Event{events.UserMailRequested{
		User: 7, Mail: events.NewPrivate("ada@campus.example"), Ticket: "t", At: noon, ExpiresAt: noon.Add(1),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id, kind, data string
		want           string // of the error
	}{
		"another event is none of its business":   {"1", "item.traded", `{"item":1,"buyer":2,"sold":2}`, ""},
		"an event that cannot be read":            {"1", "user.mail_requested", `{`, "event 1"},
		"a message that is no event":              {"a", "user.mail_requested", `{}`, "not a position"},
		"a vault that is away is asked once more": {"1", "user.mail_requested", string(request[0].Data), errAway.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := message.NewMessage(c.id, []byte(c.data))
			msg.Metadata = message.Metadata{"type": c.kind, "schema": "1", "stream": "user-7"}
			err := reactor.Handle(msg)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("it is %v, want %q", err, c.want)
			}
			silent(t, err)
		})
	}
}
