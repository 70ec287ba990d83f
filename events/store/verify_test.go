package store

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// laws are what holds of every log at any time. Each query returns what breaks its law, in words. That the metadata names
// the command is the tests' own custom: it tells where one append ends and the next begins.
var laws = map[string]string{
	"positions are 1, 2, 3 … up to the head": `
		select format('head %s, count %s, first %s, last %s', h.position, count(e.position), min(e.position), max(e.position))
		from log_head h left join events e on true group by h.position
		having (count(e.position), coalesce(min(e.position), 1), coalesce(max(e.position), 0)) <> (h.position, 1, h.position)`,
	"versions are 1, 2, 3 … in the order of positions": `
		select format('%s at position %s has version %s, not %s', stream, position, version, place)
		from (select stream, position, version, row_number() over (partition by stream order by position) as place from events) e
		where version <> place`,
	"time does not go back": `
		select format('position %s', position)
		from (select position, recorded_at, lag(recorded_at) over (order by position) as earlier from events) e
		where recorded_at < earlier`,
	"the head has the time of the newest event": `
		select format('head %s, event %s', h.recorded_at, e.recorded_at)
		from log_head h, (select max(recorded_at) as recorded_at from events) e where e.recorded_at > h.recorded_at`,
	"the last event of each append has the command, and only it": `
		select format('position %s has command %s, and %s comes after it', position, coalesce(command::text, 'none'), following)
		from (select position, command, meta ->> 'command' as id, lead(meta ->> 'command') over (order by position) as following from events) e
		where (command is not null) <> (following is distinct from id) or command::text <> id`,
	"the events of an append stand together": `
		select meta ->> 'command' from events group by 1 having max(position) - min(position) + 1 <> count(*) or count(command) <> 1`,
}

// verifyLog checks the whole log. It is called after each test.
func verifyLog(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for law, how := range brokenLaws(ctx, t, tx) {
			t.Errorf("the log breaks the law that %s: %v", law, how)
		}
		return nil
	})
	if err != nil {
		t.Errorf("verify the log: %v", err)
	}
}

func brokenLaws(ctx context.Context, t *testing.T, tx pgx.Tx) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for law, sql := range laws {
		rows, err := tx.Query(ctx, sql)
		if err != nil {
			t.Errorf("verify that %s: %v", law, err)
			continue
		}
		broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Errorf("verify that %s: %v", law, err)
		}
		if len(broken) > 0 {
			found[law] = broken
		}
	}
	return found
}

func TestVerifyLog(t *testing.T) {
	t.Parallel()
	type row struct {
		position int
		stream   string
		version  int
		meta     string
		command  any
		second   int64
	}
	const (
		gapless  = "positions are 1, 2, 3 … up to the head"
		versions = "versions are 1, 2, 3 … in the order of positions"
		forward  = "time does not go back"
		headTime = "the head has the time of the newest event"
		commands = "the last event of each append has the command, and only it"
		together = "the events of an append stand together"

		one   = "00000000-0000-0000-0000-000000000001"
		two   = "00000000-0000-0000-0000-000000000002"
		three = "00000000-0000-0000-0000-000000000003"
	)
	pool := newDatabase(t).owner
	for name, c := range map[string]struct {
		broken string
		head   int
		rows   []row
	}{
		"an empty log is in order":               {},
		"appends are in order":                   {"", 3, []row{{1, "a", 1, one, nil, 1}, {2, "a", 2, one, one, 1}, {3, "b", 1, two, two, 2}}},
		"a head that lags is found":              {gapless, 0, []row{{1, "a", 1, one, one, 1}}},
		"a head that leads is found":             {gapless, 1, nil},
		"a gap is found":                         {gapless, 3, []row{{1, "a", 1, one, one, 1}, {3, "b", 1, two, two, 2}}},
		"a log without its beginning is found":   {gapless, 2, []row{{2, "a", 1, one, one, 1}}},
		"a missing version is found":             {versions, 2, []row{{1, "a", 1, one, one, 1}, {2, "a", 3, two, two, 2}}},
		"versions out of order are found":        {versions, 2, []row{{1, "a", 2, one, one, 1}, {2, "a", 1, two, two, 2}}},
		"time that goes back is found":           {forward, 2, []row{{1, "a", 1, one, one, 2}, {2, "a", 2, two, two, 1}}},
		"a head that is behind time is found":    {headTime, 1, []row{{1, "a", 1, one, one, 1 << 40}}},
		"an append without a command is found":   {commands, 1, []row{{1, "a", 1, one, nil, 1}}},
		"a command before the end is found":      {commands, 2, []row{{1, "a", 1, one, one, 1}, {2, "a", 2, one, nil, 1}}},
		"the command of another is found":        {commands, 1, []row{{1, "a", 1, one, two, 1}}},
		"an append with one in between is found": {together, 3, []row{{1, "a", 1, one, one, 1}, {2, "b", 1, two, two, 2}, {3, "a", 2, one, three, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := patience(t)
			tx, err := pool.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.WithoutCancel(ctx))
			const (
				addEvent = `
					insert into events (position, stream, version, type, schema_version, data, meta, recorded_at, command)
					values ($1, $2, $3, 't', 1, '{}', json_build_object('command', $4::text), to_timestamp($6), $5)`
				setHead = `update log_head set position = $1, recorded_at = now()`
			)
			for _, r := range c.rows {
				if _, err := tx.Exec(ctx, addEvent, r.position, r.stream, r.version, r.meta, r.command, r.second); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tx.Exec(ctx, setHead, c.head); err != nil {
				t.Fatal(err)
			}
			found := brokenLaws(ctx, t, tx)
			if c.broken == "" && len(found) > 0 || c.broken != "" && found[c.broken] == nil {
				t.Errorf("found broken: %v, want %q", found, c.broken)
			}
		})
	}
}
