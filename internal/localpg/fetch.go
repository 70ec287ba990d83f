package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/gofrs/flock"
)

// fetchable are the versions that can be fetched, by major version; 0 is the one
// for a new cluster.
var fetchable = map[int]embeddedpostgres.PostgresVersion{
	0:  embeddedpostgres.V18,
	14: embeddedpostgres.V14,
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

// fetch returns the installation of that version in the cache, and fetches it
// first if it is not there. Without a cache that can be written, it is kept
// beside the cluster. Processes that fetch at the same time wait for one.
//
// When ctx ends, a transfer under way is left to itself: the library offers no
// way to end it. It harms nothing, and if it completes the next Start has it.
func fetch(ctx context.Context, cache, dir string, version embeddedpostgres.PostgresVersion, progress func(string)) (installation, error) {
	if cache == "" || os.MkdirAll(cache, 0o755) != nil {
		cache = dir
	}
	place := filepath.Join(cache, "postgres-"+string(version))
	if i, err := inspect(ctx, filepath.Join(place, "bin")); err == nil {
		return i, nil
	}
	progress("Fetching PostgreSQL " + string(version) + " into " + place)
	lock := flock.New(place + ".lock")
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return installation{}, fmt.Errorf("wait for the cache of PostgreSQL: %w", errors.Join(err, lock.Close()))
	}
	done := make(chan error, 1)
	go func() {
		err := fetchInto(ctx, place, version)
		done <- errors.Join(err, lock.Close())
	}()
	select {
	case err := <-done:
		if err != nil {
			return installation{}, fmt.Errorf("fetch PostgreSQL %s: %w", version, err)
		}
	case <-ctx.Done():
		return installation{}, fmt.Errorf("fetch PostgreSQL %s: %w", version, ctx.Err())
	}
	return inspect(ctx, filepath.Join(place, "bin"))
}

// fetchInto makes the folder place appear with a complete installation in it, or
// not at all. The caller holds the place's lock.
func fetchInto(ctx context.Context, place string, version embeddedpostgres.PostgresVersion) error {
	if _, err := inspect(ctx, filepath.Join(place, "bin")); err == nil {
		return nil // another process did it while we waited for the lock
	}
	left, err := filepath.Glob(place + ".new-*")
	if err != nil {
		return err
	}
	for _, path := range append(left, place) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(place), filepath.Base(place)+".new-")
	if err != nil {
		return err
	}
	tree := filepath.Join(unfinished, "tree")
	if err := fetchTree(unfinished, tree, version); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return errors.Join(openToAll(tree), os.Rename(tree, place), os.RemoveAll(unfinished))
}

// fetchTree has the library fetch, check and unpack an installation into tree.
//
// The library can only do so as the first steps of starting a server. What comes
// next, removing the data folder, is made to fail: os.RemoveAll refuses a path
// that ends in a dot. Between the two it makes its runtime folder, and so the
// existence of that folder shows that the installation is complete.
func fetchTree(unfinished, tree string, version embeddedpostgres.PostgresVersion) error {
	runtime := filepath.Join(unfinished, "runtime")
	err := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).
		Port(0). // it looks whether the port is free; this one always is
		CachePath(filepath.Join(unfinished, "archive")).
		RuntimePath(runtime).
		BinariesPath(tree).
		DataPath(filepath.Join(unfinished, "none") + string(filepath.Separator) + ".").
		Logger(io.Discard)).Start()
	http.DefaultClient.CloseIdleConnections() // it uses this client and leaves them open
	if _, missing := os.Stat(runtime); missing != nil {
		return err
	}
	return nil
}

// openToAll lets every user read and run what was unpacked: as root we run it as
// another user, whatever our umask.
func openToAll(tree string) error {
	return filepath.WalkDir(tree, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type()&os.ModeSymlink != 0 {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}
