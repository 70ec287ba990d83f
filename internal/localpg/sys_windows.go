package localpg

import (
	"errors"
	"os"
	"os/exec"
)

var errUnsupported = errors.New("running PostgreSQL is not supported on Windows; give the address of a server instead")

func (p program) fork() (*exec.Cmd, error) { return nil, errUnsupported }

func processes() ([]process, error) { return nil, errUnsupported }

func ownerOf(string) (owner identity, exists bool) { return identity{}, false }

func mayEnter(os.FileInfo, identity) bool { return true }

// segment is the shared memory that a killed server leaves, which is not freed
// here but by the next server on its folder.
type segment struct{}

func sharedMemory(string) segment { return segment{} }

func (segment) free() error { return nil }

func killGroup(int) {}

// bootID is not known here, and so clusters are not kept to be copied.
func bootID() string { return "" }
