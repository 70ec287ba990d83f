package sms

import (
	"context"
	"slices"
	"sync"
)

// Outbox keeps messages in memory instead of sending them, the newest thousand. It is safe for concurrent use.
type Outbox struct {
	mu   sync.Mutex
	sent []Message
}

const outboxSize = 1000

// Send keeps the message.
func (o *Outbox) Send(_ context.Context, m Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == outboxSize {
		o.sent = slices.Delete(o.sent, 0, 1)
	}
	o.sent = append(o.sent, m)
	return nil
}

// Messages returns what was sent to a number, or everything for "", newest first.
func (o *Outbox) Messages(to string) []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []Message
	for _, m := range slices.Backward(o.sent) {
		if to == "" || m.To == to {
			found = append(found, m)
		}
	}
	return found
}
