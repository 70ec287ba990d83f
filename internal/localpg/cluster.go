package localpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// clusterMajor reads by which major version the cluster in data was made; 0 if
// there is no cluster. A folder that holds something else is refused.
func clusterMajor(data string) (int, error) {
	content, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, refuseForeign(data)
	}
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	text := strings.TrimSpace(string(content))
	major, err := strconv.Atoi(text)
	if err != nil || major <= 0 {
		return 0, fmt.Errorf("the cluster in %s was made by PostgreSQL %q, which is not a version that can be run here", data, text)
	}
	return major, nil
}

func refuseForeign(data string) error {
	entries, err := os.ReadDir(data)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a cluster: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds files but no PostgreSQL cluster (it has no PG_VERSION): move it away, or choose another folder", data)
	}
	return nil
}

func (s *Server) passwordFile() string { return filepath.Join(s.dir, "password") }

// secureCluster makes the cluster if there is none, sees to it that the server's
// user owns it, and returns its password.
func (s *Server) secureCluster(ctx context.Context, exists bool) (string, error) {
	if !exists {
		if err := s.initialise(ctx); err != nil {
			return "", fmt.Errorf("make a PostgreSQL cluster in %s: %w", s.data, err)
		}
	}
	if owner, ok := ownerOf(s.data); ok && owner.uid != s.as.uid {
		if err := s.as.own(s.data); err != nil {
			return "", fmt.Errorf("give the cluster to %s: %w", s.as, err)
		}
	}
	password, err := os.ReadFile(s.passwordFile())
	if err != nil {
		return "", fmt.Errorf("read the password of the cluster in %s: %w", s.data, err)
	}
	return strings.TrimSpace(string(password)), nil
}

// clusterArguments are what every cluster is made with. The encoding is UTF-8
// and the locale C: the only one that every build of every version has, and the
// same order of rows on every machine.
var clusterArguments = []string{
	"--username=" + superuser, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions",
}

func (s *Server) durable() bool { return s.settings["fsync"] != "off" }

// initialise makes the cluster in a folder of its own and renames it when it is
// complete, so that an initialisation interrupted halfway leaves nothing but
// rubbish, which the next one removes.
func (s *Server) initialise(ctx context.Context) error {
	s.removeRubbish()
	unfinished, err := os.MkdirTemp(s.dir, "pg.new-")
	if err != nil {
		return err
	}
	if err := s.fill(ctx, unfinished); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, s.data); err != nil {
		return err
	}
	if s.durable() {
		return syncFolder(s.dir)
	}
	return nil
}

// fill makes a cluster in the folder, and its password, before the cluster
// counts.
func (s *Server) fill(ctx context.Context, folder string) error {
	password, planted, err := s.plant(folder)
	if err != nil {
		return err
	}
	if planted {
		return errors.Join(s.writePassword(password), s.as.own(folder))
	}
	s.progress("Making a PostgreSQL " + s.installation.version + " cluster in " + s.data)
	password = rand.Text()
	if err := s.writePassword(password); err != nil {
		return err
	}
	// initdb reads the password as the server's user.
	if err := errors.Join(s.as.own(s.passwordFile()), s.as.own(folder)); err != nil {
		return err
	}
	args := append(slices.Clone(clusterArguments), "--pgdata="+folder, "--pwfile="+s.passwordFile())
	if !s.durable() {
		args = append(args, "--no-sync")
	}
	if err := s.initdb(ctx, args, folder); err != nil {
		return err
	}
	if err := s.keepSeed(folder, password); err != nil {
		s.progress("The new cluster could not be kept to be copied: " + err.Error())
	}
	return nil
}

func (s *Server) initdb(ctx context.Context, args []string, unfinished string) error {
	log, err := openLog(filepath.Join(s.dir, "postgres.log"))
	if err != nil {
		return err
	}
	defer log.file.Close()
	p := program{
		path: s.installation.program("initdb"), args: args, output: log.file, as: s.as,
		deathSignal: syscall.SIGKILL,
		touches:     []string{unfinished, s.passwordFile()},
	}
	c, err := p.start(nil)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		killGroup(c.pid) // it runs a server to fill the cluster
		<-c.done
		return ctx.Err()
	}
	if c.err != nil {
		return fmt.Errorf("initdb: %w; %s%s", c.err, log.tail(), p.hint())
	}
	return nil
}

// removeRubbish removes what interrupted initialisations left. One that is
// still being written to, by a process about to end, is removed another time.
func (s *Server) removeRubbish() {
	left, err := filepath.Glob(filepath.Join(s.dir, "pg.new-*"))
	if err != nil {
		return
	}
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
}

// writePassword writes the password, before there is a cluster that has it.
func (s *Server) writePassword(password string) error {
	file, err := os.OpenFile(s.passwordFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(password + "\n")
	if err == nil && s.durable() {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder makes a rename in the folder durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
