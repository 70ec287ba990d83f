package localpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// quitPatience is how long an immediate shutdown may take. The server
	// itself kills children that have not ended after 5 s.
	quitPatience = 10 * time.Second
	// killPatience is how long the kernel may take to end killed processes.
	killPatience = 10 * time.Second
	// portAttempts is how many ports are tried if others take them meanwhile.
	portAttempts = 8
)

// run is one life of the server's main process, the postmaster.
type run struct {
	program  program
	child    *child
	log      serverLog
	exited   chan struct{} // closed if it ends by itself, before child.done is
	intended atomic.Bool   // we ended it, or it never became ready
}

// failure says how the run ended and what the server said about it.
func (r *run) failure() error {
	how := "it ended without an error"
	if err := r.child.err; err != nil {
		how = err.Error()
	}
	return fmt.Errorf("%s; %s", how, r.log.tail())
}

// Kill ends the server as a power failure would: SIGKILL for the postmaster and
// then for each process that it leaves. It returns when all are gone. On a
// server that does not run it does nothing.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("kill PostgreSQL on %s: %w", s.dir, ErrStopped)
	}
	return s.kill()
}

// Restart starts the server again after Kill, or after it ended by itself, on
// the same data and the same DSN, and returns when it accepts connections. On a
// server that runs it does nothing.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("restart PostgreSQL on %s: %w", s.dir, ErrStopped)
	}
	if s.running() {
		return nil
	}
	if err := s.kill(); err != nil { // what one that ended by itself left
		return err
	}
	return s.launch(ctx)
}

// Stop shuts the server down: clients are disconnected, transactions under way
// are rolled back, everything is written. If ctx ends first, the shutdown is
// immediate: the next start recovers from the log, nothing committed is lost.
// When it returns nil, no process is left and the folder is free. It may be
// called again.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	if err := s.shutDown(ctx); err != nil {
		return err
	}
	s.stopped = true
	return s.lock.release()
}

func (s *Server) shutDown(ctx context.Context) error {
	if s.running() {
		r := s.current
		r.intended.Store(true)
		r.child.signal(syscall.SIGINT)
		select {
		case <-r.child.done:
		case <-ctx.Done():
			r.child.signal(syscall.SIGQUIT)
			r.child.wait(quitPatience)
		}
		if !s.running() && r.child.err == nil {
			return nil // it has waited for its children
		}
	}
	return s.kill()
}

func (s *Server) kill() error {
	if s.running() {
		r := s.current
		r.intended.Store(true)
		r.child.signal(syscall.SIGKILL)
		if !r.child.wait(killPatience) {
			return fmt.Errorf("kill PostgreSQL on %s: process %d does not end", s.dir, r.child.pid)
		}
	}
	return endSurvivors(s.data, killPatience)
}

func (s *Server) running() bool {
	if s.current == nil {
		return false
	}
	select {
	case <-s.current.exited:
		<-s.current.child.done // at once
		return false
	case <-s.current.child.done:
		return false
	default:
		return true
	}
}

// launchOnFreePort starts the server on a port that nobody uses. Between our
// looking and the server's listening another process may take the port: then
// the next one is tried.
func (s *Server) launchOnFreePort(ctx context.Context) error {
	var err error
	for range portAttempts {
		if s.port, err = freePort(); err != nil {
			return err
		}
		err = s.launch(ctx)
		if err == nil || ctx.Err() != nil || portIsFree(s.port) {
			return err
		}
	}
	return err
}

// launch starts the server on s.port and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	log, err := openLog(filepath.Join(s.dir, "postgres.log"))
	if err != nil {
		return err
	}
	defer log.file.Close()
	r := &run{program: s.server(log.file), log: log, exited: s.exitedOrNew()}
	c, err := r.program.start(func() {
		if !r.intended.Load() {
			close(r.exited)
		}
	})
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	r.child = c
	s.state.Lock()
	s.current, s.exited = r, r.exited
	s.state.Unlock()
	if err := s.awaitReady(ctx, r); err != nil {
		r.intended.Store(true)
		over, cancel := context.WithCancel(ctx)
		cancel() // the server is of no use: an immediate shutdown
		return errors.Join(err, s.shutDown(over))
	}
	return nil
}

func (s *Server) server(output *os.File) program {
	return program{
		path:   s.installation.program("postgres"),
		args:   s.arguments(),
		output: output,
		as:     s.as,
		// It asks for a fast shutdown: the next start need not recover.
		deathSignal: syscall.SIGINT,
		touches:     []string{s.data},
	}
}

// exitedOrNew returns the channel for a new run's end by itself.
func (s *Server) exitedOrNew() chan struct{} {
	s.state.Lock()
	defer s.state.Unlock()
	select {
	case <-s.exited:
		return make(chan struct{})
	default:
		return s.exited
	}
}

// arguments are the server's settings. They are given on the command line and
// not in a file: nothing in the folder has to be kept in step with the program.
func (s *Server) arguments() []string {
	settings := map[string]string{
		"max_connections":   "200",
		"shared_buffers":    "128MB",
		"timezone":          "UTC",
		"log_timezone":      "UTC",
		"log_destination":   "stderr",
		"logging_collector": "off",
		"log_line_prefix":   "%m [%p] %q%u@%d ",
		"log_checkpoints":   "off",
	}
	maps.Copy(settings, s.settings)
	settings["listen_addresses"] = "127.0.0.1"
	settings["port"] = strconv.Itoa(s.port)
	settings["unix_socket_directories"] = ""
	settings["cluster_name"] = clusterName(s.data)
	args := []string{"-D", s.data}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// freePort finds a port on which nobody listens. It is chosen below the range
// from which systems take ports for outgoing connections (32768 and up on
// Linux, 49152 elsewhere): while a killed server is down, no client's connection
// attempt can occupy its port.
func freePort() (int, error) {
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		if portIsFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("find a port for PostgreSQL: 1000 random ports of 127.0.0.1 are all taken")
}

func portIsFree(port int) bool {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return false
	}
	return l.Close() == nil
}
