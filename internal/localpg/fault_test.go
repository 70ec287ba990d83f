//go:build unix

package localpg

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// endless is a query that waits for nothing: a backend amid it does not notice
// that the postmaster is gone.
const endless = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"

// keepBusy runs the endless query until the connection is lost, or the test ends.
func keepBusy(t *testing.T, server *Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN(""))
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = conn.Exec(t.Context(), endless)
		_ = conn.Close(context.Background())
	}()
	t.Cleanup(func() { <-ended }) // t.Context ends before
	eventually(t, "the endless query runs", func() bool {
		return query[int](t, server, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '"+endless+"'") >= 1
	})
}

func TestKill(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := started(t, Options{Dir: dir})
	execute(t, server, "CREATE TABLE kept (n int)")
	dsn := server.DSN("")
	for n := range 3 {
		execute(t, server, "INSERT INTO kept VALUES ("+strconv.Itoa(n)+")")
		keepBusy(t, server)
		must(t, server.Kill())
		must(t, server.Kill()) // of no effect
		if !nothingServes(t, dir) {
			t.Fatal("processes are left after Kill")
		}
		must(t, server.Restart(t.Context()))
		must(t, server.Restart(t.Context())) // of no effect
		if server.DSN("") != dsn {
			t.Fatal("the DSN is another after Restart")
		}
		if got := query[int](t, server, "SELECT count(*) FROM kept"); got != n+1 {
			t.Fatalf("of %d committed rows, %d are left", n+1, got)
		}
	}
}

func TestRestartWhileAnotherHasThePort(t *testing.T) {
	t.Parallel()
	server := started(t, quick(folder(t)))
	must(t, server.Kill())
	for range 3 {
		other, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: server.port})
		must(t, err)
		says(t, server.Restart(t.Context()), "Address already in use", strconv.Itoa(server.port))
		must(t, other.Close())
		must(t, server.Restart(t.Context()))
		must(t, server.Err())
		if got := query[int](t, server, "SELECT 1"); got != 1 {
			t.Errorf("read %d", got)
		}
		must(t, server.Kill())
	}
}

func TestRemoveAfterKill(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("shared memory is not freed on this system")
	}
	dir := folder(t)
	server := started(t, quick(dir))
	must(t, server.Kill())
	must(t, server.Stop(t.Context()))
	lines := postmasterFile(server.data)
	if len(lines) <= sharedMemoryLine {
		t.Fatalf("Kill left this postmaster.pid: %q", lines)
	}
	segment := strings.Fields(lines[sharedMemoryLine])[1]
	if !segmentExists(t, segment) {
		t.Fatalf("Kill left no shared memory %s: nothing to test", segment)
	}
	must(t, Remove(t.Context(), dir))
	const sysAdmin = 1 << 21 // CAP_SYS_ADMIN; in a container root lacks it and may not free another user's
	mayFree := os.Geteuid() != 0 || capabilities(t, os.Getpid())&sysAdmin != 0
	if mayFree && segmentExists(t, segment) {
		t.Errorf("the shared memory %s is left", segment)
	}
}

func segmentExists(t *testing.T, id string) bool {
	t.Helper()
	segments, err := os.ReadFile("/proc/sysvipc/shm")
	must(t, err)
	for line := range strings.Lines(string(segments)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == id {
			return true
		}
	}
	return false
}

// abandon starts a server on the cluster of one that was stopped, as a parent
// would have left it that was killed where there is no death signal.
func abandon(t *testing.T, server *Server) *Server {
	t.Helper()
	must(t, server.Stop(t.Context()))
	log, err := openLog(filepath.Join(server.dir, "postgres.log"))
	must(t, err)
	defer log.file.Close()
	undying := server.server(log.file)
	undying.deathSignal = 0
	c, err := undying.start(nil)
	must(t, err)
	t.Cleanup(func() {
		c.signal(syscall.SIGKILL)
		<-c.done
	})
	server.current = &run{child: c, exited: server.exited}
	eventually(t, "the abandoned server is ready", func() bool { return server.saysReady(c.pid) })
	return server
}

func TestStartAfterAKilledParent(t *testing.T) {
	t.Parallel()

	t.Run("ends the server that was left", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		left := abandon(t, started(t, quick(dir)))
		execute(t, left, "CREATE TABLE kept AS SELECT 1 AS one")
		keepBusy(t, left)
		again := started(t, quick(dir))
		if left.running() {
			t.Error("the server that was left still runs")
		}
		if got := query[int](t, again, "SELECT one FROM kept"); got != 1 {
			t.Errorf("read %d", got)
		}
		log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
		must(t, err)
		if strings.Contains(string(log), "automatic recovery in progress") {
			t.Error("the server that was left had no time for an orderly shutdown")
		}
	})

	t.Run("ends the processes that a killed postmaster left", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		left := abandon(t, started(t, quick(dir)))
		execute(t, left, "CREATE TABLE kept AS SELECT 1 AS one")
		keepBusy(t, left)
		left.current.child.signal(syscall.SIGKILL)
		<-left.current.child.done
		if nothingServes(t, dir) {
			t.Fatal("the busy backend is gone: nothing to test")
		}
		again := started(t, quick(dir))
		if got := query[int](t, again, "SELECT one FROM kept"); got != 1 {
			t.Errorf("read %d", got)
		}
	})

	t.Run("is not misled by a postmaster.pid whose number is another's", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		server := started(t, quick(dir))
		must(t, server.Kill())
		must(t, server.Stop(t.Context()))
		other, err := program{path: look(t, "sleep"), args: []string{"600"}, output: os.Stderr, as: server.as}.start(nil)
		must(t, err)
		defer func() {
			other.signal(syscall.SIGKILL)
			<-other.done
		}()
		lines := postmasterFile(server.data)
		if len(lines) == 0 {
			t.Fatal("Kill left no postmaster.pid: nothing to test")
		}
		lines[0] = strconv.Itoa(other.pid)
		file := filepath.Join(server.data, "postmaster.pid")
		must(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
		started(t, quick(dir))
		if other.wait(0) {
			t.Error("an innocent process was ended")
		}
	})

	t.Run("does without a cluster that was interrupted in the making", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		p := startParent(t, self(t), dir, nil)
		p.says(t, "progress")
		eventually(t, "initdb has begun", func() bool {
			begun, err := filepath.Glob(filepath.Join(dir, "pg.new-*", "*"))
			return err == nil && len(begun) > 0
		})
		must(t, p.Process.Kill())
		var again *Server
		eventually(t, "the kernel has given up the killed process's lock", func() bool {
			var err error
			again, err = Start(t.Context(), quick(dir))
			if err != nil && !errors.Is(err, ErrInUse) {
				t.Fatal(err)
			}
			return err == nil
		})
		if got := query[int](t, again, "SELECT 1"); got != 1 {
			t.Errorf("read %d", got)
		}
		must(t, again.Stop(t.Context()))
		// What initdb's orphan still wrote to goes with the next making.
		must(t, os.RemoveAll(filepath.Join(dir, "pg")))
		started(t, quick(dir))
		if rubbish, err := filepath.Glob(filepath.Join(dir, "pg.new-*")); err != nil || len(rubbish) > 0 {
			t.Errorf("rubbish is left: %v %v", rubbish, err)
		}
	})
}

func TestAKilledParent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has death signals")
	}
	dir := folder(t)
	p := startParent(t, self(t), dir, nil)
	dsn := p.says(t, "ready")
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(context.Background())
	if nothingServes(t, dir) {
		t.Fatal("the server does not run")
	}
	begin := time.Now()
	must(t, p.Process.Kill())
	eventually(t, "the server of the killed process is gone", func() bool { return nothingServes(t, dir) })
	t.Logf("the server was gone after %v", time.Since(begin).Round(time.Millisecond))
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	must(t, err)
	if !strings.Contains(string(log), "database system is shut down") {
		t.Error("the shutdown was not an orderly one")
	}
}

func TestATerminalsInterrupt(t *testing.T) {
	t.Parallel()
	server := started(t, quick(folder(t)))
	group, err := syscall.Getpgid(server.current.child.pid)
	must(t, err)
	if group != server.current.child.pid {
		t.Errorf("the server is in process group %d and not in one of its own: Ctrl-C reaches it", group)
	}
}

// self returns the path of this test binary.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

func look(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	must(t, err)
	return path
}
