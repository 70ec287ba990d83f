package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"foof/events"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrMoved means that a reader's checkpoint is not where this claim left it: the database came back from a crash with less
// than it had, or somebody else moved it.
var ErrMoved = errors.New("the checkpoint was moved")

// A Claim is the right to be the reader of a name, and its checkpoint. In all processes one at a time has it. It is for one
// goroutine.
type Claim struct {
	Reader   string
	Position events.Position // the checkpoint: everything up to here is done
	conn     *pgx.Conn       // has the lock: who loses the connection loses the claim, and cannot move the checkpoint either
}

// standBy is how long one waits between two looks whether a claim has become free, or is still held.
const standBy = time.Second

// Claim waits until nobody else has the claim to this reader's name, and takes it. A new reader's checkpoint is 0.
func (l *Log) Claim(ctx context.Context, reader string) (*Claim, error) {
	const sql = `select pg_try_advisory_lock(hashtextextended('foof reader ' || $1, 0))`
	for {
		conn, err := l.pool.Acquire(ctx)
		if err != nil {
			return nil, fmt.Errorf("claim %s: %w", reader, err)
		}
		var free bool
		if err := conn.QueryRow(ctx, sql, reader).Scan(&free); err != nil {
			conn.Release()
			return nil, fmt.Errorf("claim %s: %w", reader, err)
		}
		if free {
			c := &Claim{Reader: reader, conn: conn.Hijack()}
			if err := c.load(ctx); err != nil {
				c.Release(ctx)
				return nil, err
			}
			return c, nil
		}
		conn.Release()
		timer := time.NewTimer(standBy)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("claim %s: %w", reader, ctx.Err())
		}
	}
}

// Advance moves the checkpoint, in one transaction with what within does, which may be nil. That need not survive a crash:
// what is lost is read again. It is ErrMoved if the checkpoint was not where it should be; nothing has happened then.
func (c *Claim) Advance(ctx context.Context, to events.Position, within func(tx pgx.Tx) error) error {
	var err error
	if within == nil {
		err = c.move(ctx, c.conn, to)
	} else {
		err = pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
			if err := within(tx); err != nil {
				return err
			}
			return c.move(ctx, tx, to)
		})
	}
	if err != nil {
		return fmt.Errorf("%s from %d to %d: %w", c.Reader, c.Position, to, err)
	}
	c.Position = to
	return nil
}

// move is one statement, and so a transaction by itself where there is none.
func (c *Claim) move(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, to events.Position,
) error {
	const sql = `update checkpoints set position = $3 where reader = $1 and position = $2`
	tag, err := db.Exec(ctx, sql, c.Reader, c.Position, to)
	if err == nil && tag.RowsAffected() != 1 {
		err = ErrMoved
	}
	return err
}

// Follow yields what comes after the checkpoint of a claim, as Subscribe does. The consumer advances the claim over each page
// before it takes the next. While nothing happens, Follow sees to it that the claim still holds: that its connection lives, and
// that the checkpoint did not go back in a crash; if not, the error says so.
func (l *Log) Follow(ctx context.Context, c *Claim, limit int) iter.Seq2[[]events.Recorded, error] {
	return func(yield func([]events.Recorded, error) bool) {
		idle := time.NewTicker(standBy)
		defer idle.Stop()
		f := follower{log: l, limit: limit}
		defer f.stop()
		for {
			page, err := f.next(ctx, c.Position, idle.C)
			if err == nil && page == nil {
				if err = c.check(ctx); err == nil {
					continue
				}
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// check is an error if the claim is lost, and ErrMoved if the checkpoint is not where it was left.
func (c *Claim) check(ctx context.Context) error {
	const sql = `select position from checkpoints where reader = $1`
	var position events.Position
	if err := c.conn.QueryRow(ctx, sql, c.Reader).Scan(&position); err != nil {
		return fmt.Errorf("claim of %s: %w", c.Reader, err)
	}
	if position != c.Position {
		return fmt.Errorf("claim of %s: %w from %d to %d", c.Reader, ErrMoved, c.Position, position)
	}
	return nil
}

// Release gives the claim up, also when ctx has ended.
func (c *Claim) Release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx) // the lock goes with the connection, however that ends
}

func (c *Claim) load(ctx context.Context) error {
	const sql = `
		with made as (insert into checkpoints (reader, position) values ($1, 0) on conflict do nothing returning position)
		select position from made union all select position from checkpoints where reader = $1`
	err := c.conn.QueryRow(ctx, sql, c.Reader).Scan(&c.Position)
	if err == nil {
		_, err = c.conn.Exec(ctx, `set synchronous_commit = off`)
	}
	if err != nil {
		return fmt.Errorf("checkpoint of %s: %w", c.Reader, err)
	}
	return nil
}
