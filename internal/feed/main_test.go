package feed

import (
	"context"
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

	"github.com/ThreeDotsLabs/watermill/message"
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

// world is a log of the test's own.
type world struct {
	dsn  string
	pool *pgxpool.Pool // acts as the service
	log  *store.Log
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dsn: pgtest.DSN(t)}
	config, err := pgxpool.ParseConfig(w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["role"] = "foof_service"
	config.MaxConns = 6
	if w.pool, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	w.log = store.Open(w.pool)
	run(t, w.log.Run)
	return w
}

// run runs something until the test ends or stop is called, which waits for its end and may be called again.
func run(t testing.TB, runs func(context.Context) error) (stop func()) {
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

const happened = "thing.happened"

func (w *world) subscriber(t testing.TB) *Subscriber {
	t.Helper()
	s := NewSubscriber(w.log, slog.New(slog.DiscardHandler), happened)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// append appends an event of each of these types, in streams of their own.
func (w *world) append(t testing.TB, kinds ...string) {
	t.Helper()
	for _, kind := range kinds {
		w.appendAll(t, events.Encoded{Stream: "thing-" + uuid.NewString(), Type: kind, Schema: 1, Data: []byte(`{}`)})
	}
}

// appendAll appends events in one go, to streams that are new.
func (w *world) appendAll(t testing.TB, encoded ...events.Encoded) {
	t.Helper()
	expect := map[string]events.Version{}
	for _, e := range encoded {
		expect[e.Stream] = 0
	}
	_, err := w.log.Append(t.Context(), store.Append{
		Command: uuid.New(), Expect: expect, Events: encoded, Meta: events.Metadata{Actor: 7, Correlation: "request-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func subscribe(t testing.TB, s *Subscriber, reader string) <-chan *message.Message {
	t.Helper()
	messages, err := s.Subscribe(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// receive waits for the next of something.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	next, open := receiveOrEnd(t, from)
	if !open {
		t.Fatal("there is no more")
	}
	return next
}

func receiveOrEnd[T any](t testing.TB, from <-chan T) (next T, open bool) {
	t.Helper()
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case next, open = <-from:
	case <-timer.C:
		t.Fatal("nothing came")
	}
	return next, open
}

// take receives the message of an event and acknowledges it.
func take(t testing.TB, messages <-chan *message.Message, position string) {
	t.Helper()
	msg := receive(t, messages)
	if msg.UUID != position {
		t.Errorf("event %s came, want %s", msg.UUID, position)
	}
	msg.Ack()
}

// settled waits until a reader's checkpoint is there.
func (w *world) settled(t testing.TB, reader string, position events.Position) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		at := w.checkpoint(t, reader)
		if at == position {
			return
		}
		if at > position {
			t.Fatalf("%s is at %d, want %d", reader, at, position)
		}
		receive(t, tick.C)
	}
}

// checkpoint is where a reader is, or -1 if it has not begun.
func (w *world) checkpoint(t testing.TB, reader string) events.Position {
	t.Helper()
	const sql = `select coalesce((select position from checkpoints where reader = $1), -1)`
	var at events.Position
	if err := w.pool.QueryRow(t.Context(), sql, reader).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}
