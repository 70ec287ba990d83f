package feed

import (
	"context"
	"iter"
	"log/slog"

	"foof/events"

	"github.com/ThreeDotsLabs/watermill/message"
)

// LogEnd is what a Broadcast needs of the log.
type LogEnd interface {
	Head(ctx context.Context) (events.Position, error)
	Subscribe(ctx context.Context, position events.Position, limit int) iter.Seq2[[]events.Recorded, error]
}

// Broadcast is a message.Subscriber that gives every process all events of some types which are appended from now on, in the
// order of the log, one at a time. It remembers nothing between runs, and what went wrong does not keep it from going on: it
// is for those who are there to hear it. It is safe for concurrent use.
type Broadcast struct {
	*subscriptions

	log LogEnd
}

// NewBroadcast makes a subscriber to the events of these types.
func NewBroadcast(log LogEnd, logger *slog.Logger, types ...string) *Broadcast {
	return &Broadcast{subscriptions: newSubscriptions(logger, types), log: log}
}

// Subscribe implements message.Subscriber. The name has no meaning but for the log of the process. The channel is closed when ctx
// ends or the subscriber is closed.
func (b *Broadcast) Subscribe(ctx context.Context, name string) (<-chan *message.Message, error) {
	position := events.Position(-1) // where it begins is not known yet
	return b.begin(ctx, name, func(ctx context.Context, messages chan<- *message.Message) (err error) {
		position, err = b.follow(ctx, position, messages)
		return err
	})
}

// follow hands on what comes after position, or after the head as it is now. It returns how far it came.
func (b *Broadcast) follow(ctx context.Context, position events.Position, messages chan<- *message.Message) (events.Position, error) {
	if position < 0 {
		head, err := b.log.Head(ctx)
		if err != nil {
			return position, err
		}
		position = head
	}
	for page, err := range b.log.Subscribe(ctx, position, pageSize) {
		if err != nil {
			return position, err
		}
		for i := range page {
			if b.types[page[i].Type] {
				offer(ctx, b.logger, &page[i], messages)
			}
			position = page[i].Position
		}
	}
	return position, ctx.Err()
}
