package store

import (
	"errors"
	"testing"

	"foof/events"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestHistoryIsAppendOnly(t *testing.T) {
	t.Parallel()
	log, d := running(t)
	mustAppend(t, log, next("a", 0))
	mustAppend(t, log, next("a", 1))
	before := everything(t, log)
	service := d.service(t)

	rewriting := map[string]string{
		"an update":                `update events set data = '{}'`,
		"an update of no row":      `update events set data = data where false`,
		"a delete":                 `delete from events where position = 2`,
		"a delete in a query":      `with gone as (delete from events returning position) select count(*) from gone`,
		"a truncate":               `truncate events`,
		"a truncate that cascades": `truncate events cascade`,
		"a merge":                  `merge into events e using log_head h on e.position = h.position when matched then delete`,
		"an upsert": `insert into events select * from events where position = 1
			on conflict (position) do update set data = '{}'`,
	}
	others := map[string]string{
		"disabling the trigger":       `alter table events disable trigger append_only`,
		"disabling all triggers":      `alter table events disable trigger all`,
		"passing by the trigger":      `set session_replication_role = replica`,
		"dropping the trigger":        `drop trigger append_only on events`,
		"replacing the trigger":       `create or replace function refuse_rewriting() returns trigger language plpgsql as 'begin return null; end'`,
		"replacing the way to append": `drop function append_events`,
		"a trigger of its own":        `create trigger mine before insert on events execute function refuse_rewriting()`,
		"a rule":                      `create rule mine as on insert to events do instead nothing`,
		"dropping the table":          `drop table events`,
		"renaming the table":          `alter table events rename to older`,
		"dropping a column":           `alter table events drop column meta`,
		"dropping a constraint":       `alter table events drop constraint events_pkey`,
		"a table in the log's schema": `create table public.events2 ()`,
		"removing the head":           `delete from log_head`,
		"truncating the head":         `truncate log_head`,
		"a second head":               `insert into log_head values (true, 0, now())`,
	}
	try := func(t *testing.T, pool *pgxpool.Pool, sql string) {
		t.Helper()
		const insufficientPrivilege = "42501"
		err := pgx.BeginFunc(patience(t), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(patience(t), sql); err != nil {
				return err
			}
			return errors.New("it was done")
		})
		var refusal *pgconn.PgError
		if !errors.As(err, &refusal) || refusal.Code != insufficientPrivilege {
			t.Errorf("%s: %v, want SQLSTATE %s", sql, err, insufficientPrivilege)
		}
		sameEvents(t, "after it", everything(t, log), before)
	}
	for name, sql := range rewriting {
		t.Run("by the owner of the table, with "+name, func(t *testing.T) {
			t.Parallel()
			try(t, d.owner, sql)
		})
		t.Run("by the service, with "+name, func(t *testing.T) {
			t.Parallel()
			try(t, service, sql)
		})
	}
	for name, sql := range others {
		t.Run("by the service, by "+name, func(t *testing.T) {
			t.Parallel()
			try(t, service, sql)
		})
	}
}

// The service moves the head itself, so a head that is not where it should be is possible. Then there is no append, and
// above all none over another.
func TestAHeadThatWasMovedBackStopsAppends(t *testing.T) {
	t.Parallel()
	log, d := running(t)
	for version := range 3 {
		mustAppend(t, log, twin("a", events.Version(2*version)))
	}
	before := everything(t, log)
	move := func(by int) {
		if _, err := d.owner.Exec(patience(t), `update log_head set position = position + $1`, by); err != nil {
			t.Fatal(err)
		}
	}
	move(-2)
	for name, a := range map[string]Append{"of one event": next("b", 0), "of several events": twin("b", 0)} {
		receipt, err := log.Append(patience(t), a)
		var refusal *pgconn.PgError
		if !errors.As(err, &refusal) || refusal.ConstraintName != "events_pkey" {
			t.Errorf("an append %s: %v, %v", name, receipt, err)
		}
	}
	sameEvents(t, "while the head is wrong", everything(t, log), before)
	move(+2)
	mustAppend(t, log, next("b", 0))
}
