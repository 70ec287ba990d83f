package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/internal/outbox"
	"foof/internal/pgtest"

	"github.com/jackc/pgx/v5/pgxpool"
)

// beFoof is the variable that makes the test binary, run again, the program itself instead of running tests.
const beFoof = "FOOF_TEST_BE_FOOF"

func TestMain(m *testing.M) {
	if os.Getenv(beFoof) != "" {
		main()
		return
	}
	var err error
	if pictures, err = os.MkdirTemp("", "foof-images-test-"); err != nil {
		panic(err)
	}
	pgtest.Main(m, migrateQuietly, func() { _ = os.RemoveAll(pictures) })
}

// pictures is where services under test keep theirs, each in a folder of its own.
var pictures string

func migrateQuietly(ctx context.Context, dsn string) error { return migrate(ctx, dsn, func(string) {}) }

// service is a running foof, put together as foof dev does.
type service struct {
	url    string
	app    *app
	db     *pgxpool.Pool // as the owner of the tables
	client *http.Client
	down   bool        // on purpose: its answers may be 503
	said   *transcript // its log

	stop func() error // ends Run, and returns what it returned; may be called again
}

// setup is how a service under test is to be.
type setup struct {
	dsn    string
	db     *pgxpool.Pool
	config map[string]string
	around surroundings
	outbox *outbox.Outbox
	said   *transcript

	mailless bool
}

var (
	testSecret = strings.Repeat("s", 32)
	testMaster = hex.EncodeToString(bytes.Repeat([]byte{7}, 32))
)

// start runs a service until the test ends or stop is called: over a database of its own, unless change says otherwise. After
// the test the whole log is verified.
func start(t testing.TB, change ...func(*setup)) *service {
	t.Helper()
	said := newTranscript()
	s := setup{
		outbox: &outbox.Outbox{}, said: said,
		around: surroundings{logger: slog.New(slog.NewJSONHandler(said, nil)), now: time.Now},
		config: map[string]string{
			"FOOF_JWT_SECRETS": testSecret, "FOOF_MASTER_KEY": testMaster, "FOOF_CODES_PER_ADDRESS": "0",
			"FOOF_LOGINS_PER_ADDRESS": "0", "FOOF_POSTS_PER_ADDRESS": "0", "FOOF_POSTS_PER_ACCOUNT": "0", "FOOF_WRONG_PASSWORDS_PER_NUMBER": "0",
			"FOOF_SMS_WEBHOOK": "http://localhost", "FOOF_SMS_WEBHOOK_SECRET": "none",
			"FOOF_CAMPUS_DOMAIN": "campus.example", "FOOF_PUBLIC_URL": "https://foof.example/",
			"FOOF_IMAGES":          filepath.Join(pictures, newNumber()),
			"FOOF_REQUEST_TIMEOUT": "1m", // a hundred passwords at once, on a slow machine under the race detector
		},
	}
	for _, f := range change {
		f(&s)
	}
	if s.dsn == "" {
		s.dsn = pgtest.DSN(t)
	}
	if s.around.texts == nil {
		s.around.texts = s.outbox
	}
	if s.around.mails == nil && !s.mailless {
		s.around.mails = s.outbox
	}
	if s.db == nil {
		s.db = owner(t, s.dsn)
	}
	s.config["DATABASE_URL"] = s.dsn
	c, err := configFrom(s.config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(context.Background(), c, s.around, devRoutes(s.outbox))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	running := &service{
		url: "http://" + listener.Addr().String(), app: a, db: s.db, said: said,
		client: &http.Client{Timeout: 90 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, listener) }()
	running.stop = sync.OnceValue(func() error {
		cancel()
		defer running.client.CloseIdleConnections()
		return <-ended
	})
	t.Cleanup(func() {
		verifyLog(t, running.db)
		if err := running.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		running.tell(t)
	})
	return running
}

// tell shows what the service said, if the test has failed.
func (s *service) tell(t testing.TB) {
	t.Helper()
	if t.Failed() {
		t.Logf("the service said:\n%s", worse(s.said.String()))
	}
}

// worse are the lines of a log that are not of level INFO.
func worse(log string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"level":"INFO"`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func over(dsn string) func(*setup) { return func(s *setup) { s.dsn = dsn } }

func setting(name, value string) func(*setup) { return func(s *setup) { s.config[name] = value } }

// owner opens a pool that may do everything.
func owner(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), dsn+"&pool_max_conns=4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// forever is a test that does not end: what it starts lives as long as the process.
type forever struct{ testing.TB }

func (forever) Cleanup(func()) {}

var theOne struct {
	sync.Once

	service *service
}

// shared is the service of all tests that need none of their own. They keep out of each other's way by phone numbers and items
// of their own.
func shared(t *testing.T) *service {
	t.Helper()
	theOne.Do(func() {
		theOne.service = start(forever{t}, func(s *setup) {
			s.around.logger = slog.New(slog.NewJSONHandler(s.said, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
	})
	if theOne.service == nil {
		t.Fatal("the shared service did not start")
	}
	t.Cleanup(func() {
		verifyLog(t, theOne.service.db)
		theOne.service.tell(t)
	})
	return theOne.service
}

// patience is the test's context with an end, so that what hangs fails where it hangs.
func patience(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// until looks every few milliseconds whether something has come to be that gives no signal.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := patience(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// value reads one value from the database.
func value[T any](t testing.TB, db *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRow(patience(t), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// count is how many events of a type there are, in all or in one stream.
func (s *service) count(t testing.TB, kind string, stream ...string) int {
	t.Helper()
	return value[int](t, s.db, `select count(*) from events where type = $1 and ($2 = '' or stream = $2)`, kind, strings.Join(stream, ""))
}

func (s *service) head(t testing.TB) int64 {
	t.Helper()
	return value[int64](t, s.db, `select position from log_head`)
}

// laws are what holds of every log and its read models at any time. Each query returns what breaks its law, in words.
var laws = map[string]string{
	"positions are 1, 2, 3 … up to the head": `
		select format('head %s, count %s, first %s, last %s', h.position, count(e.position), min(e.position), max(e.position))
		from log_head h left join events e on true group by h.position
		having (count(e.position), coalesce(min(e.position), 1), coalesce(max(e.position), 0)) <> (h.position, 1, h.position)`,
	"versions are 1, 2, 3 … in the order of positions": `
		select format('%s at position %s has version %s, not %s', stream, position, version, place)
		from (select *, row_number() over (partition by stream order by position) as place from events) e where version <> place`,
	"time does not go back": `
		select format('position %s', position)
		from (select position, recorded_at, lag(recorded_at) over (order by position) as earlier from events) e where recorded_at < earlier`,
	"each link was followed once at most": `
		select data ->> 'ticket' from events where type = 'user.verified' group by 1 having count(*) > 1`,
	"each command was appended once, as a whole": `
		select meta ->> 'command' from events group by 1
		having max(position) - min(position) + 1 <> count(*) or count(command) <> 1 or max(command::text) <> meta ->> 'command'`,
	"a phone number has one account": `
		select stream from events where type = 'phone.claimed' group by 1 having count(*) <> 1`,
	"who claimed a number was registered, and nobody else": `
		select format('%s and %s', c.user, r.user)
		from (select (data ->> 'user')::bigint as user from events where type = 'phone.claimed') c
		full join (select (data ->> 'user')::bigint as user from events where type = 'user.registered') r using ("user")
		where c.user is null or r.user is null`,
	"an item is traded once at most, and its state is settled then": `
		select e.stream from events e join events l using (stream)
		where e.type = 'item.traded' and l.position > e.position and (l.type = 'item.traded' or l.data ->> 'sold' is not null)`,
	"the users' read model shows what is in the log": `
		select format('%s', (x.ids)) from (
			select array(select id from users order by 1) as ids, array(
				select (data ->> 'user')::bigint from events
				where type = 'user.registered' and position <= (select position from checkpoints where reader = 'users') order by 1) as logged
		) x where x.ids <> x.logged`,
	"the items' read model shows what is in the log": `
		with seen as (select * from events where stream like 'item-%' and position <= (select position from checkpoints where reader = 'items')),
		published as (select (data ->> 'item')::bigint as id, stream, (data ->> 'owner')::bigint as owner from seen where type = 'item.published'),
		logged as (select p.*,
			(select (s.data ->> 'sold')::int from seen s where s.stream = p.stream and s.data ->> 'sold' is not null order by s.position desc limit 1) as sold,
			(select s.data ->> 'title' from seen s where s.stream = p.stream and s.data ->> 'title' is not null order by s.position desc limit 1) as title,
			(select (s.data ->> 'price')::bigint from seen s where s.stream = p.stream and s.data ->> 'price' is not null order by s.position desc limit 1) as price,
			(select (s.data ->> 'buyer')::bigint from seen s where s.stream = p.stream and s.type = 'item.traded') as traded_to
			from published p)
		select format('item %s: %s, and the log says %s', coalesce(i.id, l.id), to_json(i), to_json(l)) from items i full join logged l using (id)
		where (i.owner, i.sold, i.title, i.price, i.traded_to) is distinct from (l.owner, l.sold, l.title, l.price, l.traded_to)`,
	"the favorites' read model shows what is in the log": `
		with seen as (select * from events where stream like 'favorites-%' and position <= (select position from checkpoints where reader = 'favorites')),
		logged as (
			select (data ->> 'favorite')::bigint as id, (data ->> 'user')::bigint as user_id, (data ->> 'item')::bigint as item
			from seen where type = 'favorite.added' and data ->> 'favorite' not in (select data ->> 'favorite' from seen where type = 'favorite.removed'))
		select format('favorite %s: %s, and the log says %s', coalesce(f.id, l.id), to_json(f), to_json(l)) from favorites f full join logged l using (id)
		where (f.user_id, f.item) is distinct from (l.user_id, l.item)`,
	"an item is a favorite of somebody once": `select format('%s of %s', item, user_id) from favorites group by user_id, item having count(*) > 1`,
	"a message is sent once, and fetched once at most": `
		select stream from events where stream like 'message-%' group by stream
		having count(*) filter (where type = 'message.sent') <> 1 or count(*) > 2`,
	"the messages' read model shows what is in the log": `
		with seen as (select * from events where stream like 'message-%' and position <= (select position from checkpoints where reader = 'messages')),
		logged as (
			select (s.data ->> 'message')::bigint as id, (s.data ->> 'from')::bigint as sender, (s.data ->> 'to')::bigint as recipient, s.position,
				exists (select from seen f where f.stream = s.stream and f.type = 'message.fetched') as fetched
			from seen s where s.type = 'message.sent')
		select format('message %s: %s, and the log says %s', coalesce(m.id, l.id), to_json(m), to_json(l)) from messages m full join logged l using (id)
		where (m.sender, m.recipient, m.position, m.fetched_at is not null) is distinct from (l.sender, l.recipient, l.position, l.fetched)`,
	"nothing is poisoned": `select format('event %s of %s: %s', position, reader, error) from poisoned_events`,
	"nothing is parked":   `select format('%s of %s: %s', stream, reader, error) from parked_streams`,
}

// verifyLog checks the whole log and what is derived from it. It is called after each test.
func verifyLog(t testing.TB, db *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tx, err := db.Begin(ctx)
	if err != nil {
		t.Errorf("verify the log: %v", err)
		return
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, `set transaction isolation level repeatable read, read only`); err != nil {
		t.Errorf("verify the log: %v", err)
	}
	for law, sql := range laws {
		var broken string
		err := tx.QueryRow(ctx, `select coalesce(string_agg(b.how, '; '), '') from (`+sql+`) as b (how)`).Scan(&broken)
		if err != nil {
			t.Errorf("verify that %s: %v", law, err)
			return
		}
		if broken != "" {
			t.Errorf("it does not hold that %s: %s", law, broken)
		}
	}
}

// newNumber is a phone number that no other test has.
func newNumber() string {
	return fmt.Sprintf("139%08d", numbers.Add(1))
}

var numbers atomic.Int64
