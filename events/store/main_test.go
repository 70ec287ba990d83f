package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"foof/events"
	"foof/internal/pgtest"
	"foof/migrations"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) { pgtest.Main(m, migrate) }

func migrate(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return errors.Join(migrations.Up(ctx, conn, func(string) {}), conn.Close(ctx))
}

// database is one test's log in PostgreSQL. When the test has ended and all its Logs have stopped, the log is verified.
type database struct {
	dsn   string
	owner *pgxpool.Pool // as the owner of the tables, past the grants
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	return databaseAt(t, pgtest.DSN(t))
}

func databaseAt(t *testing.T, dsn string) *database {
	t.Helper()
	d := &database{dsn: dsn}
	d.owner = d.open(t)
	t.Cleanup(func() { verifyLog(t, d.owner) })
	return d
}

// serviceName marks the connections that act as the service, for tests that break them.
const serviceName = "foof service"

// service opens a pool that acts as foof's own do: under the role that cannot rewrite history.
func (d *database) service(t *testing.T, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	return d.open(t, append([]func(*pgxpool.Config){func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["role"] = "foof_service"
		c.ConnConfig.RuntimeParams["application_name"] = serviceName
	}}, change...)...)
}

func (d *database) open(t *testing.T, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 8
	for _, f := range change {
		f(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// start runs a Log until the test ends or stop is called, which waits for its end and may be called again.
func start(t *testing.T, log *Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// running is a Log over a fresh database, running.
func running(t *testing.T) (*Log, *database) {
	t.Helper()
	d := newDatabase(t)
	log := Open(d.service(t))
	start(t, log)
	return log, d
}

// patience is the test's context with an end, so that what hangs fails where it hangs.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func fact(stream, data string) events.Encoded {
	return events.Encoded{Stream: stream, Type: "thing.happened", Schema: 1, Data: []byte(data)}
}

// command is the append of a new command. Its metadata names it, which verifyLog relies on.
func command(expect map[string]events.Version, facts ...events.Encoded) Append {
	id := uuid.New()
	return Append{
		Command: id, Expect: expect, Events: facts,
		Meta: events.Metadata{Actor: 7, Command: id.String(), Correlation: "request-1"},
	}
}

type at = map[string]events.Version

// next is the append of one event to a stream at this version.
func next(stream string, version events.Version) Append {
	return command(at{stream: version}, fact(stream, fmt.Sprintf(`{"n": %d}`, version+1)))
}

func mustAppend(t *testing.T, log *Log, a Append) Receipt {
	t.Helper()
	r, err := log.Append(patience(t), a)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return r
}

// everything reads the log from the database.
func everything(t *testing.T, log *Log) []events.Recorded {
	t.Helper()
	const limit = 1 << 30
	page, err := log.ReadAfter(patience(t), 0, limit)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// sameEvents compares events in all that the log keeps of them, times and bytes included.
func sameEvents(t *testing.T, what string, got, want []events.Recorded) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d events, want %d", what, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if !sameEvent(got[i], want[i]) {
			t.Errorf("%s: event %d of %d is\n%s, want\n%s", what, i, len(want), show(got[i]), show(want[i]))
			return
		}
	}
}

func sameEvent(a, b events.Recorded) bool {
	return a.Position == b.Position && a.Stream == b.Stream && a.Version == b.Version && a.Type == b.Type && a.Schema == b.Schema &&
		bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Meta, b.Meta) && a.At.Equal(b.At) && a.At.Location() == b.At.Location()
}

func show(r events.Recorded) string {
	return fmt.Sprintf("%d: %s@%d %s v%d %.200s %s at %v", r.Position, r.Stream, r.Version, r.Type, r.Schema, r.Data, r.Meta, r.At)
}

// newSeed is what the test's random choices follow from: FOOF_TEST_SEED, to repeat a run, or a new one.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("FOOF_TEST_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("FOOF_TEST_SEED: %v", err)
		}
	}
	t.Logf("to repeat: FOOF_TEST_SEED=%d", seed)
	return seed
}

// until looks every few milliseconds whether something that only PostgreSQL can tell has come to be.
func until(t *testing.T, what string, holds func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx := patience(t)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds(ctx)
		if err != nil {
			t.Fatalf("wait until %s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("wait until %s: %v", what, ctx.Err())
		}
	}
}

// lockHead keeps every append from going on until it is released.
func (d *database) lockHead(t *testing.T) (release func()) {
	t.Helper()
	tx, err := d.owner.Begin(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(patience(t), `select from log_head for update`); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Errorf("release the head: %v", err)
		}
	})
	t.Cleanup(release)
	return release
}

// untilBlocked waits until so many connections of the service wait for a lock.
func (d *database) untilBlocked(t *testing.T, n int) {
	t.Helper()
	const sql = `
		select count(*) from pg_stat_activity
		where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`
	until(t, fmt.Sprintf("%d appends wait for the head", n), func(ctx context.Context) (bool, error) {
		var blocked int
		err := d.owner.QueryRow(ctx, sql, serviceName).Scan(&blocked)
		return blocked >= n, err
	})
}
