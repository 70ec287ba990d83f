//go:build unix

package localpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestStart(t *testing.T) {
	t.Parallel()

	t.Run("keeps its data until the next start", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		server := started(t, Options{Dir: dir})
		execute(t, server, "CREATE TABLE kept AS SELECT 42 AS answer")
		if got := query[string](t, server, "SELECT current_setting('fsync') || current_setting('synchronous_commit') || current_setting('server_encoding')"); got != "ononUTF8" {
			t.Errorf("fsync, synchronous_commit and encoding are %q", got)
		}
		must(t, server.Stop(t.Context()))
		if !nothingServes(t, dir) {
			t.Error("processes are left after Stop")
		}

		again := started(t, Options{Dir: dir})
		if got := query[int](t, again, "SELECT answer FROM kept"); got != 42 {
			t.Errorf("read %d", got)
		}
	})

	t.Run("makes a folder only its user can look into", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		started(t, quick(dir))
		for name, want := range map[string]os.FileMode{"pg": 0o700, "password": 0o600, "postgres.log": 0o600, "lock": 0o600} {
			info, err := os.Stat(filepath.Join(dir, name))
			must(t, err)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", name, got, want)
			}
		}
	})

	t.Run("refuses a second one on the folder", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		server := started(t, quick(dir))
		_, err := Start(t.Context(), quick(dir))
		if !errors.Is(err, ErrInUse) {
			t.Errorf("the error is not ErrInUse: %v", err)
		}
		says(t, err, dir, "process "+strconv.Itoa(os.Getpid()))
		if err := Remove(t.Context(), dir); !errors.Is(err, ErrInUse) {
			t.Errorf("Remove's error is not ErrInUse: %v", err)
		}
		if got := query[int](t, server, "SELECT 1"); got != 1 {
			t.Error("the first server does not answer any more")
		}
	})

	t.Run("quotes the log if the server refuses", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		o := quick(dir)
		o.Settings["no_such_setting"] = "1"
		_, err := Start(t.Context(), o)
		says(t, err, "no_such_setting", "postgres.log", "exit status 1")
		started(t, quick(dir)) // the folder is free and sound
	})

	t.Run("leaves nothing when its context ends", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		ctx, cancel := context.WithCancel(t.Context())
		o := quick(dir)
		o.Progress = func(string) { cancel() } // initdb is about to run
		_, err := Start(ctx, o)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is not the context's: %v", err)
		}
		entries, err := filepath.Glob(filepath.Join(dir, "pg*"))
		must(t, err)
		for _, path := range entries {
			if filepath.Base(path) != "postgres.log" {
				t.Errorf("%s is left", path)
			}
		}
		started(t, quick(dir))
	})

	t.Run("refuses a folder with other things in it", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		must(t, os.MkdirAll(filepath.Join(dir, "pg", "holiday pictures"), 0o755))
		_, err := Start(t.Context(), quick(dir))
		says(t, err, filepath.Join(dir, "pg"), "no PostgreSQL cluster")
	})

	t.Run("says so if the password is not the cluster's", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		must(t, started(t, quick(dir)).Stop(t.Context()))
		must(t, os.WriteFile(filepath.Join(dir, "password"), []byte("guess\n"), 0o600))
		_, err := Start(t.Context(), quick(dir))
		says(t, err, filepath.Join(dir, "password"), "not that of the cluster")
		must(t, os.Remove(filepath.Join(dir, "password")))
		_, err = Start(t.Context(), quick(dir))
		says(t, err, filepath.Join(dir, "password"))
	})

	t.Run("begins a long log anew", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		must(t, os.MkdirAll(dir, 0o711))
		log := filepath.Join(dir, "postgres.log")
		must(t, os.WriteFile(log, []byte(strings.Repeat("x", logLimit+1)), 0o600))
		started(t, quick(dir))
		info, err := os.Stat(log)
		must(t, err)
		if info.Size() > logLimit/2 {
			t.Errorf("the log has %d bytes", info.Size())
		}
	})
}

func TestDSN(t *testing.T) {
	t.Parallel()
	server := started(t, quick(folder(t)))
	name := `a/b?c=d "e" ü`
	execute(t, server, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	conn, err := pgx.Connect(t.Context(), server.DSN(name))
	must(t, err)
	defer conn.Close(context.Background())
	var got string
	must(t, conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&got))
	if got != name {
		t.Errorf("connected to %q, want %q", got, name)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()

	t.Run("may be repeated and ends Kill and Restart", func(t *testing.T) {
		t.Parallel()
		server := started(t, quick(folder(t)))
		must(t, server.Stop(t.Context()))
		must(t, server.Stop(t.Context()))
		if err := server.Kill(); !errors.Is(err, ErrStopped) {
			t.Errorf("Kill: %v", err)
		}
		if err := server.Restart(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("Restart: %v", err)
		}
		select {
		case <-server.Exited():
			t.Error("Stop counts as ending by itself")
		default:
		}
	})

	t.Run("is immediate when its context ends, and keeps what was committed", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		server := started(t, quick(dir))
		execute(t, server, "CREATE TABLE kept AS SELECT 1 AS one")
		over, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, server.Stop(over))
		if !nothingServes(t, dir) {
			t.Error("processes are left after Stop")
		}
		if got := query[int](t, started(t, quick(dir)), "SELECT one FROM kept"); got != 1 {
			t.Errorf("read %d", got)
		}
	})
}

func TestExited(t *testing.T) {
	t.Parallel()
	server := started(t, quick(folder(t)))
	exited := server.Exited()
	must(t, server.Kill())
	must(t, server.Restart(t.Context()))
	select {
	case <-exited:
		t.Fatal("Kill counts as ending by itself")
	default:
	}
	if exited != server.Exited() {
		t.Error("Restart after Kill made another channel")
	}
	must(t, server.Err())

	must(t, syscall.Kill(server.current.child.pid, syscall.SIGTERM))
	<-exited
	says(t, server.Err(), "ended by itself", "smart shutdown")

	must(t, server.Restart(t.Context()))
	must(t, server.Err())
	if got := query[int](t, server, "SELECT 1"); got != 1 {
		t.Errorf("read %d", got)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	must(t, started(t, quick(dir)).Stop(t.Context()))
	must(t, Remove(t.Context(), dir))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	must(t, Remove(t.Context(), dir))
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	if bootID() == "" {
		t.Skip("clusters are not kept on this system")
	}
	seeds := filepath.Join(t.TempDir(), "seeds")
	must(t, os.MkdirAll(filepath.Join(seeds, "cluster-00000000-14.0-old"), 0o700))
	var made int
	for range 2 {
		o := quick(folder(t))
		o.Seeds = seeds
		o.Progress = func(string) { made++ }
		server := started(t, o)
		execute(t, server, "CREATE TABLE of_its_own ()")
	}
	if made != 1 {
		t.Errorf("initdb ran %d times for two servers", made)
	}
	kept, err := os.ReadDir(seeds)
	must(t, err)
	if len(kept) != 1 || strings.Contains(kept[0].Name(), "old") {
		t.Errorf("kept are %v", kept)
	}

	durable := Options{Dir: folder(t), Seeds: seeds, Progress: func(string) { made++ }}
	started(t, durable)
	if made != 2 {
		t.Error("a durable server was started from a copy that was not flushed")
	}
}
