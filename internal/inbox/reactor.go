package inbox

import (
	"context"
	"log/slog"
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
	Bell   *Bell
	Logger *slog.Logger
}

// Handle rings for the message that an event is about. It does not fail: what nobody heard is looked for at the next heartbeat.
func (r *Reactor) Handle(msg *message.Message) error {
	event, err := feed.Event(msg.Context(), events.NewCodec(events.Types, blind{}), msg)
	position, _ := strconv.ParseInt(msg.UUID, 10, 64) // or there is an error
	sent, ok := event.(events.MessageSent)
	if err != nil || !ok {
		r.Logger.ErrorContext(msg.Context(), "message not rung for", slog.String("position", msg.UUID), slog.Any("error", err))
		return nil
	}
	r.Bell.Ring(sent.To, events.Position(position))
	return nil
}

// blind is a keyring without keys: what is sealed stays so. Who a message is for is all that matters here.
type blind struct{}

// Keys implements events.Keyring.
func (blind) Keys(_ context.Context, users []events.UserID) (map[events.UserID][]byte, error) {
	none := map[events.UserID][]byte{}
	for _, user := range users {
		none[user] = nil
	}
	return none, nil
}
