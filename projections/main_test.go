package projections

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"foof/events"
	"foof/events/store"
	"foof/internal/pgtest"
	"foof/migrations"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

// keyring has a key for everyone but user 404, whose key never was, and user 410, whose key is gone.
type keyring struct{}

const (
	unknown events.UserID = 404
	erased  events.UserID = 410
)

func (keyring) Keys(_ context.Context, users []events.UserID) (map[events.UserID][]byte, error) {
	keys := map[events.UserID][]byte{}
	for _, user := range users {
		switch user {
		case unknown:
		case erased:
			keys[user] = nil
		default:
			keys[user] = keyOf(user)
		}
	}
	return keys, nil
}

// everyone is a keyring that has those keys too.
type everyone struct{}

func (everyone) Keys(_ context.Context, users []events.UserID) (map[events.UserID][]byte, error) {
	keys := map[events.UserID][]byte{}
	for _, user := range users {
		keys[user] = keyOf(user)
	}
	return keys, nil
}

func keyOf(user events.UserID) []byte {
	key := sha256.Sum256([]byte(user.Stream()))
	return key[:]
}

// database is one test's PostgreSQL.
type database struct {
	dsn   string
	owner *pgxpool.Pool // of the tables, past the grants
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{dsn: pgtest.DSN(t)}
	d.owner = d.open(t, "")
	return d
}

func (d *database) open(t *testing.T, role string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		config.ConnConfig.RuntimeParams["role"] = role
	}
	config.MaxConns = 6
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// process is what one of several processes has of the log.
type process struct {
	log      *store.Log
	progress *Progress
}

// process starts one, whose Progress is over these readers.
func (d *database) process(t *testing.T, readers ...string) *process {
	t.Helper()
	pool := d.open(t, "foof_service")
	p := &process{log: store.Open(pool), progress: NewProgress(pool, readers...)}
	run(t, p.log.Run)
	return p
}

// run runs something until the test ends or stop is called, which waits for its end and may be called again.
func run(t *testing.T, runs func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runs(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// project runs a projector in a process until the test ends or stop is called.
func (p *process) project(t *testing.T, projector Projector) (stop func()) {
	t.Helper()
	runner := &Runner{
		Projector: projector, Log: p.log, Codec: events.NewCodec(events.Types, keyring{}), Progress: p.progress,
		Logger: slog.New(slog.DiscardHandler),
	}
	return run(t, runner.Run)
}

// append appends each of these events after what is in its stream.
func (p *process) append(t *testing.T, facts ...events.Event) events.Position {
	t.Helper()
	encoded, err := events.NewCodec(events.Types, everyone{}).Encode(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	return p.appendRaw(t, encoded...)
}

func (p *process) appendRaw(t *testing.T, encoded ...events.Encoded) events.Position {
	t.Helper()
	ctx := patience(t)
	expect := map[string]events.Version{}
	var streams []string
	for _, e := range encoded {
		if _, seen := expect[e.Stream]; !seen {
			streams = append(streams, e.Stream)
		}
		expect[e.Stream] = 0
	}
	past, err := p.log.Load(ctx, streams...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range past {
		expect[r.Stream] = r.Version
	}
	receipt, err := p.log.Append(ctx, store.Append{Command: uuid.New(), Expect: expect, Events: encoded})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Position
}

func (p *process) await(t *testing.T, position events.Position) {
	t.Helper()
	if err := p.progress.Await(patience(t), position); err != nil {
		t.Fatal(err)
	}
}

// patience is the test's context with an end, so that what hangs fails where it hangs.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// rows reads a list of rows of one value each.
func rows[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) []T {
	t.Helper()
	found, err := pool.Query(patience(t), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(found, pgx.RowTo[T])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (d *database) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := d.owner.Exec(patience(t), sql); err != nil {
		t.Fatal(err)
	}
}

// stands checks where a reader's checkpoint is.
func (d *database) stands(t *testing.T, reader string, want events.Position) {
	t.Helper()
	got := rows[events.Position](t, d.owner, `select position from checkpoints where reader = $1`, reader)
	if diff := cmp.Diff([]events.Position{want}, got); diff != "" {
		t.Errorf("checkpoint of %s (-want +got):\n%s", reader, diff)
	}
}

// parked is a row of parked_streams.
type parked struct {
	Reader, Stream string
	Position       events.Position
	Error          string
}

func (d *database) parked(t *testing.T) []parked {
	t.Helper()
	found, err := d.owner.Query(patience(t), `select reader, stream, position, error from parked_streams order by reader, position`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[parked])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (d *database) noneParked(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff([]parked(nil), d.parked(t), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("parked streams (-want +got):\n%s", diff)
	}
}

func published(item events.ItemID, title string) events.ItemPublished {
	return events.ItemPublished{Item: item, Owner: 7, Title: title, Price: 100, ImgURL: "[]", Sold: events.ForSale}
}
