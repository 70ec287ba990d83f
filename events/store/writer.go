package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"foof/events"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// writer is the one goroutine of a process that appends, on a connection of its own.
type writer struct {
	pool     *pgxpool.Pool
	queue    <-chan *pending
	tail     *tail
	observer Observer
	held     []*pending    // taken, and waiting for the next batch
	conn     *pgxpool.Conn // nil until needed, and after a fault
	down     bool          // the last batch did not get through

	// Of the last batch, kept for what they have allocated.
	batch   batch
	columns columns
	page    []events.Recorded
	went    Batch
}

// retryFor is how long the writer goes on with a batch while the database is away. Long enough for a restart; after that
// callers hear of it, and until the database is back they hear at once.
const retryFor = 5 * time.Second

func (l *Log) write(ctx context.Context) error {
	w := &writer{pool: l.pool, queue: l.queue, tail: l.tail, observer: l.Observer}
	defer close(l.closed)
	defer w.disconnect(ctx)
	for {
		batch := w.collect(ctx)
		if batch == nil {
			return nil
		}
		w.observe(context.WithoutCancel(ctx), batch)
	}
}

// settle sees to it that every append of the batch is answered. While it is not known whether the database has the batch,
// sending it again is safe: what is in the log already is found by its command id, even if the first call is still running
// there, because the calls take the head of the log one after the other.
func (w *writer) settle(ctx context.Context, batch []*pending) {
	var (
		deadline = time.Now().Add(retryFor)
		verdict  = ErrUnavailable
		pause    = 10 * time.Millisecond
	)
	for len(batch) > 0 {
		sent, rest, err := w.send(ctx, batch)
		batch = rest
		if err == nil {
			w.down = false
			continue
		}
		if sent {
			verdict = ErrInDoubt
		}
		w.disconnect(ctx)
		if w.down || time.Now().After(deadline) {
			w.down = true
			w.went.Failed += len(batch)
			for _, p := range batch {
				p.answer(Receipt{}, fmt.Errorf("%w: %w", verdict, err))
			}
			return
		}
		timer := time.NewTimer(pause)
		<-timer.C
		w.went.Retries++
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// send makes one attempt. Appends that it could decide on are answered; rest are those still open, to be sent again at once
// if err is nil. sent tells whether the database may have got to see them.
func (w *writer) send(ctx context.Context, batch []*pending) (sent bool, rest []*pending, err error) {
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	if w.conn == nil {
		if w.conn, err = w.pool.Acquire(ctx); err != nil {
			return false, batch, err
		}
	}
	if len(batch) == 1 && len(batch[0].Events) == 1 {
		var decided bool
		decided, err = w.appendOne(ctx, batch[0])
		if decided {
			return true, nil, nil
		}
	}
	rest = batch
	if err == nil {
		rest, err = w.appendAll(ctx, batch)
	}
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		return true, nil, nil
	case !errors.As(err, &refusal):
		return true, rest, err
	case refusal.Code == uniqueViolation:
		open, repeatedErr := w.answerRepeated(ctx, rest)
		if repeatedErr == nil && len(open) == len(rest) {
			w.isolate(ctx, open, err) // not what it should be
			open = nil
		}
		return true, open, repeatedErr
	case faulty(refusal):
		w.isolate(ctx, rest, err)
		return true, nil, nil
	default:
		return true, rest, err
	}
}

const uniqueViolation = "23505"

// faulty tells whether the database refused the call because of what is in it: the classes of data exceptions, integrity
// constraints and exceeded limits.
func faulty(refusal *pgconn.PgError) bool {
	class := refusal.Code[:2]
	return class == "22" || class == "23" || class == "54"
}

// appendOne is the short way for one append of one event, which is what there is while only one client is at work: a plain
// statement costs about half of the function call. It is undecided when anything is unusual, and the function tells what.
//
// Where it has to wait for another process's append, it still sees the streams as they were before: then the unique
// constraints of events refuse what must not be.
func (w *writer) appendOne(ctx context.Context, p *pending) (decided bool, err error) {
	const sql = `
		with head as (
			update log_head set position = position + 1, recorded_at = greatest(recorded_at, clock_timestamp())
			where $3 = coalesce((select max(version) from events where stream = $2), 0)
			returning position, recorded_at
		)
		insert into events (position, stream, version, type, schema_version, data, meta, recorded_at, command)
		select position, $2, $3 + 1, $4, $5, $6, $7, recorded_at, $1 from head
		returning position, recorded_at`
	var (
		e        = p.Events[0]
		expected = p.Expect[e.Stream]
		position events.Position
		at       time.Time
	)
	if len(p.Expect) != 1 {
		return false, nil
	}
	err = w.conn.QueryRow(ctx, sql, p.Command, e.Stream, expected, e.Type, e.Schema, string(e.Data), string(p.meta)).Scan(&position, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if refusal := (*pgconn.PgError)(nil); errors.As(err, &refusal) && refusal.Code == uniqueViolation {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w.accept([]*pending{p}, nil, position-1, at)
	return true, nil
}

// appendAll makes one call of append_events, and answers every append if that succeeds; rest are those still open if not.
// An append that is in conflict may be so with itself: then its command is in the log, and that is the answer.
func (w *writer) appendAll(ctx context.Context, batch []*pending) (rest []*pending, err error) {
	const statement = "append_events"
	const sql = `
		select head_before, recorded, conflict_append, conflict_stream, conflict_version
		from append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	var (
		before         events.Position
		at             time.Time
		refused        []int
		refusedStream  []string
		refusedVersion []int64
	)
	conn := w.conn.Conn()
	if _, err = conn.Prepare(ctx, statement, sql); err != nil {
		return batch, err
	}
	answer := conn.PgConn().ExecPrepared(ctx, statement, w.columns.arguments(batch), binaryForm, binaryForm)
	_, err = pgx.ForEachRow(pgx.RowsFromResultReader(conn.TypeMap(), answer),
		[]any{&before, &at, &refused, &refusedStream, &refusedVersion}, func() error { return nil })
	if err != nil {
		return batch, err
	}
	conflicts := make(map[*pending]*ConflictError, len(refused))
	for i, n := range refused {
		p, stream := batch[n], refusedStream[i]
		if conflicts[p] == nil {
			rest = append(rest, p)
		}
		conflicts[p] = &ConflictError{Stream: stream, Expected: p.Expect[stream], Actual: events.Version(refusedVersion[i])}
	}
	w.accept(batch, conflicts, before, at)
	if len(rest) == 0 {
		return nil, nil
	}
	if rest, err = w.answerRepeated(ctx, rest); err != nil {
		return rest, err
	}
	w.went.Conflicts += len(rest)
	for _, p := range rest {
		p.answer(Receipt{}, conflicts[p])
	}
	return nil, nil
}

// accept answers what was made durable of a batch, all but the appends in conflict, from the position after before on.
// Subscribers get it first.
func (w *writer) accept(batch []*pending, conflicts map[*pending]*ConflictError, before events.Position, at time.Time) {
	page := w.page[:0]
	receipts := make([]Receipt, len(batch))
	at = at.UTC()
	for i, p := range batch {
		if conflicts[p] != nil {
			continue
		}
		for k, e := range p.Events {
			before++
			page = append(page, events.Recorded{
				Position: before, Stream: e.Stream, Version: p.versions[k],
				Type: e.Type, Schema: e.Schema, Data: e.Data, Meta: p.meta, At: at,
			})
			receipts[i] = Receipt{Position: before, Version: p.versions[k]}
		}
	}
	if len(page) > 0 {
		w.went.Events += len(page)
		w.tail.publish(page)
	}
	clear(page)
	w.page = page
	for i, p := range batch {
		if conflicts[p] == nil {
			p.answer(receipts[i], nil)
		}
	}
}

// answerRepeated answers those of the batch whose commands are in the log already, and returns the others.
func (w *writer) answerRepeated(ctx context.Context, batch []*pending) ([]*pending, error) {
	const sql = `select command, position, version from events where command = any($1)`
	commands := make([]uuid.UUID, len(batch))
	for i, p := range batch {
		commands[i] = p.Command
	}
	rows, err := w.conn.Query(ctx, sql, commands)
	if err != nil {
		return batch, err
	}
	var (
		known   = map[uuid.UUID]Receipt{}
		command uuid.UUID
		r       = Receipt{Repeated: true}
	)
	_, err = pgx.ForEachRow(rows, []any{&command, &r.Position, &r.Version}, func() error {
		known[command] = r
		return nil
	})
	if err != nil {
		return batch, err
	}
	var rest []*pending
	for _, p := range batch {
		if receipt, ok := known[p.Command]; ok {
			w.tail.reach(receipt.Position)
			p.answer(receipt, nil)
		} else {
			rest = append(rest, p)
		}
	}
	return rest, nil
}

// isolate answers a batch that the database refused because of what is in it: each append is sent alone, so that only the
// one that is wrong hears of it.
func (w *writer) isolate(ctx context.Context, batch []*pending, refusal error) {
	if len(batch) == 1 {
		batch[0].answer(Receipt{}, fmt.Errorf("append: %w", refusal))
		return
	}
	for _, p := range batch {
		w.settle(context.WithoutCancel(ctx), []*pending{p})
	}
}

func (w *writer) disconnect(ctx context.Context) {
	if w.conn == nil {
		return
	}
	_ = w.conn.Conn().Close(context.WithoutCancel(ctx)) // it may be broken: there is nothing to be said about that
	w.conn.Release()
	w.conn = nil
}
