package localpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// folderLock is the ownership of a folder, from Start to Stop. The kernel gives
// it up when the process ends.
type folderLock struct{ file *flock.Flock }

// lockFolder takes the folder or says at once who has it.
func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, "lock")
	file := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	ok, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the folder %s: %w", dir, errors.Join(err, file.Close()))
	}
	if !ok {
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("lock the folder %s: %w", dir, err)
		}
		return nil, fmt.Errorf("%w: %s already runs PostgreSQL on %s; stop it first, or choose another folder",
			ErrInUse, lockOwner(path), dir)
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("lock the folder %s: %w", dir, errors.Join(err, file.Close()))
	}
	return &folderLock{file: file}, nil
}

func lockOwner(path string) string {
	content, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(content))
	if err != nil || pid == "" {
		return "another process"
	}
	return "process " + pid
}

func (l *folderLock) release() error { return l.file.Close() }
