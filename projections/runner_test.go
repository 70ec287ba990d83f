package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestRunnerCatchesUpAndFollows(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, Names()...)
	const many = 2*pageSize + pageSize/2
	var facts []events.Event
	for n := range many {
		facts = append(facts, published(events.ItemID(n+1), fmt.Sprint(n)))
	}
	head := p.append(t, facts...)
	for _, projector := range All {
		p.project(t, projector)
	}
	p.await(t, head)
	if got := rows[int](t, d.owner, `select count(*) from items`); got[0] != many {
		t.Errorf("there are %d items, want %d", got[0], many)
	}
	for n := range 5 {
		title := fmt.Sprint("again ", n)
		p.await(t, p.append(t, events.ItemModified{Item: 1, Title: &title}))
		if got := rows[string](t, d.owner, `select title from items where id = 1`); got[0] != title {
			t.Fatalf("item 1 is %q, want %q", got[0], title)
		}
	}
	for _, name := range Names() {
		d.stands(t, name, many+5)
	}
	d.noneParked(t)
}

func TestRunnerBuildsWhatTheModelSays(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, Names()...)
	for _, projector := range All {
		p.project(t, projector)
	}
	past := histories.Example(7)
	for _, e := range past {
		p.append(t, e)
	}
	p.await(t, events.Position(len(past)))
	got, err := stored(t.Context(), d.owner)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected(past), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after %d events (-want +got):\n%s", len(past), diff)
	}
}

func TestRunnerForgetsWhoWasErased(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, "users")
	p.project(t, All[0])
	as := events.NewPrivate
	p.await(t, p.append(t,
		events.UserRegistered{
			User: erased, Phone: as("13800138000"), PhoneIndex: "a", Password: "d2719c5b-5b3e-4d64-9a0f-1f6f3e0a9b77",
			Username: as("Ada"), Info: as("hi"), Score: 10,
		},
		events.UserProfileChanged{User: erased, Address: as("Beijing")},
		events.UserStudentIDChanged{User: erased, StudentID: as("20191234")},
	))
	got, err := stored(t.Context(), d.owner)
	if err != nil {
		t.Fatal(err)
	}
	want := []userView{{ID: int64(erased), PhoneIndex: "a", Password: "d2719c5b-5b3e-4d64-9a0f-1f6f3e0a9b77", Score: 10}}
	if diff := cmp.Diff(want, got.Users); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.noneParked(t)
}

// marks is a projector of the tests' own: a row for each event, written by whoever. A second row for one event is refused.
func (d *database) marks(t *testing.T, by string, before func(ctx context.Context, tx pgx.Tx) error) Projector {
	t.Helper()
	d.exec(t, `create table if not exists marks (position bigint primary key, by text not null)`)
	d.exec(t, `grant select, insert on marks to foof_service`)
	return Projector{Name: "marks", Project: func(ctx context.Context, tx pgx.Tx, page []events.Recorded) error {
		for _, r := range page {
			if _, err := tx.Exec(ctx, `insert into marks values ($1, $2)`, r.Position, by); err != nil {
				return fmt.Errorf("mark: %w", err)
			}
		}
		if before != nil {
			return before(ctx, tx)
		}
		return nil
	}}
}

func (d *database) marked(t *testing.T, want ...string) {
	t.Helper()
	got := rows[string](t, d.owner, `select by from marks order by position`)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("marks by (-want +got):\n%s", diff)
	}
}

func TestRunnerTriesAgain(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ctx context.Context, d *database, tx pgx.Tx) error{
		"what a projector could not do":            func(context.Context, *database, pgx.Tx) error { return io.ErrUnexpectedEOF },
		"what PostgreSQL could not do at the time": func(context.Context, *database, pgx.Tx) error { return &pgconn.PgError{Code: "40P01"} },
		"what a connection was lost over": func(ctx context.Context, d *database, tx pgx.Tx) error {
			if _, err := d.owner.Exec(ctx, `select pg_terminate_backend($1)`, tx.Conn().PgConn().PID()); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `select 1`)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			p := d.process(t, "marks")
			var (
				calls atomic.Int32
				left  []string // what earlier tries left behind
			)
			projector := d.marks(t, "me", func(ctx context.Context, tx pgx.Tx) error {
				const sql = `select 'mark ' || position from marks union all select 'checkpoint ' || position from checkpoints where position > 0`
				found, err := d.owner.Query(ctx, sql)
				if err != nil {
					return err
				}
				list, err := pgx.CollectRows(found, pgx.RowTo[string])
				if err != nil {
					return err
				}
				left = append(left, list...)
				if calls.Add(1) < 3 {
					return fail(ctx, d, tx)
				}
				return nil
			})
			head := p.append(t, published(1, "a"), published(2, "b"))
			p.project(t, projector)
			p.await(t, head)
			d.marked(t, "me", "me")
			if calls.Load() != 3 {
				t.Errorf("it took %d calls", calls.Load())
			}
			if len(left) > 0 {
				t.Errorf("failed tries left %q", left)
			}
			d.stands(t, "marks", 2)
			d.noneParked(t)
		})
	}
}

func TestOneRunnerOwnsAReadModelAndTheOthersStandBy(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	one, two := d.process(t, "marks"), d.process(t, "marks")
	stop := one.project(t, d.marks(t, "one", nil))
	one.await(t, one.append(t, published(1, "a")))
	two.project(t, d.marks(t, "two", nil))
	two.await(t, two.append(t, published(2, "b"))) // seen by one, who does not project here
	one.await(t, one.append(t, published(3, "c")))
	d.marked(t, "one", "one", "one")
	stop()
	two.await(t, two.append(t, published(4, "d")))
	one.await(t, one.append(t, published(5, "e"))) // seen by two
	d.marked(t, "one", "one", "one", "two", "two")
	d.noneParked(t)
}

func TestRunnerThatLosesItsConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, "marks")
	p.project(t, d.marks(t, "me", nil))
	p.await(t, p.append(t, published(1, "a")))
	const kill = `select pg_terminate_backend(pid, 10000) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`
	if ended := rows[bool](t, d.owner, kill); len(ended) != 1 || !ended[0] {
		t.Fatalf("killed the owner's connection: %v", ended)
	}
	p.await(t, p.append(t, published(2, "b")))
	p.await(t, p.append(t, published(3, "c")))
	d.marked(t, "me", "me", "me")
	d.stands(t, "marks", 3)
	d.noneParked(t)
}

func TestRunnerStops(t *testing.T) {
	t.Parallel()
	t.Run("while it stands by", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		p := d.process(t, "marks")
		p.project(t, d.marks(t, "one", nil))
		p.await(t, p.append(t, published(1, "a")))
		stop := p.project(t, d.marks(t, "two", nil))
		stop()
		stop()
	})
	t.Run("while it waits to try again", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		p := d.process(t, "marks")
		failed := make(chan struct{}, 100)
		p.append(t, published(1, "a"))
		stop := p.project(t, d.marks(t, "me", func(context.Context, pgx.Tx) error {
			failed <- struct{}{}
			return io.EOF
		}))
		for range 3 {
			<-failed
		}
		stop()
		d.marked(t)
		d.noneParked(t)
	})
	t.Run("in the middle of a page, which did not happen then", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		p := d.process(t, "marks")
		inside := make(chan struct{})
		p.append(t, published(1, "a"))
		stop := p.project(t, d.marks(t, "me", func(ctx context.Context, tx pgx.Tx) error {
			close(inside)
			<-ctx.Done()
			return ctx.Err()
		}))
		<-inside
		stop()
		d.marked(t)
		d.stands(t, "marks", 0)
		d.noneParked(t)
	})
}

func TestAtFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                                 {nil, false},
		"an event that cannot be decoded":         {&events.DecodeError{Err: events.ErrUnknownType}, true},
		"a number out of range":                   {&pgconn.PgError{Code: "22003"}, true},
		"a character that PostgreSQL cannot hold": {&pgconn.PgError{Code: "22P05"}, true},
		"a column that must not be null":          {&pgconn.PgError{Code: "23502"}, true},
		"a value that is taken":                   {&pgconn.PgError{Code: "23505"}, true},
		"a check that does not hold":              {&pgconn.PgError{Code: "23514"}, true},
		"a deadlock":                              {&pgconn.PgError{Code: "40P01"}, false},
		"a full disk":                             {&pgconn.PgError{Code: "53100"}, false},
		"a server that shuts down":                {&pgconn.PgError{Code: "57P01"}, false},
		"a table that is missing":                 {&pgconn.PgError{Code: "42P01"}, false},
		"a connection that was cut":               {io.ErrUnexpectedEOF, false},
		"a context that ended":                    {context.Canceled, false},
	} {
		if got := atFault(c.err); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if got := atFault(fmt.Errorf("users from 1 to 2: %w", errors.Join(io.EOF, c.err))); got != c.want {
			t.Errorf("%s, wrapped: %t, want %t", name, got, c.want)
		}
	}
}
