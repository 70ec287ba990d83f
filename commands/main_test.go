package commands

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/pgtest"
	"foof/migrations"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { pgtest.Main(m, migrate) }

func migrate(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return errors.Join(migrations.Up(ctx, conn, func(string) {}), conn.Close(ctx))
}

// history is what was appended so far.
type history []events.Event

// fold makes of a history what the engine does.
func fold[S State[S]](past history) S {
	var state S
	for _, e := range past {
		state = state.Evolve(e)
	}
	return state
}

// example of a decider: given these events, when this command comes, then these events follow, or this fault, or both.
type example[S State[S]] struct {
	name  string
	given history
	when  Command[S]
	then  history
	fault *fault.Error
}

func (e example[S]) test(t *testing.T) {
	t.Helper()
	t.Run(e.name, func(t *testing.T) {
		t.Parallel()
		facts, err := e.when.Decide(fold[S](e.given))
		if diff := cmp.Diff(e.then, history(facts), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(e.fault, fault.Of(err)); diff != "" {
			t.Errorf("fault (-want +got):\n%s", diff)
		}
		read := map[string]bool{}
		for _, stream := range e.when.Streams() {
			read[stream] = true
		}
		for _, past := range e.given {
			if !read[past.Stream()] {
				t.Errorf("the example gives an event of %s, which the command does not read", past.Stream())
			}
		}
	})
}

func testExamples[S State[S]](t *testing.T, examples ...example[S]) {
	t.Helper()
	for _, e := range examples {
		e.test(t)
	}
}
