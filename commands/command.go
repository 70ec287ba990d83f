// Package commands is what people can do. Each command is a struct with a pure Decide: given the state that the events so
// far add up to, it says which events follow, or why not. No I/O, no clock and no randomness in it: the time, new numbers
// and what the vault knows come in the command's fields.
package commands

import (
	"context"
	"errors"
	"fmt"
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
	// be worth remembering: events beside a fault of kind Refused are appended, and then that is the answer. Events go to the
	// streams that were read, or to streams that must be new.
	Decide(state S) ([]events.Event, error)
}

// Log is what commands need of the log.
type Log interface {
	Load(ctx context.Context, streams ...string) ([]events.Recorded, error)
	Append(ctx context.Context, a store.Append) (store.Receipt, error)
	Appended(ctx context.Context, command uuid.UUID) ([]events.Recorded, error)
}

// Engine carries commands out.
type Engine struct {
	// Trace, unless it is nil, is called when a command begins, with the command's name, and what it returns when the command
	// has ended. The command goes on under the context that it returns. Set before first use.
	Trace func(ctx context.Context, command string) (context.Context, func(error))

	log   Log
	codec *events.Codec
	// The commands of this process over one stream go one after the other. They would be right without it, as those of several
	// processes are, but each round of conflicts would let one of them through and have all others decide anew.
	turns Turns
}

// NewEngine makes an engine over a log and the codec for its events.
func NewEngine(log Log, codec *events.Codec) *Engine {
	return &Engine{log: log, codec: codec, turns: NewTurns()}
}

// Origin says on whose behalf a command is carried out.
type Origin struct {
	Actor       events.UserID // 0: nobody who is logged in
	Correlation string        // the id of the request
	// Command identifies the command where it may come more than once; else it gets an id of its own. It is carried out once:
	// again, it has the outcome that it had.
	Command uuid.UUID
}

// attempts is how often a command is decided anew because somebody else was faster. Each time somebody was, so it takes
// that many others at once, on the same stream, to use them up.
const attempts = 100

// Execute carries a command out: it loads its streams, folds them, lets the command decide and appends what follows, and
// starts over where another command came in between. The facts are what was decided, which is durable then, and the receipt
// is theirs; where nothing was to be changed, or the command refused, it is that of the newest event that this was decided on,
// and zero if there was none. Errors are the command's own faults, a fault of kind Unavailable if the log cannot be reached or
// stays contended, or the context's.
func Execute[S State[S]](
	ctx context.Context, e *Engine, from Origin, c Command[S],
) (receipt store.Receipt, facts []events.Event, err error) {
	if e.Trace != nil {
		var ended func(error)
		ctx, ended = e.Trace(ctx, strings.TrimPrefix(fmt.Sprintf("%T", c), "commands."))
		defer func() { ended(err) }()
	}
	known := from.Command != uuid.Nil
	if !known {
		id, err := uuid.NewV7()
		if err != nil {
			return store.Receipt{}, nil, fmt.Errorf("draw a command id: %w", err)
		}
		from.Command = id
	}
	if streams := c.Streams(); len(streams) > 0 {
		done, err := e.turns.Take(ctx, streams[0])
		if err != nil {
			return store.Receipt{}, nil, fmt.Errorf("%T: %w", c, err)
		}
		defer done()
	}
	for range attempts {
		o, err := outcome{}, error(nil)
		if known {
			o, err = e.earlier(ctx, from.Command)
		}
		if err == nil && o.facts == nil {
			o, err = attempt(ctx, e, from, c)
		}
		if err == nil && o.receipt.Repeated { // somebody else was at the same command
			o, err = e.earlier(ctx, from.Command)
		}
		var conflict *store.ConflictError
		switch {
		case errors.As(err, &conflict):
			continue
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrInDoubt), errors.Is(err, store.ErrClosed):
			return store.Receipt{}, nil, fault.Unavailable(err)
		case err != nil:
			return store.Receipt{}, nil, fmt.Errorf("%T: %w", c, err)
		}
		return o.receipt, o.facts, o.verdict
	}
	return store.Receipt{}, nil, fault.Unavailable(fmt.Errorf("%T: %v are contended", c, c.Streams()))
}

// outcome is what became of a command. The verdict is its own: nil, or a fault.
type outcome struct {
	receipt store.Receipt
	facts   []events.Event
	verdict error
}

// attempt goes the way once. err is what got in its way.
func attempt[S State[S]](ctx context.Context, e *Engine, from Origin, c Command[S]) (o outcome, err error) {
	streams := c.Streams()
	state, history, err := load[S](ctx, e, streams...)
	if err != nil {
		return o, err
	}
	expect := make(map[string]events.Version, len(streams)+1)
	for _, stream := range streams {
		expect[stream] = 0
	}
	for _, recorded := range history {
		expect[recorded.Stream] = recorded.Version
	}

	o.facts, o.verdict = c.Decide(state)
	if len(o.facts) == 0 {
		if n := len(history); n > 0 {
			o.receipt = store.Receipt{Position: history[n-1].Position, Version: history[n-1].Version}
		}
		return o, nil
	}
	encoded, err := e.codec.Encode(ctx, o.facts)
	if err != nil {
		return o, err
	}
	for _, fact := range encoded {
		if _, read := expect[fact.Stream]; !read {
			expect[fact.Stream] = 0
		}
	}
	meta := events.Metadata{Actor: from.Actor, Command: from.Command.String(), Correlation: from.Correlation}
	if o.verdict != nil {
		meta.Refused = fault.Of(o.verdict).Info
	}
	o.receipt, err = e.log.Append(ctx, store.Append{Command: from.Command, Expect: expect, Events: encoded, Meta: meta})
	return o, err
}

// load folds some streams.
func load[S State[S]](ctx context.Context, e *Engine, streams ...string) (state S, history []events.Recorded, err error) {
	history, err = e.log.Load(ctx, streams...)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if err != nil {
		return state, nil, err
	}
	if err := e.codec.Decode(ctx, history); err != nil {
		return state, nil, err
	}
	for _, recorded := range history {
		state = state.Evolve(recorded.Event)
	}
	return state, history, nil
}

// earlier is what has become of a command already, and has no facts if nothing has.
func (e *Engine) earlier(ctx context.Context, command uuid.UUID) (o outcome, err error) {
	past, err := e.log.Appended(ctx, command)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if err != nil || len(past) == 0 {
		return o, err
	}
	if err := e.codec.Decode(ctx, past); err != nil {
		return o, err
	}
	for _, recorded := range past {
		o.facts = append(o.facts, recorded.Event)
	}
	last := past[len(past)-1]
	o.receipt = store.Receipt{Position: last.Position, Version: last.Version, Repeated: true}
	meta, err := last.Metadata()
	if err == nil && meta.Refused != "" {
		o.verdict = fault.Refused(meta.Refused)
	}
	return o, err
}
