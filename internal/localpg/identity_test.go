//go:build unix

package localpg

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("for root only")
	}

	t.Run("runs below a folder that only root may enter", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS != "linux" {
			t.Skip("only Linux has capabilities")
		}
		dir := filepath.Join(lockedFolder(t), "deeper", "db")
		server := started(t, quick(dir))
		execute(t, server, "CREATE TABLE kept AS SELECT 1 AS one")
		if got := capabilities(t, server.current.child.pid); got == 0 {
			t.Error("the server runs there without a capability")
		}
		must(t, server.Kill())
		must(t, server.Restart(t.Context()))
		if got := query[int](t, server, "SELECT one FROM kept"); got != 1 {
			t.Errorf("read %d", got)
		}
		must(t, server.Stop(t.Context()))
		if !nothingServes(t, dir) {
			t.Error("processes are left")
		}
		must(t, Remove(t.Context(), dir))
	})

	t.Run("gives the server no rights where it needs none", func(t *testing.T) {
		t.Parallel()
		server := started(t, quick(folder(t)))
		if got := capabilities(t, server.current.child.pid); got != 0 {
			t.Errorf("the server has the capabilities %x", got)
		}
		owner, _ := ownerOf(filepath.Join("/proc", strconv.Itoa(server.current.child.pid)))
		if owner.uid == 0 {
			t.Error("the server runs as root")
		}
	})

	t.Run("leaves a cluster to the user whose it is", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		must(t, started(t, quick(dir)).Stop(t.Context()))
		const someone = 54321
		theirs := identity{uid: someone, gid: someone, other: true}
		must(t, theirs.own(filepath.Join(dir, "pg")))
		server := started(t, quick(dir))
		owner, _ := ownerOf(filepath.Join(server.data, "postmaster.pid"))
		if owner.uid != someone {
			t.Errorf("the server runs as %s", owner)
		}
	})

	t.Run("takes a cluster of root's over for the unprivileged user", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		must(t, started(t, quick(dir)).Stop(t.Context()))
		must(t, identity{other: true}.own(filepath.Join(dir, "pg")))
		if got := query[int](t, started(t, quick(dir)), "SELECT 1"); got != 1 {
			t.Errorf("read %d", got)
		}
	})
}

func TestAsAPlainUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("that is what all the other tests show")
	}
	// As nobody and with a home that does not exist, a copy of this test binary
	// starts a server, is asked to stop it, starts another and is killed.
	place := filepath.Dir(folder(t))
	binary := filepath.Join(place, "localpg.test")
	copyProgram(t, self(t), binary)
	dir := filepath.Join(place, "db")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chown(dir, 65534, 65534))
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}

	p := startParent(t, binary, dir, nobody)
	p.says(t, "ready")
	owner, _ := ownerOf(filepath.Join(dir, "pg", "postmaster.pid"))
	if owner.uid != 65534 {
		t.Errorf("the server runs as %s", owner)
	}
	must(t, p.in.Close())
	p.says(t, "stopped")

	p = startParent(t, binary, dir, nobody)
	p.says(t, "ready")
	must(t, p.Process.Kill())
	if runtime.GOOS == "linux" {
		eventually(t, "the server of the killed process is gone", func() bool { return nothingServes(t, dir) })
	}

	// And a user whose the cluster is not is told so.
	must(t, os.Chown(dir, 54321, 54321))
	must(t, os.Chown(filepath.Join(dir, "lock"), 54321, 54321))
	p = startParent(t, binary, dir, &syscall.Credential{Uid: 54321, Gid: 54321})
	for p.lines.Scan() {
		if strings.HasPrefix(p.lines.Text(), "error") {
			if !strings.Contains(p.lines.Text(), "belongs to") {
				t.Errorf("it was told: %s", p.lines.Text())
			}
			return
		}
	}
	t.Error("it was told nothing")
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	must(t, err)
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(target, source)
	must(t, err)
	must(t, target.Close())
}

// lockedFolder returns a folder below one that only root may enter.
func lockedFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(folder(t)), "locked")
	must(t, os.Mkdir(dir, 0o700))
	return dir
}

// capabilities reads the effective capabilities of a process.
func capabilities(t *testing.T, pid int) uint64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	must(t, err)
	_, rest, _ := strings.Cut(string(status), "CapEff:")
	word, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	value, err := strconv.ParseUint(word, 16, 64)
	must(t, err)
	return value
}
