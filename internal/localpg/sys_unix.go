//go:build unix

package localpg

import (
	"os"
	"syscall"
)

func ownerOf(path string) (owner identity, exists bool) {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{uid: int(stat.Uid), gid: int(stat.Gid), name: userName(int(stat.Uid))}, true
}

// mayEnter tells whether the permission bits of a folder let id pass through.
func mayEnter(folder os.FileInfo, id identity) bool {
	stat, ok := folder.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := folder.Mode().Perm()
	switch {
	case int(stat.Uid) == id.uid:
		return mode&0o100 != 0
	case int(stat.Gid) == id.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// killGroup kills the processes of a group, however many are left of it.
func killGroup(group int) { _ = syscall.Kill(-group, syscall.SIGKILL) }
