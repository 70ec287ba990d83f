package pgtest

import (
	"os"
	"syscall"
)

// memoryNeeded is the room that a file system in memory must have for us to use
// it: a container's usually has 64 MB, which some databases fill.
const memoryNeeded = 4 << 30

// memoryFolder returns a folder whose files are kept in memory; empty if there is
// none that is large enough and may be written to.
func memoryFolder() string {
	const dir = "/dev/shm"
	var system syscall.Statfs_t
	if err := syscall.Statfs(dir, &system); err != nil || system.Bavail*uint64(system.Bsize) < memoryNeeded {
		return ""
	}
	probe, err := os.MkdirTemp(dir, "foof-probe-")
	if err != nil || os.Remove(probe) != nil {
		return ""
	}
	return dir
}
