//go:build unix

package localpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestFetch fetches a real PostgreSQL: the network is needed. Two servers do so at
// once into one cache, which as root is one that the server's user may not enter.
func TestFetch(t *testing.T) {
	t.Parallel()
	nowhere := places{cache: filepath.Join(t.TempDir(), "cache")}
	begin := time.Now()
	servers := make([]*Server, 2)
	var steps sync.Map
	var group errgroup.Group
	for i := range servers {
		o := quick(folder(t))
		o.Progress = func(step string) { steps.Store(step, true) }
		group.Go(func() (err error) {
			servers[i], err = start(t.Context(), o, nowhere)
			return err
		})
	}
	err := group.Wait()
	t.Cleanup(func() {
		for _, server := range servers {
			if server != nil {
				must(t, server.Stop(context.Background()))
			}
		}
	})
	must(t, err)
	t.Logf("two servers were fetched, made and started in %v", time.Since(begin).Round(time.Millisecond))

	for _, server := range servers {
		if !strings.HasPrefix(server.installation.bin, nowhere.cache) {
			t.Errorf("the server runs from %s", server.installation.bin)
		}
		if got := query[string](t, server, "SHOW server_version"); !strings.HasPrefix(got, server.Version()) {
			t.Errorf("the server is version %s, its binaries %s", got, server.Version())
		}
	}
	told := false
	steps.Range(func(step, _ any) bool {
		told = told || strings.HasPrefix(step.(string), "Fetching PostgreSQL")
		return true
	})
	if !told {
		t.Error("nobody was told of the fetching")
	}
	kept, err := os.ReadDir(nowhere.cache)
	must(t, err)
	if len(kept) != 2 { // the installation and its lock
		t.Errorf("the cache holds %v", kept)
	}

	o := quick(folder(t))
	o.Progress = func(step string) {
		if strings.HasPrefix(step, "Fetching") {
			t.Errorf("it was fetched again")
		}
	}
	third, err := start(t.Context(), o, nowhere)
	must(t, err)
	must(t, third.Stop(t.Context()))
}

func TestFetchIsGivenUpWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := quick(folder(t))
	o.Progress = func(string) { cancel() } // it is about to fetch
	_, err := start(ctx, o, places{cache: filepath.Join(t.TempDir(), "cache")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is not the context's: %v", err)
	}
}

func TestAClusterOfAnotherVersion(t *testing.T) {
	t.Parallel()

	// another returns a folder whose cluster another version made.
	another := func(t *testing.T, version string) string {
		t.Helper()
		dir := folder(t)
		must(t, started(t, quick(dir)).Stop(t.Context()))
		must(t, os.WriteFile(filepath.Join(dir, "pg", "PG_VERSION"), []byte(version+"\n"), 0o600))
		return dir
	}

	t.Run("is refused if there are no binaries for it", func(t *testing.T) {
		t.Parallel()
		dir := another(t, "12")
		_, err := Start(t.Context(), quick(dir))
		says(t, err, "made by PostgreSQL 12", "install PostgreSQL 12")
		if _, err := os.Stat(filepath.Join(dir, "pg", "global", "pg_control")); err != nil {
			t.Errorf("the data was touched: %v", err)
		}
	})

	t.Run("is refused if the binaries that were given do not fit", func(t *testing.T) {
		t.Parallel()
		mine := started(t, quick(folder(t))).installation
		o := quick(another(t, "11"))
		o.Binaries = mine.bin
		_, err := Start(t.Context(), o)
		says(t, err, "made by PostgreSQL 11", mine.bin)
	})

	t.Run("is refused if its version makes no sense", func(t *testing.T) {
		t.Parallel()
		_, err := Start(t.Context(), quick(another(t, "9.6")))
		says(t, err, `PostgreSQL "9.6"`)
	})

	t.Run("is run by the installation that fits, not by the first", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		newer := pretend(t, filepath.Join(dir, "1", "bin"), "postgres (PostgreSQL) 17.5 (Debian 17.5-1)")
		older := pretend(t, filepath.Join(dir, "2", "bin"), "postgres (PostgreSQL) 16beta2")
		from := places{path: newer + string(os.PathListSeparator) + older}
		for major, want := range map[int]string{0: newer, 17: newer, 16: older} {
			got, err := chooseInstallation(t.Context(), from, "", major, dir, func(string) {})
			must(t, err)
			if got.bin != want {
				t.Errorf("for version %d, %s was chosen", major, got)
			}
		}
	})
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pretend(t, filepath.Join(dir, "9", "bin"), "postgres (PostgreSQL) 9.6.24")
	middle := pretend(t, filepath.Join(dir, "15", "bin"), "postgres (PostgreSQL) 15.1")
	newest := pretend(t, filepath.Join(dir, "17", "bin"), "postgres (PostgreSQL) 17.1")
	links := filepath.Join(dir, "links")
	must(t, os.Mkdir(links, 0o755))
	must(t, os.Symlink(filepath.Join(middle, "postgres"), filepath.Join(links, "postgres")))

	from := places{patterns: []string{filepath.Join(dir, "*", "bin")}}
	if got := from.bins(); len(got) != 3 || got[0] != newest || got[1] != middle {
		t.Errorf("of one pattern, the order is %v", got)
	}
	from.path = strings.Join([]string{"", "relative", links}, string(os.PathListSeparator))
	if got := from.bins(); len(got) != 3 || got[0] != middle || got[1] != newest {
		t.Errorf("with a link in PATH, the order is %v", got)
	}

	_, err := chooseInstallation(t.Context(), from, filepath.Join(dir, "9", "bin"), 0, dir, func(string) {})
	says(t, err, "9.6.24", "too old")
	_, err = chooseInstallation(t.Context(), from, dir, 0, dir, func(string) {})
	says(t, err, "no PostgreSQL in "+dir)
}

// pretend makes a bin folder whose server only tells its version, and returns
// its path.
func pretend(t *testing.T, bin, version string) string {
	t.Helper()
	must(t, os.MkdirAll(bin, 0o755))
	for _, name := range []string{"postgres", "initdb"} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho '"+version+"'\n"), 0o755))
	}
	path, err := filepath.EvalSymlinks(bin)
	must(t, err)
	return path
}
