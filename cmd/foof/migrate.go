package main

import (
	"context"
	"encoding/json"
	"fmt"

	"foof/migrations"

	"github.com/jackc/pgx/v5"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply what the database lacks. Safe to run again, and from several machines at once."`
	Status migrateStatus `cmd:"" help:"Say how far the database is, and what is still to come."`
}

type migrateUp struct {
	DatabaseURL string `env:"DATABASE_URL" required:"" help:"The database, as its owner."`
}

// Run migrates.
func (m migrateUp) Run(ctx context.Context, t terminal) error {
	if err := migrate(ctx, m.DatabaseURL, func(name string) { fmt.Fprintln(t.out, "applying", name) }); err != nil {
		return err
	}
	fmt.Fprintln(t.out, "up to date")
	return nil
}

type migrateStatus struct {
	DatabaseURL string `env:"DATABASE_URL" required:"" help:"The database."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

// Run prints the state.
func (m migrateStatus) Run(ctx context.Context, t terminal) error {
	var state migrations.Status
	err := withConn(ctx, m.DatabaseURL, func(conn *pgx.Conn) (err error) {
		state, err = migrations.State(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	if m.JSON {
		return json.NewEncoder(t.out).Encode(state)
	}
	fmt.Fprintf(t.out, "at migration %d of %d\n", state.Current, state.Latest)
	for _, name := range state.Pending {
		fmt.Fprintln(t.out, "to come:", name)
	}
	return nil
}
