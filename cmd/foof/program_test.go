package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is foof as a process of its own.
type program struct {
	*exec.Cmd

	out, err *transcript
	ended    chan struct{} // closed when it has
}

// foof runs the program with nothing in its environment but these variables and what the machine needs. It is killed at the
// test's end, if it has not ended by then.
func foof(t *testing.T, environment map[string]string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.CommandContext(t.Context(), self, args...), out: newTranscript(), err: newTranscript(), ended: make(chan struct{})}
	p.Env = []string{beFoof + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	for name, v := range environment {
		p.Env = append(p.Env, name+"="+v)
	}
	p.Stdout, p.Stderr = p.out, p.err
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait()
		p.out.end()
		p.err.end()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("foof %s printed\n%s\nand\n%s", strings.Join(args, " "), p.out, p.err)
		}
	})
	return p
}

// code waits for the end and gives the exit code, -1 for one that was killed.
func (p *program) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatalf("foof has not ended after a minute; it printed %s and %s", p.out, p.err)
	}
	return p.ProcessState.ExitCode()
}

// interrupt sends a signal and waits for the end.
func (p *program) interrupt(t *testing.T, by syscall.Signal) int {
	t.Helper()
	if err := p.Process.Signal(by); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return p.code(t)
}

// transcript is what a program has printed so far.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder
	over    bool
	changed chan struct{} // closed when there is more, or no more
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.text.Write(p)
	tr.wake()
	return len(p), nil
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

// await gives what stands between two texts on one line, as soon as that line is there.
func (tr *transcript) await(t *testing.T, before, after string) string {
	t.Helper()
	patience := time.After(time.Minute)
	for {
		text, over, changed := tr.state()
		if _, rest, found := strings.Cut(text, before); found {
			if between, _, ended := strings.Cut(rest, after); ended {
				return between
			}
		}
		if over {
			t.Fatalf("foof ended before it printed %q, with:\n%s", before, text)
		}
		select {
		case <-changed:
		case <-patience:
			t.Fatalf("foof has not printed %q after a minute, but:\n%s", before, text)
		}
	}
}

func (tr *transcript) state() (text string, over bool, changed <-chan struct{}) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String(), tr.over, tr.changed
}

func (tr *transcript) end() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.over = true
	tr.wake()
}

func (tr *transcript) wake() {
	close(tr.changed)
	tr.changed = make(chan struct{})
}

// kill sends SIGKILL to a process that a program of ours started.
func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil || n < 2 {
		t.Fatalf("process %q: %v", pid, err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
