// Package outbox keeps messages that are not sent, to be looked at: text messages and mail, in development and in tests.
package outbox

import (
	"context"
	"slices"
	"sync"
	"time"

	"foof/internal/mail"
	"foof/internal/sms"
)

// Message is what would have been sent.
type Message struct {
	To      string    `json:"to"`
	Channel string    `json:"channel"` // sms or mail
	Body    string    `json:"body"`
	Code    string    `json:"code"` // of a text message
	Link    string    `json:"link"` // of a mail
	At      time.Time `json:"at"`
}

// Outbox keeps messages in memory instead of sending them, the newest thousand. It is a sender of both kinds, and safe for
// concurrent use.
type Outbox struct {
	// Tell, if there is one, hears of each message.
	Tell func(ctx context.Context, m Message)

	mu   sync.Mutex
	sent []Message
}

const outboxSize = 1000

// SendText keeps a text message.
func (o *Outbox) SendText(ctx context.Context, m sms.Message) error {
	o.keep(ctx, Message{To: m.To, Channel: "sms", Body: m.Body, Code: m.Code, At: m.At})
	return nil
}

// SendMail keeps a mail.
func (o *Outbox) SendMail(ctx context.Context, m mail.Message) error {
	o.keep(ctx, Message{To: m.To, Channel: "mail", Body: m.Body, Link: m.Link, At: m.At})
	return nil
}

// Messages returns what was sent to a number or an address, or everything for "", newest first.
func (o *Outbox) Messages(to string) []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := []Message{}
	for _, m := range slices.Backward(o.sent) {
		if to == "" || m.To == to {
			found = append(found, m)
		}
	}
	return found
}

func (o *Outbox) keep(ctx context.Context, m Message) {
	if o.Tell != nil {
		o.Tell(ctx, m)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == outboxSize {
		o.sent = slices.Delete(o.sent, 0, 1)
	}
	o.sent = append(o.sent, m)
}
