// Package migrations holds the database's schema as numbered SQL files, applied forward only.
package migrations

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed *.sql
var files embed.FS

const versionTable = "public.schema_version"

// Status is how far a database has been migrated.
type Status struct {
	Current int32    `json:"current"` // the number of the newest migration that the database has; 0 for an empty one
	Latest  int32    `json:"latest"`  // the number of the newest one that this program knows
	Pending []string `json:"pending"` // the names of those still to come, in order
}

// Up applies what the database lacks, each migration in a transaction of its own, and tells each one's name before
// it begins. Programs that migrate at once wait for each other. A database that is newer than this program is an
// error, and is left as it is.
func Up(ctx context.Context, conn *pgx.Conn, tell func(name string)) error {
	m, err := open(ctx, conn)
	if err != nil {
		return err
	}
	m.OnStart = func(_ int32, name, _, _ string) { tell(name) }
	current, err := m.GetCurrentVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if latest := int32(len(m.Migrations)); current > latest { //nolint:gosec // a handful of files
		return fmt.Errorf("the database is at migration %d and this program knows %d: run a newer foof", current, latest)
	}
	if err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// State says how far the database is, and changes nothing but for making the table that records it.
func State(ctx context.Context, conn *pgx.Conn) (Status, error) {
	m, err := open(ctx, conn)
	if err != nil {
		return Status{}, err
	}
	current, err := m.GetCurrentVersion(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read the schema's version: %w", err)
	}
	s := Status{Current: current, Latest: int32(len(m.Migrations)), Pending: []string{}} //nolint:gosec // a handful of files
	for _, one := range m.Migrations {
		if one.Sequence > current {
			s.Pending = append(s.Pending, one.Name)
		}
	}
	return s, nil
}

func open(ctx context.Context, conn *pgx.Conn) (*migrate.Migrator, error) {
	m, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return nil, fmt.Errorf("prepare to migrate: %w", err)
	}
	var root fs.FS = files
	if err := m.LoadMigrations(root); err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return m, nil
}
