package commands

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"

	"foof/events"
	"foof/events/store"
	"foof/internal/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// keyring has a key for everyone.
type keyring struct{}

func (keyring) Keys(_ context.Context, users []events.UserID) (map[events.UserID][]byte, error) {
	keys := map[events.UserID][]byte{}
	for _, user := range users {
		key := sha256.Sum256([]byte(user.Stream()))
		keys[user] = key[:]
	}
	return keys, nil
}

var codec = events.NewCodec(events.Types, keyring{})

// world is a log of the test's own.
type world struct {
	log  *store.Log
	stop func() // ends Run; may be called again
}

func newWorld(t *testing.T) *world {
	t.Helper()
	config, err := pgxpool.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["role"] = "foof_service"
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)

	w := &world{log: store.Open(pool)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.log.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// engine is one over the log as it is, or over what is put between.
func (w *world) engine(between ...func(Log) Log) *Engine {
	var log Log = w.log
	for _, wrap := range between {
		log = wrap(log)
	}
	return NewEngine(log, codec)
}

// append puts events at the end of their one stream.
func (w *world) append(t *testing.T, facts ...events.Event) {
	t.Helper()
	past := w.load(t, facts[0].Stream())
	encoded, err := codec.Encode(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.log.Append(t.Context(), store.Append{
		Command: uuid.New(), Expect: map[string]events.Version{facts[0].Stream(): events.Version(len(past))}, Events: encoded,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) load(t *testing.T, streams ...string) []events.Recorded {
	t.Helper()
	page, err := w.log.Load(t.Context(), streams...)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Decode(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	return page
}

// holds checks what is in some streams, in the order of the log.
func (w *world) holds(t *testing.T, want history, streams ...string) {
	t.Helper()
	var got history
	for _, r := range w.load(t, streams...) {
		got = append(got, r.Event)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%v (-want +got):\n%s", streams, diff)
	}
}

func (w *world) head(t *testing.T) events.Position {
	t.Helper()
	head, err := w.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// meddled is the log with somebody else at work: before the nth Append, from 1 on.
type meddled struct {
	Log

	before func(n int)
	calls  atomic.Int32
}

func (m *meddled) Append(ctx context.Context, a store.Append) (store.Receipt, error) {
	m.before(int(m.calls.Add(1)))
	return m.Log.Append(ctx, a)
}

func meddle(before func(n int)) func(Log) Log {
	return func(log Log) Log { return &meddled{Log: log, before: before} }
}
