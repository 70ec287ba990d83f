package localpg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// program is one of PostgreSQL's programs and how to run it.
type program struct {
	path        string
	args        []string
	output      *os.File
	as          identity
	deathSignal syscall.Signal // sent to it if we die, where the system can
	touches     []string       // paths that it must be able to reach
}

// child is a program that was started.
type child struct {
	pid     int
	process *os.Process
	done    chan struct{} // closed when it has ended
	err     error         // how it ended, if not well; valid once done is closed
}

// start starts the program in a process group of its own, so that a terminal's
// Ctrl-C does not reach it: we end it when its clients are done.
//
// One goroutine, locked to its thread, starts the child and waits for it. Linux
// sends the death signal when the thread that forked ends, not the process, so
// that thread must live as long as the child.
//
// It calls ended, if there is one, when the child has ended, and then closes done.
func (p program) start(ended func()) (*child, error) {
	c := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go p.live(c, started, ended)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s as %s: %w%s", p.path, p.as, err, p.hint())
	}
	return c, nil
}

func (p program) live(c *child, started chan<- error, ended func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := p.fork()
	if err != nil {
		started <- err
		return
	}
	c.pid, c.process = cmd.Process.Pid, cmd.Process
	started <- nil
	c.err = cmd.Wait()
	if ended != nil {
		ended()
	}
	close(c.done)
}

func (p program) command() *exec.Cmd {
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // it outlives the context of the Start that started it
	cmd.Stdout, cmd.Stderr = p.output, p.output
	// The child's user may not enter our working directory; every path that
	// we give it is absolute.
	cmd.Dir = "/"
	// PostgreSQL takes settings from PG* variables and the time zone and
	// language from TZ and LC_*: ours are not for it.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// outOfReach tells whether the program's user may not enter a folder on the way
// to one of the paths that it needs.
func (p program) outOfReach() bool {
	if !p.as.other {
		return false
	}
	for _, path := range append([]string{p.path}, p.touches...) {
		if !reachable(filepath.Dir(path), p.as) {
			return true
		}
	}
	return false
}

// hint says what to do if the program fails for the one reason that we know and
// it does not.
func (p program) hint() string {
	if !p.outOfReach() {
		return ""
	}
	return fmt.Sprintf("\n%s, as whom PostgreSQL runs because it refuses to run as root, may not enter every folder above "+
		"%s and %s: choose one that it may enter", p.as, p.path, strings.Join(p.touches, " and "))
}

// signal sends sig; a child that has ended is none the worse for it.
func (c *child) signal(sig syscall.Signal) { _ = c.process.Signal(sig) }

// wait waits for the child's end, at most so long, and tells whether it came.
func (c *child) wait(atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}
