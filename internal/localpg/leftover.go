package localpg

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// leftoverPatience is how long a predecessor's server may take for its fast
// shutdown before it is told to quit.
const leftoverPatience = 20 * time.Second

// Lines of postmaster.pid, of which the first is the process number. Others say
// the folder, when it was started, and where its socket and address are.
const (
	portLine         = 3
	sharedMemoryLine = 6
	statusLine       = 7
)

// process is an entry of the machine's list of processes.
type process struct {
	pid     int
	command string // with its arguments, or the title that it gave itself
}

// clusterName names the folder's cluster in the titles of its processes.
func clusterName(data string) string {
	return fmt.Sprintf("foof-%x", sha256.Sum256([]byte(data)))[:21]
}

// serves tells whether the process is a PostgreSQL server on the folder data or
// one of its children. A postmaster, and a child in its first moments, has the
// command line that it was started with; a child then calls itself
// "postgres: <cluster_name>: <what it does>".
func (p process) serves(data string) bool {
	if strings.HasPrefix(p.command, "postgres: "+clusterName(data)+": ") {
		return true
	}
	name, arguments, _ := strings.Cut(p.command, " -D ")
	name = filepath.Base(name)
	return (name == "postgres" || name == "postmaster") && strings.HasPrefix(arguments+" ", data+" ")
}

// serving lists the processes that serve the folder data.
func serving(data string) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var ours []process
	for _, p := range all {
		if p.serves(data) {
			ours = append(ours, p)
		}
	}
	return ours, nil
}

// endLeftovers stops the server that a killed predecessor left on the folder.
// The caller holds the folder's lock, so nobody else looks after it.
func endLeftovers(ctx context.Context, data string) error {
	pid, ok := postmasterPID(data)
	if !ok {
		return endSurvivors(data, killPatience)
	}
	if err := endLeftover(ctx, data, pid); err != nil {
		return fmt.Errorf("stop the PostgreSQL server (process %d) that was left running on %s: %w", pid, data, err)
	}
	if err := endSurvivors(data, killPatience); err != nil {
		return err
	}
	// PostgreSQL removes a stale postmaster.pid by itself, unless a process
	// of the same user has got the number meanwhile, as is common after a
	// container's restart: then it refuses to start. We know that none serves.
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func endLeftover(ctx context.Context, data string, pid int) error {
	for _, step := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGINT, leftoverPatience}, {syscall.SIGQUIT, quitPatience}} {
		alive, err := signalServer(data, pid, step.signal)
		if err != nil || !alive {
			return err
		}
		if ended, err := awaitEnd(ctx, data, pid, step.patience); ended || err != nil {
			return err
		}
	}
	return errors.New("it does not end; end it yourself and start again")
}

// signalServer signals the process if it still serves the folder.
func signalServer(data string, pid int, sig syscall.Signal) (alive bool, err error) {
	// The handle is taken first: what is looked at next and signalled last is
	// the same process, even if its number is given away meanwhile.
	handle, err := os.FindProcess(pid)
	if err != nil {
		return false, nil
	}
	defer handle.Release()
	ours, err := serving(data)
	if err != nil {
		return false, err
	}
	for _, p := range ours {
		if p.pid != pid {
			continue
		}
		if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return true, err
		}
		return true, nil
	}
	return false, nil
}

// awaitEnd waits until the process no longer serves the folder, at most so long.
func awaitEnd(ctx context.Context, data string, pid int, atMost time.Duration) (ended bool, err error) {
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ours, err := serving(data)
		if err != nil {
			return false, err
		}
		ended = true
		for _, p := range ours {
			ended = ended && p.pid != pid
		}
		if ended {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return false, nil
		case <-tick.C:
		}
	}
}

// endSurvivors kills what a postmaster that was killed left behind, and returns
// when nothing serves the folder. An idle child ends by itself; one amid a query
// may not notice for long.
func endSurvivors(data string, atMost time.Duration) error {
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ours, err := serving(data)
		if err != nil {
			return err
		}
		if len(ours) == 0 {
			return nil
		}
		for _, p := range ours {
			if _, err := signalServer(data, p.pid, syscall.SIGKILL); err != nil {
				return fmt.Errorf("end PostgreSQL process %d: %w", p.pid, err)
			}
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("end PostgreSQL on %s: process %d does not end", data, ours[0].pid)
		case <-tick.C:
		}
	}
}

// postmasterPID reads the process number from the cluster's postmaster.pid.
func postmasterPID(data string) (int, bool) {
	lines := postmasterFile(data)
	if len(lines) == 0 {
		return 0, false
	}
	pid, err := strconv.Atoi(lines[0])
	return pid, err == nil && pid > 0
}

// postmasterFile reads the lines of postmaster.pid; none if there is no file.
func postmasterFile(data string) []string {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(content), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}
