package commands

import (
	"fmt"
	"time"

	"foof/events"
	"foof/internal/fault"
)

// ErrNoSuchUser refuses a message to nobody.
var ErrNoSuchUser = fault.Refused("no such user")

// messages are some messages, each a stream of its own, and what matters of them: to whom each goes, until it was fetched.
type messages map[events.MessageID]events.UserID

// Evolve applies one event of a message, to the map itself.
func (m messages) Evolve(e events.Event) messages {
	if m == nil {
		m = messages{}
	}
	switch e := e.(type) {
	case events.MessageSent:
		m[e.Message] = e.To
	case events.MessageFetched:
		m[e.Message] = 0
	}
	return m
}

// SendMessage writes to another user, or to oneself.
type SendMessage struct {
	Message  events.MessageID // a new number
	From, To events.UserID
	Nobody   bool // there is no user To
	Text     string
	At       time.Time
}

// Streams is the new message's.
func (c SendMessage) Streams() []string { return []string{c.Message.Stream()} }

// Decide refuses a message to nobody.
func (c SendMessage) Decide(m messages) ([]events.Event, error) {
	if c.Nobody {
		return nil, ErrNoSuchUser
	}
	if _, taken := m[c.Message]; taken {
		return nil, fmt.Errorf("the number of %s is taken", c.Message.Stream())
	}
	return []events.Event{events.MessageSent{
		Message: c.Message, From: c.From, To: c.To, Text: events.NewPrivate(c.Text), At: c.At,
	}}, nil
}

// FetchMessages hands messages out to the user whom they are for. Of those that several fetch at once, each is handed out to
// one: that its stream has not moved is what the append expects.
type FetchMessages struct {
	User     events.UserID
	Messages []events.MessageID
	At       time.Time
}

// Streams are the messages'.
func (c FetchMessages) Streams() []string {
	streams := make([]string, len(c.Messages))
	for i, id := range c.Messages {
		streams[i] = id.Stream()
	}
	return streams
}

// Decide names those that nobody has fetched yet, in the order in which they are asked for.
func (c FetchMessages) Decide(m messages) ([]events.Event, error) {
	var facts []events.Event
	named := map[events.MessageID]bool{}
	for _, id := range c.Messages {
		if m[id] == c.User && !named[id] {
			named[id] = true
			facts = append(facts, events.MessageFetched{Message: id, By: c.User, At: c.At})
		}
	}
	return facts, nil
}
