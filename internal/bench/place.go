package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"foof/internal/localpg"
	"foof/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// place is the database that is measured on: ours alone, with the log in it and a twin of its table for bare SQL.
type place struct {
	server *localpg.Server // nil if it is somebody else's
	folder string
	url    string // of the database beside which ours was made
	name   string
	owner  *pgx.Conn     // for what the service must not do
	pool   *pgxpool.Pool // the service's, and that of the bare SQL: both act as the role foof_service
	facts  Server
}

// The twin has the columns, checks and indexes of events, and no triggers. Its positions are a sequence's.
const twin = `
	create table bench_events (like events including all);
	create sequence bench_positions;
	alter table bench_events alter column position set default nextval('bench_positions');
	grant select, insert on bench_events to foof_service;
	grant usage on sequence bench_positions to foof_service`

// openPlace makes the database, and the server if there is none. A place that was not opened leaves nothing behind.
func openPlace(ctx context.Context, url string, progress func(string)) (at *place, err error) {
	at = &place{url: url}
	defer func() {
		if err != nil {
			err = errors.Join(err, at.close(ctx))
		}
	}()
	if url == "" {
		if err := at.startServer(ctx, progress); err != nil {
			return nil, err
		}
	}
	if err := at.create(ctx); err != nil {
		return nil, fmt.Errorf("make a database to measure on: %w", err)
	}
	if at.facts, err = serverFacts(ctx, at.owner, at.folder); err != nil {
		return nil, err
	}
	for _, warning := range at.facts.Warnings {
		progress("WARNING: " + warning)
	}
	return at, nil
}

func (at *place) startServer(ctx context.Context, progress func(string)) error {
	var err error
	if at.folder, err = os.MkdirTemp("", "foof-bench-*"); err != nil {
		return fmt.Errorf("folder to measure in: %w", err)
	}
	if err := os.Chmod(at.folder, 0o711); err != nil { //nolint:gosec // run by root, the server is another user's and passes through
		return fmt.Errorf("folder to measure in: %w", err)
	}
	progress("starting a PostgreSQL of our own in " + at.folder)
	at.server, err = localpg.Start(ctx, localpg.Options{Dir: filepath.Join(at.folder, "server"), Progress: progress})
	if err != nil {
		return err
	}
	at.url = at.server.DSN("")
	return nil
}

func (at *place) create(ctx context.Context) error {
	name := "foof_bench_" + strings.ToLower(rand.Text())
	if err := at.beside(ctx, "create database "+name); err != nil {
		return err
	}
	at.name = name
	config, err := pgxpool.ParseConfig(at.url)
	if err != nil {
		return err
	}
	config.ConnConfig.Database = name
	if at.owner, err = pgx.ConnectConfig(ctx, config.ConnConfig.Copy()); err != nil {
		return err
	}
	if err := migrations.Up(ctx, at.owner, func(string) {}); err != nil {
		return err
	}
	if _, err := at.owner.Exec(ctx, twin); err != nil {
		return fmt.Errorf("make the twin of the log's table: %w", err)
	}
	config.ConnConfig.RuntimeParams["role"] = "foof_service"
	config.MaxConns = insertClients[len(insertClients)-1] + 4
	at.pool, err = pgxpool.NewWithConfig(ctx, config)
	return err
}

// beside runs a statement in the database that was there before ours.
func (at *place) beside(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, at.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// empty takes all events out of both tables, which only a throw-away database's owner may do, and begins a new checkpoint:
// measurements follow each other and shall not feel it.
func (at *place) empty(ctx context.Context) error {
	const sql = `
		alter table events disable trigger append_only;
		truncate events, bench_events;
		alter table events enable trigger append_only;
		update log_head set position = 0, recorded_at = 'epoch'`
	if _, err := at.owner.Exec(ctx, sql); err != nil {
		return fmt.Errorf("empty the log: %w", err)
	}
	return at.checkpoint(ctx)
}

func (at *place) checkpoint(ctx context.Context) error {
	_, err := at.owner.Exec(ctx, `checkpoint`)
	if refusal := (*pgconn.PgError)(nil); errors.As(err, &refusal) && refusal.Code == "42501" {
		return nil // not allowed to everybody, and not needed
	}
	return err
}

// close takes back what openPlace made, also after ctx has ended.
func (at *place) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if at.pool != nil {
		at.pool.Close()
	}
	if at.owner != nil {
		_ = at.owner.Close(ctx)
	}
	var errs []error
	if at.name != "" && at.folder == "" {
		if err := at.beside(ctx, "drop database if exists "+at.name+" with (force)"); err != nil {
			errs = append(errs, fmt.Errorf("drop %s, the database that was measured on: %w", at.name, err))
		}
	}
	if at.server != nil {
		errs = append(errs, at.server.Stop(ctx))
	}
	if at.folder != "" {
		errs = append(errs, os.RemoveAll(at.folder))
	}
	return errors.Join(errs...)
}

func machine() Machine {
	return Machine{CPU: cpu(), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
}

// cpu is the processor's name where the system tells it as Linux does.
func cpu() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// slowest sync of a memory file system, and quickest of anything that keeps its data.
const syncFloor = 20 * time.Microsecond

func serverFacts(ctx context.Context, conn *pgx.Conn, folder string) (Server, error) {
	const sql = `
		select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
		       current_setting('full_page_writes'), current_setting('wal_sync_method'), current_setting('shared_buffers')`
	var f Server
	err := conn.QueryRow(ctx, sql).
		Scan(&f.PostgreSQL, &f.Fsync, &f.SynchronousCommit, &f.FullPageWrites, &f.WALSyncMethod, &f.SharedBuffers)
	if err != nil {
		return Server{}, fmt.Errorf("read the server's settings: %w", err)
	}
	if f.Fsync != "on" || f.SynchronousCommit == "off" {
		f.Warnings = append(f.Warnings, fmt.Sprintf(
			"this server is not durable (fsync %s, synchronous_commit %s): the figures are not those of production",
			f.Fsync, f.SynchronousCommit))
	}
	if folder == "" {
		return f, nil
	}
	sync, err := syncTime(folder)
	if err != nil {
		return Server{}, err
	}
	f.SyncMillis = millis(sync)
	if sync < syncFloor {
		f.Warnings = append(f.Warnings, fmt.Sprintf(
			"%s is not on a disk (a sync takes %v): set TMPDIR to a folder that is", folder, sync))
	}
	return f, nil
}

// syncTime is how long this folder's disk takes to make 8 kB durable: what a commit takes at least.
func syncTime(folder string) (time.Duration, error) {
	file, err := os.CreateTemp(folder, "sync-*")
	if err != nil {
		return 0, fmt.Errorf("time the disk: %w", err)
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }()
	took := make([]time.Duration, 65)
	block := make([]byte, 8192)
	for i := range took {
		begin := time.Now()
		_, err := file.WriteAt(block, 0)
		if err = cmp.Or(err, file.Sync()); err != nil {
			return 0, fmt.Errorf("time the disk: %w", err)
		}
		took[i] = time.Since(begin)
	}
	return percentile(took, 50), nil
}
