// Package pgtest gives tests databases of their own on a real PostgreSQL. Each
// test process runs one server, from the first test that wants a database to the
// end of the process:
//
//	func TestMain(m *testing.M) { pgtest.Main(m, migrations.Run) }
//
//	func TestAppend(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.New(t)
//		...
//	}
package pgtest

import (
	"context"
	"errors"
	"maps"
	"os"
	"testing"
	"time"

	"foof/internal/localpg"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

const (
	// startLimit bounds what a test waits for its server, which may have to
	// be fetched.
	startLimit = 3 * time.Minute
	// stepLimit bounds the making and the dropping of one database.
	stepLimit = time.Minute
	// closeLimit bounds what a pool waits for its connections to come back.
	closeLimit = 5 * time.Second
	// poolSize is the number of connections of a test's pool: small, so that
	// many tests run beside each other.
	poolSize = 8
)

// fast are settings for databases that nobody will miss.
func fast() map[string]string {
	return map[string]string{
		"fsync":            "off",
		"full_page_writes": "off",
		"max_connections":  "300",
		"shared_buffers":   "64MB",
		"max_wal_size":     "256MB",
		// In files beside the data, and not in /dev/shm, where a killed
		// server would leave them, and which is small in containers.
		"dynamic_shared_memory_type": "mmap",
	}
}

// shared is the server of this test process. It is a global because TestMain
// and the tests that it runs have nothing else in common.
var shared suite

// Main runs a package's tests and exits with their code; call it from TestMain.
// The server is started by the first test that wants a database, and stopped
// here; if the process ends in any other way, the kernel stops it (on Linux).
// migrate fills the template from which every database is copied; it runs once,
// and must have closed its connections when it returns. It may be nil.
//
// Each of after is called when the tests have ended.
func Main(m *testing.M, migrate func(ctx context.Context, dsn string) error, after ...func()) {
	shared.wanted = true
	shared.migrate = migrate
	code := m.Run()
	for _, f := range after {
		f()
	}
	if err := shared.stop(); err != nil {
		_, _ = os.Stderr.WriteString("pgtest: stop the test server: " + err.Error() + "\n")
		code = max(code, 1)
	}
	os.Exit(code)
}

// New returns a pool of connections to a fresh database of this test alone. At
// the test's end the pool is closed and the database is dropped.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(DSN(t))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// DSN returns the address of a fresh database of this test alone, which is
// dropped at the test's end, with the connections that are still open.
func DSN(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	name, err := shared.create(ctx)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		if err := shared.drop(ctx, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return shared.server.DSN(name)
}

// Server returns a server for this test alone, for tests that kill it. It is
// stopped, and its data removed, at the test's end. Its databases are empty: no
// migration has run. settings are added to those that make it fast, and win.
func Server(t testing.TB, settings map[string]string) *localpg.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	all := fast()
	maps.Copy(all, settings)
	server, dir, err := startServer(ctx, all)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := stopServer(server, dir); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return server
}

// IgnoreServer has goleak overlook the goroutine that looks after the shared
// server, which lives as long as the process.
// It is for tests that check for leaks themselves.
func IgnoreServer() goleak.Option {
	return goleak.IgnoreAnyFunction("foof/internal/localpg.program.live")
}

// closePool closes the pool, which waits for connections to be given back, and
// says so if they are not.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	patience := time.NewTimer(closeLimit)
	defer patience.Stop()
	select {
	case <-closed:
	case <-patience.C:
		t.Errorf("pgtest: the test ends and %d connections of its pool were not given back", pool.Stat().AcquiredConns())
	}
}

func startServer(ctx context.Context, settings map[string]string) (*localpg.Server, string, error) {
	dir, err := newFolder(ctx)
	if err != nil {
		return nil, "", err
	}
	server, err := localpg.Start(ctx, localpg.Options{Dir: serverFolder(dir), Settings: settings, Seeds: seeds()})
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(dir))
	}
	return server, dir, nil
}

func stopServer(server *localpg.Server, dir string) error {
	// What is about to be deleted need not be written: an immediate shutdown.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Stop(ctx); err != nil {
		return err
	}
	err := localpg.Remove(context.Background(), serverFolder(dir))
	if errors.Is(err, localpg.ErrInUse) {
		return nil // another test process removes it, as one that is old and has no owner
	}
	return errors.Join(err, os.RemoveAll(dir))
}
