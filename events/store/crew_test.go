package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"foof/events"

	"github.com/google/uuid"
)

// crew is a number of appenders at work on the same log through several Logs, who note down what they are told.
type crew struct {
	logs   []*Log
	seed   uint64
	shared []string // streams that all of them append to

	mu           sync.Mutex
	notes        []note
	acknowledged int
	moved        chan struct{} // closed when acknowledged is
}

// note is what came of one append.
type note struct {
	Append

	receipt Receipt
	outcome result
	tries   int
}

type result string

const (
	isIn    result = "acknowledged"
	isOut   result = "refused"
	inDoubt result = "in doubt" // and its appender did not ask again
)

func newCrew(seed uint64, logs ...*Log) *crew {
	return &crew{logs: logs, seed: seed, shared: []string{"shared-0", "shared-1", "shared-2", "shared-3"}, moved: make(chan struct{})}
}

// work has n appenders append, one after the other, while there is more to do.
func (c *crew) work(ctx context.Context, n int, more func() bool) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			a := &appender{crew: c, own: fmt.Sprintf("own-%d", i), chance: rand.New(rand.NewPCG(c.seed, uint64(i)))}
			for more() && ctx.Err() == nil {
				a.appendOnce(ctx)
			}
		})
	}
	all.Wait()
}

func (c *crew) note(n note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, n)
	if n.outcome == isIn {
		c.acknowledged++
		close(c.moved)
		c.moved = make(chan struct{})
	}
}

// await waits until so many more appends were acknowledged.
func (c *crew) await(ctx context.Context, count int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for count += c.acknowledged; c.acknowledged < count; {
		moved := c.moved
		c.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return fmt.Errorf("%d appends of %d were acknowledged: %w", c.acknowledged, count, ctx.Err())
		}
	}
	return nil
}

// newest is the highest position that was acknowledged.
func (c *crew) newest() (position events.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.notes {
		position = max(position, n.receipt.Position)
	}
	return position
}

// appender is one of a crew. All its choices come from chance.
type appender struct {
	*crew

	own    string
	chance *rand.Rand
}

func (a *appender) log() *Log { return a.logs[a.chance.IntN(len(a.logs))] }

// appendOnce does what a command does: looks at its streams, appends, and asks again as long as it is in doubt, or not.
func (a *appender) appendOnce(ctx context.Context) {
	streams := []string{a.own}
	switch a.chance.IntN(4) {
	case 0:
		streams = []string{a.shared[a.chance.IntN(len(a.shared))]}
	case 1:
		streams = append(streams, a.shared[a.chance.IntN(len(a.shared))])
	}
	expect, err := a.look(ctx, streams)
	if err != nil {
		a.pause(ctx)
		return
	}
	n := note{Append: command(expect)}
	for k := range 1 + a.chance.IntN(3) {
		n.Events = append(n.Events, fact(streams[k%len(streams)], fmt.Sprintf(`{"of": %q, "n": %d}`, n.Command, k)))
	}
	for n.outcome == "" {
		n.tries++
		n.receipt, n.outcome = a.try(ctx, n)
	}
	a.note(n)
}

// look finds out the versions of streams, or is mistaken about them.
func (a *appender) look(ctx context.Context, streams []string) (at, error) {
	expect := at{}
	for _, stream := range streams {
		expect[stream] = 0
	}
	if a.chance.IntN(20) == 0 {
		return expect, nil
	}
	page, err := a.log().Load(ctx, streams...)
	for _, r := range page {
		expect[r.Stream] = r.Version
	}
	return expect, err
}

// try hands the append in, now and then with little patience. Without an outcome, it is worth another try.
func (a *appender) try(ctx context.Context, n note) (Receipt, result) {
	if a.chance.IntN(8) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.chance.IntN(2000))*time.Microsecond)
		defer cancel()
	}
	receipt, err := a.log().Append(ctx, n.Append)
	var conflict *ConflictError
	switch {
	case err == nil:
		return receipt, isIn
	case errors.As(err, &conflict):
		return Receipt{}, isOut
	case !errors.Is(err, ErrInDoubt) && !errors.Is(err, ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
		return Receipt{}, result(err.Error())
	case n.tries == 1 && !errors.Is(err, ErrInDoubt) && a.chance.IntN(2) == 0:
		return Receipt{}, isOut // this one try was refused, and there was no other
	case a.chance.IntN(8) == 0:
		return Receipt{}, inDoubt
	default:
		a.pause(ctx)
		return Receipt{}, ""
	}
}

// pause is for a database that is away.
func (a *appender) pause(ctx context.Context) {
	timer := time.NewTimer(time.Duration(1+a.chance.IntN(20)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// verify compares what the appenders were told with what is in the log: what was acknowledged is there once and whole, where
// the receipt says; what was refused is not; what is in doubt is there once and whole, or not.
func (c *crew) verify(t *testing.T, stored []events.Recorded) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	appended := map[string][]events.Recorded{}
	for _, r := range stored {
		m, err := r.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		appended[m.Command] = append(appended[m.Command], r)
	}
	outcomes, again := map[result]int{isIn: 0, isOut: 0, inDoubt: 0}, 0
	for _, n := range c.notes {
		outcomes[n.outcome]++
		if n.outcome == isIn && (n.tries > 1 || n.receipt.Repeated) {
			again++
		}
		got := appended[n.Command.String()]
		delete(appended, n.Command.String())
		switch {
		case n.outcome == isIn && len(got) == 0:
			t.Errorf("acknowledged at %d after %d tries, and lost: %v", n.receipt.Position, n.tries, n.Append)
		case n.outcome == isOut && len(got) > 0:
			t.Errorf("refused after %d tries, and in the log at %d: %v", n.tries, got[0].Position, n.Append)
		case len(got) == 0:
			continue
		}
		if !n.is(got) {
			t.Errorf("%s after %d tries, and in the log otherwise: %v", n.outcome, n.tries, n.Append)
		}
		if last := got[len(got)-1]; n.outcome == isIn && (n.receipt.Position != last.Position || n.receipt.Version != last.Version) {
			t.Errorf("the receipt says %+v, and the event is %s", n.receipt, show(last))
		}
	}
	for id, got := range appended {
		if id != lastOfAll.String() {
			t.Errorf("nobody appended %s", show(got[0]))
		}
	}
	t.Logf("%d events, %d appends: %v, %d of them only when tried again", len(stored), len(c.notes), outcomes, again)
	if len(outcomes) > 3 || outcomes[isIn] == 0 || outcomes[isOut] == 0 {
		t.Errorf("appends came to these ends: %v", outcomes)
	}
}

// is tells whether these are the append's events, all of them, in order, in one place.
func (n *note) is(got []events.Recorded) bool {
	if len(got) != len(n.Events) {
		return false
	}
	versions := at{}
	for i, e := range n.Events {
		versions[e.Stream]++
		want := events.Recorded{
			Position: got[0].Position + events.Position(i), Stream: e.Stream, Version: n.Expect[e.Stream] + versions[e.Stream],
			Type: e.Type, Schema: e.Schema, Data: e.Data, Meta: got[i].Meta, At: got[0].At,
		}
		if !sameEvent(got[i], want) {
			return false
		}
	}
	return true
}

// lastOfAll is the command of an append after which there is none: subscribers of a crew's log read up to it.
var lastOfAll = uuid.MustParse("ffffffff-ffff-4fff-bfff-ffffffffffff")

func appendLast(t *testing.T, log *Log) {
	t.Helper()
	last := next("last", 0)
	last.Command, last.Meta.Command = lastOfAll, lastOfAll.String()
	mustAppend(t, log, last)
}
