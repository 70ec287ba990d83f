//go:build linux

package localpg

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// secbitNoSetuidFixup is SECBIT_NO_SETUID_FIXUP of linux/securebits.h.
const secbitNoSetuidFixup = 1 << 2

// fork starts the program on the calling thread.
//
// If we are root and the server's user may not enter a folder on the way to the
// data or the binaries (root's home has mode 0700), the child is given, as an
// ambient capability, the right to pass through folders, and only then, because
// every session of the server gets it. If the kernel refuses, the child is
// started without.
func (p program) fork() (*exec.Cmd, error) {
	attempts := [][]uintptr{nil}
	if p.outOfReach() {
		defer keepCapabilities()()
		// The first is the smaller right and is enough; containers often
		// have only the second.
		attempts = [][]uintptr{{unix.CAP_DAC_READ_SEARCH}, {unix.CAP_DAC_OVERRIDE}, nil}
	}
	var err error
	for _, capabilities := range attempts {
		cmd := p.command()
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Setpgid:     true,
			Pdeathsig:   p.deathSignal,
			AmbientCaps: capabilities,
		}
		if p.as.other {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.as.uid), Gid: uint32(p.as.gid)}
		}
		if err = cmd.Start(); err == nil {
			return cmd, nil
		}
	}
	return nil, err
}

// keepCapabilities makes this thread, and the children that it forks, keep
// capabilities when they become another user. Without it the child loses the
// effective ones before it executes the program, which it then cannot reach, and
// access(2), by which PostgreSQL looks for its own binaries, disregards them for
// all but root. The result restores the thread. If the kernel refuses, data out
// of reach still works, binaries out of reach do not.
func keepCapabilities() (restore func()) {
	old, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	if err != nil {
		return func() {}
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, uintptr(old|secbitNoSetuidFixup), 0, 0, 0); err != nil {
		return func() {}
	}
	return func() { _ = unix.Prctl(unix.PR_SET_SECUREBITS, uintptr(old), 0, 0, 0) }
}

// processes lists the processes of the machine that have a command line, and
// those of PostgreSQL that have given it up but not yet all that they held. A
// zombie holds nothing: one that nobody reaps does not count as running.
func processes() ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		words := bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '})
		p := process{pid: pid, command: strings.TrimSpace(string(words))}
		if p.command == "" {
			if p.ending = isEnding(pid); !p.ending {
				continue
			}
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errors.New("/proc shows no process")
	}
	return all, nil
}

// isEnding tells whether a process without a command line is one of PostgreSQL's
// and not yet a zombie.
func isEnding(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), "(")
	name, rest, _ := strings.Cut(rest, ") ")
	return name == "postgres" && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// bootID names the time since the machine's last start; empty if there is none.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(id) < 8 {
		return ""
	}
	return string(id[:8])
}

// segment is the shared memory by which PostgreSQL guards a data folder. A killed
// server leaves it behind; the next one on the folder frees it, and what it leads
// to. Without a next one it would last until the machine's next start, and there
// may be only some thousands.
type segment struct {
	key   uint32
	id    int
	known bool
}

// sharedMemory reads from postmaster.pid which segment the folder's server has.
func sharedMemory(data string) segment {
	lines := postmasterFile(data)
	if len(lines) <= sharedMemoryLine {
		return segment{}
	}
	key, id, _ := strings.Cut(lines[sharedMemoryLine], " ")
	k, keyErr := strconv.ParseUint(key, 10, 32)
	n, idErr := strconv.Atoi(strings.TrimSpace(id))
	return segment{key: uint32(k), id: n, known: keyErr == nil && idErr == nil}
}

// free frees the segment if it is still there, nobody uses it and we may.
func (s segment) free() error {
	if !s.known || !s.orphaned() {
		return nil
	}
	if _, err := unix.SysvShmCtl(s.id, unix.IPC_RMID, nil); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("free the shared memory that a killed PostgreSQL server left: %w", err)
	}
	return nil
}

// orphaned tells whether the segment is there, still the folder's, and used by
// nobody. Root in a container may not see another user's: then it is not.
func (s segment) orphaned() bool {
	var found unix.SysvShmDesc
	_, err := unix.SysvShmCtl(s.id, unix.IPC_STAT, &found)
	return err == nil && uint32(found.Perm.Key) == s.key && found.Nattch == 0
}
