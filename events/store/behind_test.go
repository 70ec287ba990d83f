package store

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// An append that has to wait for another process's, which is not yet to be seen when it begins, is judged by what the log is
// when its turn comes.
func TestAppendBehindThatOfAnotherProcess(t *testing.T) {
	t.Parallel()
	one, several := next("a", 0), twin("a", 0)
	for name, c := range map[string]struct {
		first, then Append
		want        string
		log         []string
	}{
		"of one event to the same stream is refused":            {next("a", 0), one, "a is at version 1, not 0", []string{"a@1"}},
		"of several events to the same stream is refused":       {next("a", 0), several, "a is at version 1, not 0", []string{"a@1"}},
		"of one event to another stream comes after it":         {next("b", 0), one, "at 2", []string{"b@1", "a@1"}},
		"of several events to another stream comes after it":    {next("b", 0), several, "at 3", []string{"b@1", "a@1", "a@2"}},
		"of one event, the same, has its receipt":               {one, one, "at 1 again", []string{"a@1"}},
		"of several events, the same, has its receipt":          {several, several, "at 2 again", []string{"a@1", "a@2"}},
		"of one event after what is to come goes by what was":   {next("a", 0), next("a", 1), "at 2", []string{"a@1", "a@2"}},
		"of several events after what is to come goes likewise": {next("a", 0), twin("a", 1), "at 3", []string{"a@1", "a@2", "a@3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, d := running(t)
			tx, err := d.owner.Begin(patience(t))
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.WithoutCancel(t.Context()))
			c.first.within(t, tx)

			answered := goAppend(t, log, c.then)
			d.untilBlocked(t, 1)
			if err := tx.Commit(patience(t)); err != nil {
				t.Fatal(err)
			}
			if got := told(<-answered); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if diff := cmp.Diff(c.log, places(everything(t, log))); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

// within appends in a transaction, as append_events does.
func (a Append) within(t *testing.T, tx pgx.Tx) {
	t.Helper()
	const (
		move = `update log_head set position = position + 1, recorded_at = clock_timestamp()`
		add  = `
			insert into events (position, stream, version, type, schema_version, data, meta, recorded_at, command)
			select position, $1, $2, $3, $4, $5, $6, recorded_at, $7 from log_head`
	)
	p, err := newPending(a)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range a.Events {
		var command *uuid.UUID
		if i == len(a.Events)-1 {
			command = &a.Command
		}
		if _, err := tx.Exec(patience(t), move); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(patience(t), add, e.Stream, p.versions[i], e.Type, e.Schema, e.Data, p.meta, command); err != nil {
			t.Fatal(err)
		}
	}
}
