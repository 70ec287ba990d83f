package migrations

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// Latest is the number of the newest migration that this program knows.
func Latest() int32 {
	names, _ := fs.Glob(files, "*.sql") // the pattern is well-formed
	return int32(len(names))            //nolint:gosec // a handful of files
}

// Current is how far a database has been migrated. The role that the service acts as may not ask: within tx the user who
// connected does, from here on.
func Current(ctx context.Context, tx pgx.Tx) (int32, error) {
	batch := &pgx.Batch{}
	batch.Queue(`set local role none`)
	batch.Queue(`select version from ` + versionTable)
	results := tx.SendBatch(ctx, batch)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	var version int32
	if err := results.QueryRow().Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}
