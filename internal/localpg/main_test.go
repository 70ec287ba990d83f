//go:build unix

package localpg

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// parentFolder is the variable that makes the test binary, run again, the parent
// of a server on that folder instead of running tests.
const parentFolder = "LOCALPG_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentFolder); dir != "" {
		os.Exit(beParent(dir))
	}
	goleak.VerifyTestMain(m)
}

// beParent starts a server, says so, and stops it when its input ends. It says
// what it does on its output, a line for each step.
func beParent(dir string) int {
	ctx := context.Background()
	server, err := Start(ctx, Options{
		Dir:      dir,
		Settings: map[string]string{"fsync": os.Getenv(parentFolder + "_FSYNC")},
		Progress: func(step string) { fmt.Println("progress", step) },
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("ready", server.DSN(""))
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := server.Stop(ctx); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("stopped")
	return 0
}

// parent is another process of this test binary that has a server.
type parent struct {
	*exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// startParent runs the test binary at path as a server's parent, as the user of
// that credential if there is one.
func startParent(t *testing.T, path, dir string, as *syscall.Credential) *parent {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), parentFolder+"="+dir, parentFolder+"_FSYNC=off")
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	if as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		cmd.Env = append(cmd.Env, "HOME=/nonexistent")
	}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &parent{Cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return p
}

// says waits for the line that begins with the word and returns the rest of it.
func (p *parent) says(t *testing.T, word string) string {
	t.Helper()
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), word+" "); ok {
			return rest
		}
		if p.lines.Text() == word {
			return ""
		}
		if strings.HasPrefix(p.lines.Text(), "error") {
			t.Fatalf("instead of %q, the server's parent said: %s", word, p.lines.Text())
		}
	}
	t.Fatalf("the server's parent ended before it said %q", word)
	return ""
}

// folder returns a folder that every user may pass through, which t.TempDir is
// not; it, and what still runs on it, is removed at the test's end.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-test-") //nolint:usetesting // see above
	must(t, err)
	must(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() {
		if err := Remove(context.Background(), filepath.Join(dir, "db")); err != nil {
			t.Errorf("remove: %v", err)
		}
		must(t, os.RemoveAll(dir))
	})
	return filepath.Join(dir, "db")
}

// quick are the options for tests, in which durability is not what is tested.
func quick(dir string) Options {
	return Options{Dir: dir, Settings: map[string]string{"fsync": "off", "dynamic_shared_memory_type": "mmap"}}
}

// started starts a server and stops it at the test's end.
func started(t *testing.T, o Options) *Server {
	t.Helper()
	server, err := Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return server
}

func execute(t *testing.T, server *Server, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN(""))
	must(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	must(t, err)
}

func query[T any](t *testing.T, server *Server, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN(""))
	must(t, err)
	defer conn.Close(context.Background())
	var value T
	must(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	return value
}

// eventually waits until the condition holds, some time at most.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("in 30 s it did not come to this: %s", what)
		case <-tick.C:
		}
	}
}

func nothingServes(t *testing.T, dir string) bool {
	t.Helper()
	left, _, err := serving(filepath.Join(dir, "pg"))
	must(t, err)
	return len(left) == 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// says checks that an error is there and says all of the words.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}
