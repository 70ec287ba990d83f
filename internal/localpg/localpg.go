// Package localpg runs a PostgreSQL server of our own on a folder, for
// development and for tests. It needs no installation, no container and no
// rights: it uses the machine's PostgreSQL if there is one, fetches one if
// there is none, and runs as root (by handing the server to an unprivileged
// user) as well as a plain user.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// superuser is the only role that a new cluster has.
const superuser = "foof"

// ErrInUse is returned by Start and Remove when another process, or another
// Server of this one, runs on the same folder.
var ErrInUse = errors.New("the folder is in use")

// ErrStopped is returned by Kill and Restart after Stop: the folder's lock is
// given up then and may be another's.
var ErrStopped = errors.New("the server was stopped")

// Options say how the server runs. Zero values are good defaults.
type Options struct {
	// Dir is the folder that holds the cluster (Dir/pg), its password
	// (Dir/password), its log (Dir/postgres.log) and its lock (Dir/lock).
	// It is made when it does not exist.
	Dir string
	// Settings are server settings beyond or instead of ours, as in
	// postgresql.conf: {"fsync": "off"}. The address, the port and the
	// cluster's name cannot be chosen.
	Settings map[string]string
	// Binaries is the bin folder of a PostgreSQL installation. If it is
	// empty, the machine is searched, and if it has none of the right
	// version, one is fetched, once.
	Binaries string
	// Seeds is a folder in which a freshly made cluster of each version is
	// kept; new ones are copied from it, which is faster than making them. It
	// is for tests: it is used only with fsync=off, and the copies share a
	// password. Empty: none.
	Seeds string
	// Progress is told, in words, what is about to take long. May be nil.
	Progress func(string)
}

// Server is a running PostgreSQL server. Its methods may be called from
// several goroutines; Kill, Restart and Stop wait for each other.
type Server struct {
	dir, data    string
	installation installation
	as           identity
	settings     map[string]string
	seeds        string
	progress     func(string)
	port         int
	password     string
	lock         *folderLock

	mu      sync.Mutex // held by Kill, Restart and Stop from start to end
	stopped bool

	state   sync.Mutex // guards what follows, never held for long
	current *run
	exited  chan struct{}
}

// Start runs a server on o.Dir and returns when it accepts connections. The
// cluster is made first if there is none; a server that a killed predecessor
// left running there is stopped first.
//
// The error wraps ErrInUse if the folder has an owner already. If the server
// ends while it starts, the error ends with the last lines of its log. When
// ctx ends first, nothing is left running.
//
// The server does not outlive this process: it is stopped by Stop, and on
// Linux by the kernel if the process ends in any other way.
func Start(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, machinePlaces())
}

func start(ctx context.Context, o Options, from places) (*Server, error) {
	dir, err := makeFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		dir:      dir,
		data:     filepath.Join(dir, "pg"),
		settings: maps.Clone(o.Settings),
		seeds:    o.Seeds,
		progress: o.Progress,
		exited:   make(chan struct{}),
	}
	if s.progress == nil {
		s.progress = func(string) {}
	}
	if s.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	if err := s.open(ctx, o.Binaries, from); err != nil {
		return nil, errors.Join(err, s.lock.release())
	}
	return s, nil
}

// open does what Start does once the folder is locked.
func (s *Server) open(ctx context.Context, bin string, from places) error {
	if err := endLeftovers(ctx, s.data); err != nil {
		return err
	}
	var err error
	if s.as, err = identityFor(s.data); err != nil {
		return err
	}
	major, err := clusterMajor(s.data)
	if err != nil {
		return err
	}
	if s.installation, err = chooseInstallation(ctx, from, bin, major, s.dir, s.progress); err != nil {
		return fmt.Errorf("look for PostgreSQL: %w", err)
	}
	if s.password, err = s.secureCluster(ctx, major != 0); err != nil {
		return err
	}
	return s.launchOnFreePort(ctx)
}

// DSN returns the address of a database of this server as a URL, for pgx or
// any libpq program. The empty name means "postgres", which always exists. It
// stays the same over Kill and Restart, but not from one Start to the next.
//
// It is TCP on 127.0.0.1 with a password rather than a Unix socket: a socket's
// path may be 107 bytes long at most, which a test's folder easily is, and a
// socket in a folder that only the server's user may enter shuts out, of all
// clients, those of the user who started it as root. The password also tells
// apart this server and another that happens to get the same port.
func (s *Server) DSN(database string) string {
	if database == "" {
		database = "postgres"
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     "127.0.0.1:" + strconv.Itoa(s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Version returns the version of the server's binaries, such as "17.5".
func (s *Server) Version() string { return s.installation.version }

// Exited returns a channel that is closed when the server ends by itself,
// which Kill and Stop are not. It is the same channel over Kill and Restart;
// only a Restart after the server ended by itself makes a new one.
func (s *Server) Exited() <-chan struct{} {
	s.state.Lock()
	defer s.state.Unlock()
	return s.exited
}

// Err returns nil while the server runs, and how it ended, with the last lines
// of its log, once Exited's channel is closed.
func (s *Server) Err() error {
	s.state.Lock()
	defer s.state.Unlock()
	select {
	case <-s.exited:
		return fmt.Errorf("PostgreSQL on %s ended by itself: %w", s.dir, s.current.failure())
	default:
		return nil
	}
}

// Remove deletes the folder of a server that no longer runs, and frees what a
// killed server left in memory for the next one. A server that a killed process
// left running there is stopped first. The error wraps ErrInUse
// if the folder has a living owner. A folder that does not exist is no error.
func Remove(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	dir, err := makeFolder(dir)
	if err != nil {
		return err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "pg")
	segment := sharedMemory(data)
	if err := endLeftovers(ctx, data); err != nil {
		return errors.Join(err, lock.release())
	}
	return errors.Join(segment.free(), os.RemoveAll(dir), lock.release())
}

// makeFolder makes the folder if need be and returns its one true path, by
// which a server's processes are recognised.
func makeFolder(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("PostgreSQL needs a folder: Options.Dir is empty")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("folder for PostgreSQL: %w", err)
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711 // the unprivileged user passes through it to the cluster
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return "", fmt.Errorf("folder for PostgreSQL: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("folder for PostgreSQL: %w", err)
	}
	return dir, nil
}
