package projections

import (
	"context"
	"fmt"
	"sync"
	"time"

	"foof/events"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Progress knows how far readers of the log have come, read models above all, so that who has just written something can wait
// until it shows. In the process that projects it learns of each step at once; elsewhere it asks the checkpoints. It is safe
// for concurrent use.
type Progress struct {
	pool *pgxpool.Pool

	mu      sync.Mutex
	reached map[string]events.Position
	owned   map[string]bool
	changed chan struct{} // closed when something moved
}

// NewProgress makes a Progress over the readers of the log by these names.
func NewProgress(pool *pgxpool.Pool, readers ...string) *Progress {
	p := &Progress{
		pool: pool, reached: map[string]events.Position{}, owned: map[string]bool{}, changed: make(chan struct{}),
	}
	for _, reader := range readers {
		p.reached[reader] = 0
	}
	return p
}

// Looks at the checkpoints, while waiting: the first comes at once where others project, and late where a signal should have
// come long before.
const (
	lookSoon = 2 * time.Millisecond
	lookLate = 50 * time.Millisecond
	lookMost = 50 * time.Millisecond
)

// Await returns once every reader has done everything up to position, or with the error of ctx. What is parked does not
// keep anyone waiting.
func (p *Progress) Await(ctx context.Context, position events.Position) error {
	pause := time.Duration(0)
	for {
		least, owned, changed := p.state()
		if least >= position {
			return nil
		}
		switch {
		case pause > 0:
			pause = min(2*pause, lookMost)
		case owned:
			pause = lookLate
		default:
			pause = lookSoon
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
			timer.Stop()
			pause = 0
		case <-timer.C:
			if err := p.look(ctx); err != nil {
				return fmt.Errorf("await position %d: %w", position, err)
			}
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("await position %d: readers are at %d: %w", position, least, ctx.Err())
		}
	}
}

func (p *Progress) state() (least events.Position, owned bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	owned, least = true, -1
	for name, position := range p.reached {
		if least < 0 || position < least {
			least = position
		}
		owned = owned && p.owned[name]
	}
	return least, owned, p.changed
}

func (p *Progress) look(ctx context.Context) error {
	rows, err := p.pool.Query(ctx, `select reader, position from checkpoints`)
	if err != nil {
		return err
	}
	var (
		name     string
		position events.Position
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &position}, func() error {
		p.advance(name, position)
		return nil
	})
	return err
}

// advance notes a checkpoint. Those of readers that are none of ours are passed over.
func (p *Progress) advance(name string, position events.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, ok := p.reached[name]; !ok || position <= before {
		return
	}
	p.reached[name] = position
	p.wake()
}

// own notes that this process projects, from its checkpoint on. That may be behind what was reached before a crash.
func (p *Progress) own(name string, checkpoint events.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned[name], p.reached[name] = true, checkpoint
	p.wake()
}

func (p *Progress) disown(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned[name] = false
}

func (p *Progress) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}
