// Package mail sends mail, by SMTP.
package mail

import (
	"context"
	"time"
)

// A Message is a mail with a link. The link is a secret: it is never logged.
type Message struct {
	ID      string // the same whenever this message is sent again
	To      string // one address, without a name
	Subject string
	Body    string // says what it is about, and has the link in it
	Link    string
	At      time.Time // when it was asked for
}

// A Sender hands messages over. When SendMail returns nil the message is out of our hands; it may be called again with a
// message that got lost on the way, or did not. Its errors tell nothing that is in the message, and are feed.ErrPermanent if the
// message will never be taken.
type Sender interface {
	SendMail(ctx context.Context, m Message) error
}
