package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"foof/events"
	"foof/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

// onlooker follows a crew's log, whatever happens to its connections, and notes down what it sees.
type onlooker struct {
	name   string
	from   events.Position
	result <-chan onlook
}

type onlook struct {
	seen   []events.Recorded
	errors int // of subscriptions that broke off
	err    error
}

func goLookOn(ctx context.Context, t *testing.T, name string, log *Log, from events.Position, limit int) onlooker {
	t.Helper()
	result := make(chan onlook, 1)
	go func() { result <- lookOn(ctx, log, from, limit) }()
	return onlooker{name, from, result}
}

func lookOn(ctx context.Context, log *Log, position events.Position, limit int) (o onlook) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		for page, err := range log.Subscribe(ctx, position, limit) {
			if err != nil {
				o.errors++
				break
			}
			o.seen = append(o.seen, page...)
			last := page[len(page)-1]
			if position = last.Position; last.Stream == "last" {
				return o
			}
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			o.err = fmt.Errorf("looked on up to %d: %w", position, ctx.Err())
			return o
		}
	}
}

func (o onlooker) verify(t *testing.T, stored []events.Recorded) {
	t.Helper()
	got := <-o.result
	if got.err != nil {
		t.Errorf("%s: %v", o.name, got.err)
	}
	t.Logf("%s saw %d events from %d on, in %d subscriptions", o.name, len(got.seen), o.from, got.errors+1)
	sameEvents(t, o.name, got.seen, stored[o.from:])
}

// scene is a log with a crew at work on it through two processes' Logs, and onlookers in each.
type scene struct {
	*database

	crew      *crew
	chance    *rand.Rand
	onlookers []onlooker
}

// play has a crew work for as long as trouble is made for it, and checks what comes of it.
func play(t *testing.T, d *database, makeTrouble func(ctx context.Context, s *scene) error) {
	t.Helper()
	const appenders = 64
	var (
		seed     = newSeed(t)
		logs     = []*Log{Open(d.service(t)), Open(d.service(t))}
		s        = &scene{database: d, crew: newCrew(seed, logs...), chance: rand.New(rand.NewPCG(seed, seed))}
		over     = make(chan struct{})
		ctx, end = context.WithTimeout(t.Context(), 3*time.Minute)
	)
	defer end()
	for i, log := range logs {
		start(t, log)
		s.onlookers = append(s.onlookers, goLookOn(ctx, t, fmt.Sprintf("who was in process %d from the start", i), log, 0, 1+s.chance.IntN(200)))
	}
	go func() {
		defer close(over)
		if err := makeTrouble(ctx, s); err != nil {
			t.Error(err)
		}
	}()
	s.crew.work(ctx, appenders, func() bool {
		select {
		case <-over:
			return false
		default:
			return true
		}
	})
	<-over
	appendLast(t, logs[0])

	stored := everything(t, Open(d.service(t)))
	s.crew.verify(t, stored)
	for _, o := range s.onlookers {
		o.verify(t, stored)
	}
}

// join has an onlooker join in each process, from a checkpoint.
func (s *scene) join(ctx context.Context, t *testing.T) {
	t.Helper()
	checkpoint := s.crew.newest()
	for i, log := range s.crew.logs {
		name := fmt.Sprintf("who joined in process %d midway", i)
		s.onlookers = append(s.onlookers, goLookOn(ctx, t, name, log, checkpoint, 1+s.chance.IntN(200)))
	}
}

// Two processes, 64 appenders, streams of their own and shared ones, little patience, and connections that are killed.
func TestRace(t *testing.T) {
	t.Parallel()
	play(t, newDatabase(t), func(ctx context.Context, s *scene) error {
		const kills = 40
		for i := range kills {
			if err := s.crew.await(ctx, 5+s.chance.IntN(70)); err != nil {
				return err
			}
			if i == kills/2 {
				s.join(ctx, t)
			}
			if err := s.killConnection(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// killConnection ends one of the service's connections, whatever it is doing.
func (s *scene) killConnection(ctx context.Context) error {
	const sql = `select pid from pg_stat_activity where datname = current_database() and application_name = $1 order by pid`
	rows, err := s.owner.Query(ctx, sql, serviceName)
	if err != nil {
		return fmt.Errorf("find connections: %w", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil || len(pids) == 0 {
		return fmt.Errorf("find connections among %v: %w", pids, err)
	}
	if _, err := s.owner.Exec(ctx, `select pg_terminate_backend($1)`, pids[s.chance.IntN(len(pids))]); err != nil {
		return fmt.Errorf("kill a connection: %w", err)
	}
	return nil
}

// PostgreSQL, set as in production, is killed and started again, 20 times.
func TestPostgreSQLIsKilled(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"})
	if err := migrate(patience(t), server.DSN("")); err != nil {
		t.Fatal(err)
	}
	play(t, databaseAt(t, server.DSN("")), func(ctx context.Context, s *scene) error {
		const kills = 20
		for i := range kills {
			if err := s.crew.await(ctx, 1+s.chance.IntN(150)); err != nil {
				return err
			}
			if i == kills/2 {
				s.join(ctx, t)
			}
			if err := errors.Join(server.Kill(), server.Restart(ctx)); err != nil {
				return fmt.Errorf("kill number %d: %w", i+1, err)
			}
		}
		return nil
	})
}
