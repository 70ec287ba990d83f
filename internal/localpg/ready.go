package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	logLimit    = 8 << 20  // a longer log is begun anew at the next start
	tailLimit   = 16 << 10 // how much of its end is looked at
	tailLines   = 15       // how many lines an error quotes
	answerLimit = 5 * time.Second
	badPassword = "28P01" // SQLSTATE invalid_password
)

// awaitReady returns when the server answers a connection of ours.
func (s *Server) awaitReady(ctx context.Context, r *run) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-r.child.done:
			return fmt.Errorf("PostgreSQL ended while it started: %w%s", r.failure(), r.program.hint())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer in time: %w; %s", errors.Join(ctx.Err(), last), r.log.tail())
		case <-tick.C:
		}
		if !s.saysReady(r.child.pid) {
			continue
		}
		if last = s.ping(ctx); last == nil {
			return nil
		}
		var refused *pgconn.PgError
		if errors.As(last, &refused) && refused.Code == badPassword {
			return fmt.Errorf("the password in %s is not that of the cluster: %w", s.passwordFile(), last)
		}
	}
}

// saysReady tells whether our server, and not another that got the port before
// it, has written that it is ready.
func (s *Server) saysReady(pid int) bool {
	lines := postmasterFile(s.data)
	return len(lines) > statusLine &&
		lines[0] == strconv.Itoa(pid) &&
		lines[portLine] == strconv.Itoa(s.port) &&
		lines[statusLine] == "ready"
}

func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

// serverLog is the server's log file, from where a run began.
type serverLog struct {
	file *os.File
	path string
	from int64
}

func openLog(path string) (serverLog, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return serverLog{}, fmt.Errorf("open the log of PostgreSQL: %w", err)
	}
	from, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return serverLog{}, fmt.Errorf("open the log of PostgreSQL: %w", errors.Join(err, file.Close()))
	}
	return serverLog{file: file, path: path, from: from}, nil
}

// tail quotes the last lines that were logged since the run began.
func (l serverLog) tail() string {
	file, err := os.Open(l.path)
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	defer file.Close()
	from := l.from
	if info, err := file.Stat(); err == nil {
		from = max(from, info.Size()-tailLimit)
	}
	content, err := io.ReadAll(io.NewSectionReader(file, from, tailLimit))
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "it logged nothing in " + l.path
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return fmt.Sprintf("the last lines of %s:\n%s", l.path, strings.Join(lines, "\n"))
}
