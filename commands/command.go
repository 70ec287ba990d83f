// Package commands is what people can do. Each command is a struct with a pure Decide: given the state that the events so
// far add up to, it says which events follow, or why not. No I/O, no clock and no randomness in it: the time, new numbers
// and what the vault knows come in the command's fields.
package commands

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"foof/events"
	"foof/events/store"
	"foof/internal/fault"

	"github.com/google/uuid"
)

// State is what the events of the streams that a command reads add up to. Evolve does not fail and ignores what it does not
// know: a fact is a fact.
type State[S any] interface {
	Evolve(e events.Event) S
}

// A Command decides over the state S of some streams.
type Command[S any] interface {
	// Streams are those that the decision depends on.
	Streams() []string
	// Decide returns the events that follow, none if there is nothing to change, or a fault that says why not. A refusal may
	// be worth remembering: events beside a fault are appended, and then the fault is the answer. Events go to the streams
	// that were read, or to streams that must be new.
	Decide(state S) ([]events.Event, error)
}

// Log is what commands need of the log.
type Log interface {
	Load(ctx context.Context, streams ...string) ([]events.Recorded, error)
	Append(ctx context.Context, a store.Append) (store.Receipt, error)
}

// Engine carries commands out.
type Engine struct {
	// Trace, unless it is nil, is called when a command begins, with the command's name, and what it returns when the command
	// has ended. The command goes on under the context that it returns. Set before first use.
	Trace func(ctx context.Context, command string) (context.Context, func(error))

	log   Log
	codec *events.Codec
	turns [turns]chan struct{}
}

// turns is how many commands an engine carries out at once at most. Those that share a turn wait for each other.
const turns = 4096

// NewEngine makes an engine over a log and the codec for its events.
func NewEngine(log Log, codec *events.Codec) *Engine {
	e := &Engine{log: log, codec: codec}
	for i := range e.turns {
		e.turns[i] = make(chan struct{}, 1)
	}
	return e
}

// turn lets the commands of this process over one stream go one after the other. They would be right without it, as those of
// several processes are, but each round of conflicts would let one of them through and have all others decide anew.
func (e *Engine) turn(ctx context.Context, streams []string) (done func(), err error) {
	if len(streams) == 0 {
		return func() {}, nil
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(streams[0]))
	mine := e.turns[hash.Sum32()%turns]
	select {
	case mine <- struct{}{}:
		return func() { <-mine }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Origin says on whose behalf a command is carried out.
type Origin struct {
	Actor       events.UserID // 0: nobody who is logged in
	Correlation string        // the id of the request
}

// attempts is how often a command is decided anew because somebody else was faster. Each time somebody was, so it takes
// that many others at once, on the same stream, to use them up.
const attempts = 100

// Execute carries a command out: it loads its streams, folds them, lets the command decide and appends what follows, and
// starts over where another command came in between. The receipt is that of what was decided, which is durable then; where
// nothing was to be changed, or the command refused, it is that of the newest event that this was decided on, and zero if there
// was none. Errors are the command's own faults, a fault of kind Unavailable if the log cannot be reached or stays contended,
// or the context's.
func Execute[S State[S]](ctx context.Context, e *Engine, from Origin, c Command[S]) (receipt store.Receipt, err error) {
	if e.Trace != nil {
		var ended func(error)
		ctx, ended = e.Trace(ctx, strings.TrimPrefix(fmt.Sprintf("%T", c), "commands."))
		defer func() { ended(err) }()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.Receipt{}, fmt.Errorf("draw a command id: %w", err)
	}
	done, err := e.turn(ctx, c.Streams())
	if err != nil {
		return store.Receipt{}, fmt.Errorf("%T: %w", c, err)
	}
	defer done()
	for range attempts {
		receipt, verdict, err := attempt(ctx, e, from, id, c)
		var conflict *store.ConflictError
		switch {
		case errors.As(err, &conflict):
			continue
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrInDoubt), errors.Is(err, store.ErrClosed):
			return store.Receipt{}, fault.Unavailable(err)
		case err != nil:
			return store.Receipt{}, fmt.Errorf("%T: %w", c, err)
		}
		return receipt, verdict
	}
	return store.Receipt{}, fault.Unavailable(fmt.Errorf("%T: %v are contended", c, c.Streams()))
}

// attempt goes the way once. verdict is what the command itself says, err what got in its way.
func attempt[S State[S]](ctx context.Context, e *Engine, from Origin, id uuid.UUID, c Command[S]) (r store.Receipt, verdict, err error) {
	streams := c.Streams()
	history, err := e.log.Load(ctx, streams...)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if err != nil {
		return r, nil, err
	}
	if err := e.codec.Decode(ctx, history); err != nil {
		return r, nil, err
	}
	var state S
	expect := make(map[string]events.Version, len(streams)+1)
	for _, stream := range streams {
		expect[stream] = 0
	}
	for _, recorded := range history {
		state = state.Evolve(recorded.Event)
		expect[recorded.Stream] = recorded.Version
	}

	facts, verdict := c.Decide(state)
	if len(facts) == 0 {
		if n := len(history); n > 0 {
			r = store.Receipt{Position: history[n-1].Position, Version: history[n-1].Version}
		}
		return r, verdict, nil
	}
	encoded, err := e.codec.Encode(ctx, facts)
	if err != nil {
		return r, nil, err
	}
	for _, fact := range encoded {
		if _, read := expect[fact.Stream]; !read {
			expect[fact.Stream] = 0
		}
	}
	r, err = e.log.Append(ctx, store.Append{
		Command: id, Expect: expect, Events: encoded,
		Meta: events.Metadata{Actor: from.Actor, Command: id.String(), Correlation: from.Correlation},
	})
	return r, verdict, err
}
