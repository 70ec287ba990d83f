package commands

import (
	"context"
	"hash/maphash"
)

// Turns lets those who are after the same thing go one after the other, within this process. Who is after different things may
// now and then share a turn, too; nobody may take a second one while holding one. It is safe for concurrent use.
type Turns struct {
	seed  maphash.Seed
	slots []chan struct{}
}

// NewTurns makes turns for any number of things.
func NewTurns() Turns {
	const slots = 4096 // at once at most
	t := Turns{seed: maphash.MakeSeed(), slots: make([]chan struct{}, slots)}
	for i := range t.slots {
		t.slots[i] = make(chan struct{}, 1)
	}
	return t
}

// Take waits for the turn of a thing, and returns what ends it. The error is that of ctx.
func (t Turns) Take(ctx context.Context, thing string) (done func(), err error) {
	slot := t.slots[maphash.String(t.seed, thing)%uint64(len(t.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
