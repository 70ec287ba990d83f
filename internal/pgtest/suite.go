package pgtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"foof/internal/localpg"

	"github.com/jackc/pgx/v5"
)

// template is the database of which every test's database is a copy.
const template = "template_test"

// suite is the server that a process's tests share.
type suite struct {
	wanted  bool // Main runs, and will stop the server
	migrate func(ctx context.Context, dsn string) error

	mu      sync.Mutex // one database is made at a time, as PostgreSQL wants it
	started bool
	err     error // why there is no server; tried once
	server  *localpg.Server
	dir     string
	made    int
}

// create makes a database and returns its name; the first one starts the server.
func (s *suite) create(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted {
		return "", errors.New("there is no server: the package's TestMain must call pgtest.Main")
	}
	if !s.started {
		s.started = true
		s.err = s.start(ctx)
	}
	if s.err != nil {
		return "", s.err
	}
	s.made++
	name := "test_" + strconv.Itoa(s.made)
	return name, s.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
}

func (s *suite) drop(ctx context.Context, name string) error {
	return s.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

func (s *suite) start(ctx context.Context) error {
	var err error
	if s.server, s.dir, err = startServer(ctx, fast()); err != nil {
		return err
	}
	if err := s.exec(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	if s.migrate != nil {
		if err := s.migrate(ctx, s.server.DSN(template)); err != nil {
			return fmt.Errorf("migrate the template database: %w", err)
		}
	}
	// PostgreSQL copies a database only while nobody is connected to it.
	return s.exec(ctx, "ALTER DATABASE "+template+" ALLOW_CONNECTIONS false")
}

func (s *suite) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	return stopServer(s.server, s.dir)
}

// exec runs one statement on a connection of its own: one that is kept would be
// one more thing for a test's goroutine or connection counts to stumble over.
func (s *suite) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.server.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
