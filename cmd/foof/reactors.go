package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"foof/events"
	"foof/internal/feed"
	"foof/internal/mail"
	"foof/internal/sms"

	"github.com/jackc/pgx/v5"
)

// reactors are the names under which reactors read the log.
var reactors = []string{sms.Reader, mail.Reader}

type reactorsCommand struct {
	List    reactorsList    `cmd:"" default:"withargs" help:"Show each reactor's checkpoint, how many events it is behind, and what it has given up."`
	Replay  reactorsReplay  `cmd:"" help:"Ask for events to be handled again. A running service does so within seconds."`
	Discard reactorsDiscard `cmd:"" help:"Forget events that a reactor has given up."`
}

// onPoison uses a database's poison queue, in one transaction, as the service does.
func onPoison(ctx context.Context, databaseURL string, use func(pgx.Tx, *feed.Poison) error) error {
	return withConn(ctx, databaseURL, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `set local role foof_service`); err != nil {
				return fmt.Errorf("act as the service: %w", err)
			}
			return use(tx, &feed.Poison{DB: tx})
		})
	})
}

type reactorsList struct {
	DatabaseURL string `env:"DATABASE_URL" required:"" help:"The database."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

// reactorState is how a reactor is.
type reactorState struct {
	Reader     string          `json:"reader"`
	Checkpoint events.Position `json:"checkpoint"` // everything up to there is done, or poisoned; -1: it has not begun
	Lag        events.Position `json:"lag"`        // how many events come after that
	Poisoned   []feed.Poisoned `json:"poisoned"`
}

// Run prints them.
func (r reactorsList) Run(ctx context.Context, t terminal) error {
	var states []reactorState
	err := onPoison(ctx, r.DatabaseURL, func(tx pgx.Tx, poison *feed.Poison) (err error) {
		states, err = reactorStates(ctx, tx, poison)
		return err
	})
	if err != nil {
		return err
	}
	if r.JSON {
		return json.NewEncoder(t.out).Encode(states)
	}
	for _, s := range states {
		checkpoint := fmt.Sprintf("at %d, %d behind", s.Checkpoint, s.Lag)
		if s.Checkpoint < 0 {
			checkpoint = "has not begun"
		}
		fmt.Fprintf(t.out, "%s: %s, %d poisoned\n", s.Reader, checkpoint, len(s.Poisoned))
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		for _, p := range s.Poisoned {
			again := ""
			if p.Asked != nil {
				again = "to be replayed"
			}
			fmt.Fprintf(table, "  %d\t%s\t%s\t%d tries\t%s\t%s\n",
				p.Position, p.Type, p.FailedAt.UTC().Format(time.RFC3339), p.Attempts, p.Error, again)
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func reactorStates(ctx context.Context, tx pgx.Tx, poison *feed.Poison) ([]reactorState, error) {
	const sql = `
		select r.reader, coalesce(c.position, -1), h.position - coalesce(c.position, 0)
		from unnest($1::text[]) as r (reader) cross join log_head h left join checkpoints c using (reader)`
	rows, err := tx.Query(ctx, sql, reactors)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s reactorState, err error) {
		err = row.Scan(&s.Reader, &s.Checkpoint, &s.Lag)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	for i := range states {
		if states[i].Poisoned, err = poison.List(ctx, states[i].Reader); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(states, func(a, b reactorState) int { return cmp.Compare(a.Reader, b.Reader) })
	return states, nil
}

// which events are meant: some of a reader's, or all of them.
type which struct {
	DatabaseURL string            `env:"DATABASE_URL" required:"" help:"The database."`
	Reader      string            `arg:"" help:"The reactor: sms or mail."`
	Positions   []events.Position `arg:"" optional:"" name:"position" help:"The positions of events that it has given up."`
	All         bool              `help:"All that it has given up."`
}

// change is what Poison does to some of a reader's events, or to all of them.
type change func(p *feed.Poison, ctx context.Context, reader string, positions ...events.Position) ([]events.Position, error)

// change changes all events that were named, or none.
func (w which) change(ctx context.Context, do change) (changed int, err error) {
	if !slices.Contains(reactors, w.Reader) {
		return 0, fmt.Errorf("no reactor %s: there are %s", w.Reader, strings.Join(reactors, " and "))
	}
	if w.All == (len(w.Positions) > 0) {
		return 0, errors.New("name positions, or --all")
	}
	err = onPoison(ctx, w.DatabaseURL, func(_ pgx.Tx, poison *feed.Poison) error {
		done, err := do(poison, ctx, w.Reader, w.Positions...)
		if err != nil {
			return err
		}
		for _, position := range w.Positions {
			if !slices.Contains(done, position) {
				return fmt.Errorf("%s has not given up event %d", w.Reader, position)
			}
		}
		changed = len(done)
		return nil
	})
	return changed, err
}

type reactorsReplay struct{ which }

// Run asks for it.
func (r reactorsReplay) Run(ctx context.Context, t terminal) error {
	n, err := r.change(ctx, (*feed.Poison).Replay)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%d to be replayed\n", n)
	return nil
}

type reactorsDiscard struct{ which }

// Run forgets.
func (r reactorsDiscard) Run(ctx context.Context, t terminal) error {
	n, err := r.change(ctx, (*feed.Poison).Discard)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%d discarded\n", n)
	return nil
}
