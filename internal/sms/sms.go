// Package sms sends text messages: through a provider's webhook, or, in development, into an outbox that can be looked at.
package sms

import (
	"context"
	"time"
)

// A Message is a text on its way to a phone. It holds a secret: it is never logged.
type Message struct {
	To   string
	Body string
	Code string // the verification code in it
	At   time.Time
}

// A Sender hands messages over. When Send returns nil the message is out of our hands; it may be called again with a
// message that got lost on the way, or did not.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
