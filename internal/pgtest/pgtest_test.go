package pgtest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/internal/localpg"
	"foof/internal/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

// migrations counts how often the template was migrated.
var migrations atomic.Int32

// asChild is the variable that makes this test binary, run again, do what another
// test wants to see from outside.
const asChild = "PGTEST_TEST_CHILD"

func TestMain(m *testing.M) {
	pgtest.Main(m, func(ctx context.Context, dsn string) error {
		migrations.Add(1)
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE notes (text text NOT NULL)")
		return err
	})
}

func TestNew(t *testing.T) {
	t.Parallel()

	t.Run("gives each of many tests a database of its own", func(t *testing.T) {
		t.Parallel()
		var names sync.Map
		for n := range 4 {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				first, second := pgtest.New(t), pgtest.New(t)
				for _, pool := range []*pgxpool.Pool{first, second} {
					name := one[string](t, pool, "SELECT current_database()")
					if _, taken := names.LoadOrStore(name, true); taken {
						t.Errorf("the database %s is another test's", name)
					}
				}
				_, err := first.Exec(t.Context(), "INSERT INTO notes VALUES ('mine')")
				must(t, err)
				if got := one[int](t, first, "SELECT count(*) FROM notes"); got != 1 {
					t.Errorf("the first has %d notes", got)
				}
				if got := one[int](t, second, "SELECT count(*) FROM notes"); got != 0 {
					t.Errorf("the second has %d notes", got)
				}
			})
		}
	})

	t.Run("migrates the template once", func(t *testing.T) {
		t.Parallel()
		pgtest.New(t)
		pgtest.New(t)
		if got := migrations.Load(); got != 1 {
			t.Errorf("it was migrated %d times", got)
		}
	})

	t.Run("drops the database, whoever is connected", func(t *testing.T) {
		t.Parallel()
		var dsn, name string
		var stray *pgx.Conn
		t.Run("the test", func(t *testing.T) { // not in parallel: it must end first
			pool := pgtest.New(t)
			name = one[string](t, pool, "SELECT current_database()")
			dsn = pool.Config().ConnString()
			var err error
			stray, err = pgx.Connect(t.Context(), dsn)
			must(t, err)
		})
		defer stray.Close(context.Background())
		if err := stray.Ping(t.Context()); err == nil {
			t.Error("a connection outlived the database")
		}
		if n := one[int](t, pgtest.New(t), "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); n != 0 {
			t.Errorf("the database %s is still there", name)
		}
	})

	t.Run("says so if a connection is not given back", func(t *testing.T) {
		t.Parallel()
		complaints := &recorder{TB: t}
		pool := pgtest.New(complaints)
		conn, err := pool.Acquire(t.Context())
		must(t, err)
		complaints.end()
		conn.Release()
		if len(complaints.said) != 1 || !strings.Contains(complaints.said[0], "1 connections of its pool were not given back") {
			t.Errorf("it said %q", complaints.said)
		}
	})
}

func TestServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{"max_connections": "17", "fsync": "on"})
	pool, err := pgxpool.New(t.Context(), server.DSN(""))
	must(t, err)
	defer pool.Close()
	if got := one[string](t, pool, "SELECT concat_ws(' ', current_setting('max_connections'), current_setting('fsync'), current_setting('full_page_writes'))"); got != "17 on off" {
		t.Errorf("its settings are %s", got)
	}
	_, err = pool.Exec(t.Context(), "CREATE TABLE kept AS SELECT 1 AS one")
	must(t, err)
	begin := time.Now()
	must(t, server.Kill())
	killed := time.Now()
	must(t, server.Restart(t.Context()))
	t.Logf("Kill took %v, Restart %v", killed.Sub(begin).Round(time.Millisecond), time.Since(killed).Round(time.Millisecond))
	pool.Reset()
	if got := one[int](t, pool, "SELECT one FROM kept"); got != 1 {
		t.Errorf("read %d", got)
	}
}

// TestChild is run in a process of its own by the tests below, in which it ends as
// they want. By itself it has a database and ends.
func TestChild(t *testing.T) {
	t.Parallel()
	fmt.Println("dsn", pgtest.DSN(t))
	switch os.Getenv(asChild) {
	case "panic":
		panic("as wanted")
	case "wait":
		select {}
	}
}

func TestTheServerEndsWithTheProcess(t *testing.T) {
	t.Parallel()

	t.Run("that ends well, and its folder", func(t *testing.T) {
		t.Parallel()
		temp := t.TempDir()
		c := startChild(t, "return", temp)
		must(t, c.wait())
		awaitNoServer(t, c.dsn)
		if left := folders(t, temp); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	})

	t.Run("that panics", func(t *testing.T) {
		t.Parallel()
		temp := t.TempDir()
		c := startChild(t, "panic", temp)
		if err := c.wait(); err == nil || err.Error() != "exit status 2" {
			t.Errorf("the process ended with %v", err)
		}
		awaitNoServer(t, c.dsn)
		removeFolders(t, temp)
	})

	t.Run("that is killed, and its folder when it is old", func(t *testing.T) {
		t.Parallel()
		temp := t.TempDir()
		c := startChild(t, "wait", temp)
		must(t, c.cmd.Process.Kill())
		_ = c.wait()
		awaitNoServer(t, c.dsn)
		left := folders(t, temp)
		if len(left) != 1 {
			t.Fatalf("the folders are %v", left)
		}

		must(t, startChild(t, "return", temp).wait())
		if got := folders(t, temp); len(got) != 1 {
			t.Errorf("a folder that may be another process's was removed: %v", got)
		}
		yesterday := time.Now().Add(-24 * time.Hour)
		must(t, os.Chtimes(left[0], yesterday, yesterday))
		must(t, startChild(t, "return", temp).wait())
		if got := folders(t, temp); len(got) != 0 {
			t.Errorf("%v is left", got)
		}
	})
}

// child is another process of this test binary, which runs TestChild.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	dsn   string
}

// startChild starts a child and waits until it has its database.
func startChild(t *testing.T, what, temp string) *child {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	c := &child{cmd: exec.CommandContext(t.Context(), path, "-test.run=^TestChild$")}
	c.cmd.Env = append(os.Environ(), asChild+"="+what, "TMPDIR="+temp)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	must(t, c.cmd.Start())
	c.lines = bufio.NewScanner(out)
	for c.lines.Scan() {
		if dsn, ok := strings.CutPrefix(c.lines.Text(), "dsn "); ok {
			c.dsn = dsn
			return c
		}
	}
	t.Fatalf("the child ended without a database: %v", c.cmd.Wait())
	return nil
}

// wait waits for the child's end.
func (c *child) wait() error {
	for c.lines.Scan() { // what it still says is of no interest
		continue
	}
	return c.cmd.Wait()
}

func folders(t *testing.T, temp string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(temp, "foof-pgtest-*"))
	must(t, err)
	return all
}

// removeFolders removes what a child left, when its server has ended.
func removeFolders(t *testing.T, temp string) {
	t.Helper()
	for _, dir := range folders(t, temp) {
		must(t, localpg.Remove(t.Context(), filepath.Join(dir, "server")))
	}
}

// awaitNoServer waits until nobody listens any more.
func awaitNoServer(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil && strings.Contains(err.Error(), "connection refused") {
			return
		}
		if err == nil {
			_ = conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the server at %s is still there: %v", dsn, err)
		case <-tick.C:
		}
	}
}

func TestIgnoreServer(t *testing.T) { //nolint:paralleltest // it looks at the goroutines of the whole process
	t.Run("the test", func(t *testing.T) { // not in parallel: it must end first
		must(t, pgtest.New(t).Ping(t.Context()))
	})
	goleak.VerifyNone(t, pgtest.IgnoreServer())
}

// recorder is a test that keeps its complaints, and ends when it is told to.
type recorder struct {
	testing.TB
	said     []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) end() {
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
}

func one[T any](t *testing.T, pool *pgxpool.Pool, sql string) T {
	t.Helper()
	var value T
	must(t, pool.QueryRow(t.Context(), sql).Scan(&value))
	return value
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
