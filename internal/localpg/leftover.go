package localpg

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
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
	// ending is set for a PostgreSQL process that is past its end but has not
	// given back all that it held. It has no command any more.
	ending bool
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

// serving lists the processes that serve the folder data, and the numbers of
// those that are ending and may have served it.
func serving(data string) (ours []process, ending map[int]bool, err error) {
	all, err := processes()
	if err != nil {
		return nil, nil, err
	}
	ending = make(map[int]bool)
	for _, p := range all {
		switch {
		case p.ending:
			ending[p.pid] = true
		case p.serves(data):
			ours = append(ours, p)
		}
	}
	return ours, ending, nil
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
		alive, err := signalServers(data, step.signal, pid)
		if err != nil || alive == 0 {
			return err
		}
		if ended, err := awaitEnd(ctx, data, pid, step.patience); ended || err != nil {
			return err
		}
	}
	return errors.New("it does not end; end it yourself and start again")
}

// signalServers signals those of the processes that still serve the folder, and
// says how many did.
func signalServers(data string, sig syscall.Signal, pids ...int) (alive int, err error) {
	// Handles are taken first: what is looked at next and signalled last is the
	// same process, even if its number is given away meanwhile.
	handles := make(map[int]*os.Process, len(pids))
	defer func() {
		for _, handle := range handles {
			_ = handle.Release()
		}
	}()
	for _, pid := range pids {
		if handle, err := os.FindProcess(pid); err == nil {
			handles[pid] = handle
		}
	}
	ours, _, err := serving(data)
	if err != nil {
		return 0, err
	}
	for _, p := range ours {
		handle, wanted := handles[p.pid]
		if !wanted {
			continue
		}
		if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return alive, fmt.Errorf("end process %d: %w", p.pid, err)
		}
		alive++
	}
	return alive, nil
}

// awaitEnd waits until the process no longer serves the folder, at most so long.
func awaitEnd(ctx context.Context, data string, pid int, atMost time.Duration) (ended bool, err error) {
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ours, _, err := serving(data)
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
// may not notice for long. A process that is ending still has the shared memory,
// which keeps the next server from starting: those that are there when ours are
// gone are waited for, whosever they are.
func endSurvivors(data string, atMost time.Duration) error {
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var awaited map[int]bool
	for {
		ours, ending, err := serving(data)
		if err != nil {
			return err
		}
		switch {
		case len(ours) > 0:
			awaited = nil
			if _, err := signalServers(data, syscall.SIGKILL, numbers(ours)...); err != nil {
				return fmt.Errorf("end PostgreSQL on %s: %w", data, err)
			}
		case awaited == nil:
			awaited = ending
		default:
			maps.DeleteFunc(awaited, func(pid int, _ bool) bool { return !ending[pid] })
		}
		if len(ours) == 0 && len(awaited) == 0 {
			return nil
		}
		select {
		case <-deadline.C:
			if len(ours) == 0 {
				return nil
			}
			return fmt.Errorf("end PostgreSQL on %s: process %d does not end", data, ours[0].pid)
		case <-tick.C:
		}
	}
}

func numbers(all []process) []int {
	var pids []int
	for _, p := range all {
		pids = append(pids, p.pid)
	}
	return pids
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
