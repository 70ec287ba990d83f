package pgtest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"foof/internal/pgtest"
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

	t.Run("gives tests that run at once databases of their own", func(t *testing.T) {
		t.Parallel()
		const tests = 4
		pools := make(chan *pgxpool.Pool, tests)
		all := make(chan struct{}) // closed when every test has its database
		for n := range tests {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				pool := pgtest.New(t)
				_, err := pool.Exec(t.Context(), "INSERT INTO notes VALUES ($1)", t.Name())
				must(t, err)
				pools <- pool
				if len(pools) == tests {
					close(all)
				}
				<-all
				if got := one[string](t, pool, "SELECT string_agg(text, ' ') FROM notes"); got != t.Name() {
					t.Errorf("read %q", got)
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
		t.Run("the test", func(t *testing.T) {
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

// TestChild is run in a process of its own by the tests below.
func TestChild(t *testing.T) {
	what := os.Getenv(asChild)
	if what == "" {
		t.Skip("it is for other tests to run")
	}
	t.Parallel()
	fmt.Println("dsn", pgtest.DSN(t))
	switch what {
	case "panic":
		panic("as wanted")
	case "wait":
		select {}
	}
}

func TestTheServerEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct{ child, limit, want string }{
		"well":           {"return", "1m", ""},
		"in a panic":     {"panic", "1m", "exit status 2"},
		"in a time-out":  {"wait", "3s", "exit status 2"},
		"killed at once": {"wait", "1m", "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := os.Executable()
			must(t, err)
			cmd := exec.CommandContext(t.Context(), path, "-test.run=^TestChild$", "-test.timeout="+how.limit)
			cmd.Env = append(os.Environ(), asChild+"="+how.child, "TMPDIR="+t.TempDir())
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			var dsn string
			lines := bufio.NewScanner(out)
			for dsn == "" && lines.Scan() {
				dsn, _ = strings.CutPrefix(lines.Text(), "dsn ")
			}
			if how.want == "signal: killed" {
				must(t, cmd.Process.Kill())
			}
			for lines.Scan() { // until it ends
			}
			switch err := cmd.Wait(); {
			case err == nil && how.want != "", err != nil && err.Error() != how.want:
				t.Errorf("the process ended with %v, not %q", err, how.want)
			}
			awaitNoServer(t, dsn)
		})
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

func TestIgnoreServer(t *testing.T) {
	if os.Getenv(asChild) != "" {
		t.Skip("a child has one thing to do")
	}
	// Not parallel: it looks at the goroutines of the whole process.
	t.Run("the test", func(t *testing.T) {
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
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
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
