package events

import "time"

// MessageSent: From wrote to To. What they wrote is theirs: it is sealed under From's key.
type MessageSent struct {
	Message MessageID `json:"message"`
	From    UserID    `json:"from"`
	To      UserID    `json:"to"`
	Text    Private   `json:"text"`
	At      time.Time `json:"at"`
}

// MessageFetched: the message was handed out to whom it was sent to.
type MessageFetched struct {
	Message MessageID `json:"message"`
	By      UserID    `json:"by"`
	At      time.Time `json:"at"`
}

// Stream is the message's.
func (e MessageSent) Stream() string { return e.Message.Stream() }

// Stream is the message's.
func (e MessageFetched) Stream() string { return e.Message.Stream() }

// Personal gives what is sealed.
func (e *MessageSent) Personal() (UserID, []*Private) { return e.From, []*Private{&e.Text} }
