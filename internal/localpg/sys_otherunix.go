//go:build unix && !linux

package localpg

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// fork starts the program. These systems have no death signal: a server whose
// parent is killed runs on, and the next Start on its folder stops it. Nor do
// they have capabilities: as root, the folder must be one that the server's
// user may enter.
func (p program) fork() (*exec.Cmd, error) {
	cmd := p.command()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.as.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.as.uid), Gid: uint32(p.as.gid)}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd, nil
}

// processes lists the processes of the machine that are not zombies.
func processes() ([]process, error) {
	out, err := exec.Command("ps", "-axww", "-o", "pid=,stat=,command=").Output() //nolint:noctx // it is over at once
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[1], "Z") {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			continue
		}
		all = append(all, process{pid: pid, command: strings.Join(fields[2:], " ")})
	}
	return all, nil
}

// segment is the shared memory that a killed server leaves, which is not freed
// here but by the next server on its folder.
type segment struct{}

func sharedMemory(string) segment { return segment{} }

func (segment) free() error { return nil }

// bootID is not known here, and so clusters are not kept to be copied.
func bootID() string { return "" }
