// Package sms sends text messages, through a provider's webhook.
package sms

import (
	"context"
	"time"
)

// A Message is a text on its way to a phone. It holds a secret: it is never logged.
type Message struct {
	ID   string // the same whenever this message is sent again
	To   string
	Body string
	Code string    // the verification code in it
	At   time.Time // when it was asked for
}

// A Sender hands messages over. When SendText returns nil the message is out of our hands; it may be called again with a
// message that got lost on the way, or did not. Its errors tell nothing that is in the message, and are feed.ErrPermanent if the
// message will never be taken.
type Sender interface {
	SendText(ctx context.Context, m Message) error
}
