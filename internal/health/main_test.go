package health

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"foof/internal/pgtest"
	"foof/migrations"

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
