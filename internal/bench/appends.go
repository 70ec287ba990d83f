package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"foof/events"
	"foof/events/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// insertClients are the numbers of connections on which bare INSERTs are measured.
var insertClients = [...]int32{1, 8, 32}

const (
	copyRows      = 512 // per commit
	conflictEvery = 100
)

// subject is one thing to measure: what, by how many at once, and how once.
type subject struct {
	kind    Kind
	clients int
	measure func(ctx context.Context) (sample, error)
}

// appends measures all that appends, in as many rounds, every other one backwards.
func appends(ctx context.Context, o LogOptions, at *place, s *samples, progress func(string)) ([]Appends, error) {
	subjects := appendSubjects(o, at, s)
	found := make([][]sample, len(subjects))
	for round := range o.Rounds {
		for k := range subjects {
			if round%2 == 1 {
				k = len(subjects) - 1 - k
			}
			one := subjects[k]
			progress(fmt.Sprintf("round %d of %d: %s, %d at once", round+1, o.Rounds, one.kind, one.clients))
			if err := at.empty(ctx); err != nil {
				return nil, err
			}
			result, err := one.measure(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %d at once: %w", one.kind, one.clients, err)
			}
			found[k] = append(found[k], result)
		}
	}
	table := make([]Appends, len(subjects))
	for k, one := range subjects {
		table[k] = newAppends(one, found[k])
	}
	return table, nil
}

// appendSubjects has those that are compared with each other next to each other.
func appendSubjects(o LogOptions, at *place, s *samples) []subject {
	var subjects []subject
	add := func(kind Kind, clients int, measure func(context.Context) (sample, error)) {
		subjects = append(subjects, subject{kind, clients, measure})
	}
	logged := func(n, wrongEvery int) func(context.Context) (sample, error) {
		return func(ctx context.Context) (result sample, err error) {
			err = withLog(ctx, at, func(ctx context.Context, log *store.Log) error {
				result, err = drive(ctx, logClients(log, s, n, wrongEvery), o.Duration)
				return err
			})
			return result, err
		}
	}
	bare := func(n int, one func(*pgx.Conn, *samples, int) client) func(context.Context) (sample, error) {
		return func(ctx context.Context) (sample, error) { return driveBare(ctx, at, s, n, one, o.Duration) }
	}
	rest := insertClients[:]
	for _, n := range o.Appenders {
		for ; len(rest) > 0 && int(rest[0]) <= n; rest = rest[1:] {
			add(BareInsert, int(rest[0]), bare(int(rest[0]), insertClient))
		}
		add(LogAppend, n, logged(n, 0))
		add(LogConflicts, n, logged(n, conflictEvery))
	}
	for _, n := range rest {
		add(BareInsert, int(n), bare(int(n), insertClient))
	}
	add(BareCopy, 1, bare(1, copyClient))
	return subjects
}

// logClients append to the log, each to items of its own. Where wrongEvery is not 0, one append in as many of each client
// expects a wrong version.
func logClients(log *store.Log, s *samples, n, wrongEvery int) []client {
	clients := make([]client, n)
	for i := range clients {
		var (
			next = newItems(s, i, n)
			turn = i * wrongEvery / n // not all in the same moment
		)
		clients[i] = func(ctx context.Context) (int, error) {
			turn++
			wrong := wrongEvery > 0 && turn%wrongEvery == 0
			expected := next.version
			if wrong {
				expected++
			}
			e := next.event()
			_, err := log.Append(ctx, store.Append{
				Command: uuid.New(),
				Expect:  map[string]events.Version{e.Stream: expected},
				Events:  []events.Encoded{e},
				Meta:    next.metadata(),
			})
			switch conflict := (*store.ConflictError)(nil); {
			case wrong && errors.As(err, &conflict):
				return 0, nil
			case err != nil:
				return 0, err
			case wrong:
				return 0, fmt.Errorf("%s at version %d took an event that expects %d", e.Stream, next.version, expected)
			}
			next.appended()
			return 1, nil
		}
	}
	return clients
}

// items is what one client appends: one item after the other, a few events each.
type items struct {
	samples *samples
	r       *rand.Rand
	number  int
	step    int
	stream  string
	version events.Version
	count   int64
}

func newItems(s *samples, client, clients int) *items {
	source := rand.NewPCG(uint64(client), 1)                                               //nolint:gosec // a small number
	it := &items{samples: s, r: rand.New(source), number: client - clients, step: clients} //nolint:gosec // no secret
	it.begin()
	return it
}

func (it *items) begin() {
	it.number += it.step
	it.stream = "item-" + strconv.Itoa(1_000_000+it.number)
	it.version = 0
}

func (it *items) event() events.Encoded {
	e := it.samples.at(int(it.version)+1, it.r)
	e.Stream = it.stream
	return e
}

func (it *items) appended() {
	it.version++
	if it.version == eventsPerItem {
		it.begin()
	}
}

func (it *items) metadata() events.Metadata {
	m := it.samples.meta
	m.Command = m.Correlation // as long as any
	return m
}

// driveBare drives clients that have a connection each, as the service's role.
func driveBare(ctx context.Context, at *place, s *samples, n int, one func(*pgx.Conn, *samples, int) client, d time.Duration,
) (sample, error) {
	clients := make([]client, n)
	for i := range clients {
		conn, err := at.pool.Acquire(ctx)
		if err != nil {
			return sample{}, err
		}
		defer conn.Release() //nolint:revive // all of them, when the measurement is over
		clients[i] = one(conn.Conn(), s, i)
	}
	return drive(ctx, clients, d)
}

// insertClient inserts one event per commit, as plainly as can be.
func insertClient(conn *pgx.Conn, s *samples, i int) client {
	const sql = `
		insert into bench_events (stream, version, type, schema_version, data, meta, recorded_at, command)
		values ($1, $2, $3, $4, $5, $6, clock_timestamp(), $7)`
	next := newItems(s, i, int(insertClients[len(insertClients)-1]))
	return func(ctx context.Context) (int, error) {
		e := next.event()
		meta, err := events.EncodeMetadata(next.metadata())
		if err != nil {
			return 0, err
		}
		_, err = conn.Exec(ctx, sql, e.Stream, next.version+1, e.Type, e.Schema, e.Data, meta, uuid.New())
		next.appended()
		return 1, err
	}
}

// copyClient adds many events per commit, as fast as PostgreSQL takes them in at all.
func copyClient(conn *pgx.Conn, s *samples, i int) client {
	next := newItems(s, i, 1)
	return func(ctx context.Context) (int, error) {
		added, err := conn.CopyFrom(ctx, pgx.Identifier{"bench_events"}, copyColumns[1:],
			pgx.CopyFromSlice(copyRows, func(int) ([]any, error) {
				row, err := copyRow(next)
				return row[1:], err
			}))
		return int(added), err
	}
}

var copyColumns = []string{"position", "stream", "version", "type", "schema_version", "data", "meta", "recorded_at", "command"}

// copyRow is the next event as a row, with its number among this client's for a position.
func copyRow(next *items) ([]any, error) {
	e, version := next.event(), next.version+1
	meta, err := events.EncodeMetadata(next.metadata())
	next.appended()
	next.count++
	return []any{next.count, e.Stream, version, e.Type, e.Schema, e.Data, meta, time.Now(), uuid.New()}, err
}
