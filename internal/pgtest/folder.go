package pgtest

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"foof/internal/localpg"
)

const (
	folderPattern = "foof-pgtest-*"
	// staleAfter is the age at which a folder without an owner is one that a
	// killed process left, and not one whose server is about to start.
	staleAfter = 5 * time.Minute
)

// newFolder makes a folder for a server, and removes those that test processes
// left behind which were killed. It is in memory if there is room, where a database
// is made in a seventh of the time; TMPDIR, if it is set, says otherwise.
func newFolder(ctx context.Context) (string, error) {
	place := os.TempDir()
	if memory := memoryFolder(); memory != "" && os.Getenv("TMPDIR") == "" {
		place = memory
	}
	removeStale(ctx, place)
	dir, err := os.MkdirTemp(place, folderPattern)
	if err != nil {
		return "", err
	}
	// If we are root, the server's user must be able to pass through.
	return dir, os.Chmod(dir, 0o711)
}

// removeStale does what it can: a folder may be another user's.
func removeStale(ctx context.Context, place string) {
	folders, err := filepath.Glob(filepath.Join(place, folderPattern))
	if err != nil {
		return
	}
	for _, dir := range folders {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		if err := localpg.Remove(ctx, serverFolder(dir)); err == nil {
			_ = os.RemoveAll(dir)
		}
	}
}

func serverFolder(dir string) string { return filepath.Join(dir, "server") }

// seeds is where new clusters are kept to be copied; empty if there is no cache.
func seeds() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "foof", "clusters")
}
