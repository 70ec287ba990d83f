package projections

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"foof/events"

	"github.com/jackc/pgx/v5"
)

// waiting starts an Await, and returns once it waits.
func waiting(t *testing.T, p *Progress, position events.Position) (ended <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	ctx := &noticed{Context: patience(t), asked: make(chan struct{}, 1)}
	go func() { done <- p.Await(ctx, position) }()
	select {
	case <-ctx.asked:
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	}
	return done
}

// noticed is a context that tells when somebody waits for its end.
type noticed struct {
	context.Context

	asked chan struct{}
}

func (n *noticed) Done() <-chan struct{} {
	select {
	case n.asked <- struct{}{}:
	default:
	}
	return n.Context.Done()
}

func TestAwait(t *testing.T) {
	t.Parallel()

	t.Run("what is done already does not wait", func(t *testing.T) {
		t.Parallel()
		p := NewProgress(nil, "a", "b") // without a database: it is not asked
		p.own("a", 7)
		p.own("b", 8)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, position := range []events.Position{0, 1, 7} {
			if err := p.Await(ended, position); err != nil {
				t.Errorf("position %d: %v", position, err)
			}
		}
	})

	t.Run("waits for every reader", func(t *testing.T) {
		t.Parallel()
		p := NewProgress(newDatabase(t).owner, "a", "b")
		p.own("a", 0)
		p.own("b", 0)
		ended := waiting(t, p, 5)
		p.advance("a", 9)
		p.advance("b", 4)
		p.advance("c", 9) // none of its readers
		select {
		case err := <-ended:
			t.Fatalf("b is at 4, and it ended with %v", err)
		default:
		}
		p.advance("b", 5)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	t.Run("sees checkpoints that others move", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		d.exec(t, `insert into checkpoints values ('a', 3), ('b', 0), ('c', 9)`)
		ended := waiting(t, NewProgress(d.owner, "a", "b"), 3)
		d.exec(t, `update checkpoints set position = 3 where reader = 'b'`)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	t.Run("says how far readers are when its time is over", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		p := NewProgress(d.owner, "a", "b")
		p.own("a", 4)
		p.own("b", 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := p.Await(ctx, 5)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "await position 5: readers are at 3") {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("ends with who waits", func(t *testing.T) {
		t.Parallel()
		p := NewProgress(newDatabase(t).owner, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Await(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("says so if the checkpoints cannot be read", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		pool := d.open(t, "")
		pool.Close()
		if err := NewProgress(pool, "a").Await(patience(t), 1); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it is %v", err)
		}
	})
}

// TestAwaitAfterCheckpointsWereLost has PostgreSQL come back from a crash with less of a read model than it had, which its
// setting synchronous_commit = off allows.
func TestAwaitAfterCheckpointsWereLost(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	owning, other := d.process(t, "items"), d.process(t, "items")
	owning.project(t, All[1])
	head := owning.append(t, published(1, "one"), published(2, "two"), published(3, "three"))
	owning.await(t, head)
	other.await(t, head)

	err := pgx.BeginFunc(patience(t), d.owner, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `update checkpoints set position = 1`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `delete from items where id > 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Whoever waits for what is new waits for what was lost, in whichever process.
	next := other.append(t, published(4, "four"))
	other.await(t, next)
	d.titles(t, "one", "two", "three", "four")
	owning.await(t, next)
	d.stands(t, "items", next)
	d.noneParked(t)
}

func TestOwnerStartsFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	p := NewProgress(newDatabase(t).owner, "a")
	p.own("a", 9)
	p.disown("a")
	p.own("a", 4) // after a crash
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.Await(ctx, 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v, though what was reached is lost", err)
	}
}
