package localpg

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A seed is a cluster as initdb made it, with its password, kept to be copied:
// that takes a fraction of initdb's time, and a test run starts a server for each
// package. A copy has the seed's password and system identifier.
//
// Neither seeds nor copies are flushed to disk, for a thousand files would take
// longer than initdb. So a seed is used only by servers that do without fsync, and
// only until the machine's next start, after which its files may be torn.

// seedFolder names the seed for this server's version and user; empty if it is
// not to use one.
func (s *Server) seedFolder() string {
	boot := bootID()
	if s.seeds == "" || s.durable() || boot == "" {
		return ""
	}
	origin := strings.Join(append([]string{s.installation.bin, s.as.name}, clusterArguments...), " ")
	sum := sha256.Sum256([]byte(origin))
	return filepath.Join(s.seeds, fmt.Sprintf("cluster-%s-%s-%x", boot, s.installation.version, sum[:6]))
}

// plant fills the empty folder from the seed, if there is one, and returns the
// seed's password.
func (s *Server) plant(folder string) (password string, found bool, err error) {
	seed := s.seedFolder()
	if seed == "" {
		return "", false, nil
	}
	content, err := os.ReadFile(filepath.Join(seed, "password"))
	if errors.Is(err, os.ErrNotExist) {
		return "", false, nil
	}
	if err == nil {
		err = copyTree(filepath.Join(seed, "pg"), folder)
	}
	if err != nil {
		return "", false, fmt.Errorf("copy the cluster kept in %s (which may be deleted): %w", seed, err)
	}
	return strings.TrimSpace(string(content)), true, nil
}

// keepSeed makes a seed of the cluster in the folder. It appears complete or not
// at all; if another process is first, its seed stays.
func (s *Server) keepSeed(folder, password string) error {
	seed := s.seedFolder()
	if seed == "" {
		return nil
	}
	if err := os.MkdirAll(s.seeds, 0o755); err != nil {
		return err
	}
	s.removeOldSeeds()
	unfinished, err := os.MkdirTemp(s.seeds, "cluster-"+bootID()+"-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	if err := copyTree(folder, filepath.Join(unfinished, "pg")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(unfinished, "password"), []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	// A rename onto a folder that holds files fails.
	if err := os.Rename(unfinished, seed); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// removeOldSeeds removes those from before the machine's last start.
func (s *Server) removeOldSeeds() {
	all, err := filepath.Glob(filepath.Join(s.seeds, "cluster-*"))
	if err != nil {
		return
	}
	for _, seed := range all {
		if !strings.HasPrefix(filepath.Base(seed), "cluster-"+bootID()+"-") {
			_ = os.RemoveAll(seed)
		}
	}
}

// copyTree copies the files and folders in from into to, which may exist. Only
// the owner may read the copy.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type().IsRegular():
			return copyFile(path, target)
		default:
			return fmt.Errorf("copy %s: neither file nor folder", path)
		}
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
