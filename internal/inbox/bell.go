package inbox

import (
	"errors"
	"sync"

	"foof/events"
)

// Bell tells those who wait for messages that there are some. It does not say which: who is told asks the read model, so that
// nothing gathers for those who are slow. It is safe for concurrent use.
type Bell struct {
	most int // waiting for one user

	mu      sync.Mutex
	waiting map[events.UserID]map[*Wait]bool
	closed  bool
}

// NewBell makes one at which at most so many may wait for the messages of one user.
func NewBell(most int) *Bell {
	return &Bell{most: most, waiting: map[events.UserID]map[*Wait]bool{}}
}

// Wait is one who waits.
type Wait struct {
	// Rung has a value when there may be something at or before Position that was not there before, and is closed when there
	// will be no more.
	Rung <-chan struct{}

	rung     chan struct{} // room for one
	bell     *Bell
	user     events.UserID
	position events.Position
}

// Errors of waiting.
var (
	ErrTooMany = errors.New("too many wait for this user's messages")
	ErrClosed  = errors.New("the bell is closed")
)

// Wait begins to wait for messages to a user, and ends with Stop.
func (b *Bell) Wait(user events.UserID) (*Wait, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, ErrClosed
	case len(b.waiting[user]) >= b.most:
		return nil, ErrTooMany
	case b.waiting[user] == nil:
		b.waiting[user] = map[*Wait]bool{}
	}
	rung := make(chan struct{}, 1)
	w := &Wait{Rung: rung, rung: rung, bell: b, user: user}
	b.waiting[user][w] = true
	return w, nil
}

// Position is that of the newest message that was rung for.
func (w *Wait) Position() events.Position {
	w.bell.mu.Lock()
	defer w.bell.mu.Unlock()
	return w.position
}

// Stop ends the waiting. It may be repeated.
func (w *Wait) Stop() {
	w.bell.mu.Lock()
	defer w.bell.mu.Unlock()
	delete(w.bell.waiting[w.user], w)
	if len(w.bell.waiting[w.user]) == 0 {
		delete(w.bell.waiting, w.user)
	}
}

// Ring tells all who wait for messages to a user that one is in the log at a position.
func (b *Bell) Ring(user events.UserID, position events.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.waiting[user] {
		w.position = max(w.position, position)
		select {
		case w.rung <- struct{}{}:
		default: // it was rung, and nobody has looked yet
		}
	}
}

// Waiting is how many wait.
func (b *Bell) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, waits := range b.waiting {
		n += len(waits)
	}
	return n
}

// Close sends all home who wait, and those who come.
func (b *Bell) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	for _, waits := range b.waiting {
		for w := range waits {
			close(w.rung)
		}
	}
	clear(b.waiting)
}
