package inbox

import (
	"strconv"

	"foof/events"
	"foof/internal/feed"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Reader is the name of the reactor, and Types what it reads.
const Reader = "chat"

// Types are the events that it acts on.
var Types = []string{"message.sent"}

// Reactor rings for each message, in every process.
type Reactor struct {
	Codec *events.Codec
	Bell  *Bell
}

// Handle rings for the message that an event is about.
func (r *Reactor) Handle(msg *message.Message) error {
	event, err := feed.Event(msg.Context(), r.Codec, msg)
	if err != nil {
		return err
	}
	position, err := strconv.ParseInt(msg.UUID, 10, 64)
	if err != nil {
		return err
	}
	if sent, ok := event.(events.MessageSent); ok {
		r.Bell.Ring(sent.To, events.Position(position))
	}
	return nil
}
