package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"foof/events"

	"github.com/jackc/pgx/v5"
)

func claimed(ctx context.Context, t *testing.T, log *Log, reader string) *Claim {
	t.Helper()
	c, err := log.Claim(ctx, reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Release(ctx) })
	return c
}

// checkpoint is what the database has.
func (d *database) checkpoint(ctx context.Context, t *testing.T, reader string) (position events.Position) {
	t.Helper()
	const sql = `select position from checkpoints where reader = $1`
	if err := d.owner.QueryRow(ctx, sql, reader).Scan(&position); err != nil {
		t.Fatal(err)
	}
	return position
}

func TestClaimHasOneOwnerAtATime(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	logs := []*Log{Open(d.service(t)), Open(d.service(t))}
	var (
		owners  atomic.Int32
		turns   sync.WaitGroup
		another = claimed(patience(t), t, logs[0], "another reader") // is in nobody's way
	)
	const count = 6
	for i := range count {
		turns.Go(func() {
			c, err := logs[i%2].Claim(patience(t), "reader")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Release(t.Context())
			if n := owners.Add(1); n != 1 {
				t.Errorf("%d have the claim", n)
			}
			for range 10 {
				if err := c.Advance(patience(t), c.Position+1, nil); err != nil {
					t.Error(err)
				}
			}
			owners.Add(-1)
		})
	}
	turns.Wait()
	if position := d.checkpoint(patience(t), t, "reader"); position != 10*count {
		t.Errorf("the checkpoint is %d, want %d", position, 10*count)
	}
	if position := d.checkpoint(patience(t), t, another.Reader); position != 0 {
		t.Errorf("the other's checkpoint is %d", position)
	}
}

func TestClaimIsTakenOver(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, d *database, c *Claim){
		"when its owner gives it up": func(t *testing.T, _ *database, c *Claim) {
			t.Helper()
			c.Release(t.Context())
		},
		"when its owner's connection is lost": func(t *testing.T, d *database, c *Claim) {
			t.Helper()
			if _, err := d.owner.Exec(patience(t), `select pg_terminate_backend($1)`, c.conn.PgConn().PID()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			first := claimed(patience(t), t, Open(d.service(t)), "reader")
			if err := first.Advance(patience(t), 17, nil); err != nil {
				t.Fatal(err)
			}
			pool := d.service(t)
			taken := goClaim(patience(t), Open(pool), "reader")
			until(t, "it was asked for in vain", func(context.Context) (bool, error) {
				s := pool.Stat()
				return s.AcquireCount() > 0 && s.AcquiredConns() == 0, nil
			})
			select {
			case <-taken:
				t.Fatal("it was taken while it had an owner")
			default:
			}
			lose(t, d, first)
			got := <-taken
			if got.err != nil {
				t.Fatal(got.err)
			}
			second := got.claim
			defer second.Release(context.Background())
			if second.Position != 17 {
				t.Errorf("taken over at %d", second.Position)
			}
			if err := first.Advance(patience(t), 18, nil); err == nil {
				t.Error("the first owner moved the checkpoint still")
			}
			if err := second.Advance(patience(t), 19, nil); err != nil {
				t.Error(err)
			}
			if position := d.checkpoint(patience(t), t, "reader"); position != 19 {
				t.Errorf("the checkpoint is %d", position)
			}
		})
	}
}

type claiming struct {
	claim *Claim
	err   error
}

func goClaim(ctx context.Context, log *Log, reader string) <-chan claiming {
	result := make(chan claiming, 1)
	go func() {
		c, err := log.Claim(ctx, reader)
		result <- claiming{c, err}
	}()
	return result
}

func TestClaimWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	claimed(patience(t), t, Open(d.service(t)), "reader")
	pool := d.service(t)
	ctx, cancel := context.WithCancel(patience(t))
	result := goClaim(ctx, Open(pool), "reader")
	until(t, "it was asked for", func(context.Context) (bool, error) { return pool.Stat().AcquireCount() > 0, nil })
	cancel()
	if got := <-result; !errors.Is(got.err, context.Canceled) {
		t.Errorf("%v, want %v", got.err, context.Canceled)
	}
	until(t, "its connection is given back", func(context.Context) (bool, error) { return pool.Stat().AcquiredConns() == 0, nil })
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	var (
		d   = newDatabase(t)
		ctx = patience(t)
		log = Open(d.service(t))
	)
	const (
		add   = `insert into parked_streams (reader, stream, position, error) values ($1, 'a', 1, 'none')`
		added = `select count(*) from parked_streams where reader = $1`
	)
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		within func(ctx context.Context, tx pgx.Tx, c *Claim) error
		moved  bool // meanwhile, by somebody else
		fails  bool
		want   error // if it matters which
	}{
		"moves the checkpoint together with what is done within it": {},
		"changes nothing when what is within it fails": {
			within: func(context.Context, pgx.Tx, *Claim) error { return broken }, fails: true, want: broken,
		},
		"changes nothing when a statement within it fails": {
			within: func(ctx context.Context, tx pgx.Tx, _ *Claim) error {
				_, err := tx.Exec(ctx, `select 1 / 0`)
				return err
			}, fails: true,
		},
		"changes nothing when a statement within it failed and nobody cared": {
			within: func(ctx context.Context, tx pgx.Tx, _ *Claim) error {
				_, _ = tx.Exec(ctx, `select 1 / 0`)
				return nil
			}, fails: true,
		},
		"changes nothing when the checkpoint was moved": {moved: true, fails: true, want: ErrMoved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim := claimed(ctx, t, log, name)
			if err := claim.Advance(ctx, 5, nil); err != nil {
				t.Fatal(err)
			}
			at := events.Position(5)
			if c.moved {
				at = 3
				if _, err := d.owner.Exec(ctx, `update checkpoints set position = 3 where reader = $1`, name); err != nil {
					t.Fatal(err)
				}
			}
			err := claim.Advance(ctx, 9, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, add, name); err != nil || c.within == nil {
					return err
				}
				return c.within(ctx, tx, claim)
			})
			rows, held := 0, events.Position(5)
			if !c.fails {
				at, rows, held = 9, 1, 9
			}
			if (err != nil) != c.fails || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got := d.checkpoint(ctx, t, name); got != at || claim.Position != held {
				t.Errorf("the checkpoint is %d, want %d; the claim says %d, want %d", got, at, claim.Position, held)
			}
			var n int
			if err := d.owner.QueryRow(ctx, added, name).Scan(&n); err != nil || n != rows {
				t.Errorf("%d rows were added, %v, want %d", n, err, rows)
			}
			if c.moved {
				return
			}
			if err := claim.Advance(ctx, held+1, nil); err != nil { // the claim is as good as before
				t.Error(err)
			}
		})
	}
}
