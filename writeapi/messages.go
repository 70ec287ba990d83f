package writeapi

import (
	"context"
	"math"
	"slices"

	"foof/commands"
	"foof/events"
	"foof/internal/inbox"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// Inbox is what handing messages out needs of their read model.
type Inbox interface {
	Unfetched(ctx context.Context, user events.UserID) ([]events.MessageID, error)
	Messages(ctx context.Context, ids []events.MessageID) ([]inbox.Message, error)
	Of(ctx context.Context, user events.UserID, after events.MessageID, limit int) ([]inbox.Message, error)
}

const maxMessage = 65_536 // characters

func (a *API) pushMessage(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	command := commands.SendMessage{
		From: user, To: events.UserID(f.ID("to")), Text: f.Text("data", 1, maxMessage), At: a.Now(),
	}
	if err := f.Err(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	missing, err := a.Log.Missing(ctx, command.To.Stream())
	if err != nil {
		return err
	}
	command.Nobody = len(missing) > 0
	if command.Message, err = a.Log.NextMessage(ctx); err != nil {
		return err
	}
	if err := execute(ctx, a, user, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

// fetchNew hands out what nobody has fetched yet.
func (a *API) fetchNew(c *gin.Context) error {
	_, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	mine, err := a.handOut(c.Request.Context(), commands.FetchMessages{User: user, At: a.Now()})
	if err != nil {
		return err
	}
	for i := range mine { // as they were before
		mine[i].Fetched, mine[i].UpdatedAt = false, mine[i].CreatedAt
	}
	web.Answer(c, struct {
		web.Outcome

		Data []inbox.Message `json:"data"`
	}{web.Succeeded(), mine})
	return nil
}

// handOut marks a user's new messages as fetched, and gives them. The read model says which messages may be new, and the log which of them
// are: where another fetch was faster, it looks for more, unless the read model has nothing else to say.
func (a *API) handOut(ctx context.Context, command commands.FetchMessages) ([]inbox.Message, error) {
	done, err := a.Fetches.Take(ctx, command.User.Stream()) // or all who wait would be after the same messages
	if err != nil {
		return nil, err
	}
	defer done()
	for before := []events.MessageID(nil); ; {
		if command.Messages, err = a.Inbox.Unfetched(ctx, command.User); err != nil {
			return nil, err
		}
		facts, err := decide(ctx, a, command.User, command)
		if err != nil {
			return nil, err
		}
		if len(facts) == 0 && slices.Equal(command.Messages, before) { // there may be facts of the same request, sent before
			return []inbox.Message{}, nil
		}
		if mine, err := a.Inbox.Messages(ctx, fetched(facts)); err != nil || len(mine) > 0 {
			return mine, err
		}
		before = command.Messages
	}
}

func fetched(facts []events.Event) []events.MessageID {
	var ids []events.MessageID
	for _, fact := range facts {
		if e, ok := fact.(events.MessageFetched); ok {
			ids = append(ids, e.Message)
		}
	}
	return ids
}

// fetchAll answers piece by piece, as there may be any number of messages. Those of a piece that are to the caller are marked
// as fetched before it is sent.
func (a *API) fetchAll(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	span := web.SpanOf(f)
	if err := f.Err(); err != nil {
		return err
	}

	ctx := web.WithCommand(c.Request.Context(), uuid.Nil) // to mark again what is marked does no harm
	after, left := events.MessageID(span.After), math.MaxInt
	if span.Limit != nil {
		left = int(*span.Limit)
	}
	list := web.BeginList(c, "data")
	for left > 0 {
		piece, err := a.Inbox.Of(ctx, user, after, left)
		if err != nil {
			return err
		}
		if len(piece) == 0 {
			break
		}
		if err := a.markFetched(ctx, user, piece); err != nil {
			return err
		}
		for _, message := range piece {
			list.Add(message)
		}
		after, left = piece[len(piece)-1].ID, left-len(piece)
	}
	return list.End()
}

func (a *API) markFetched(ctx context.Context, user events.UserID, piece []inbox.Message) error {
	var unfetched []events.MessageID
	for _, message := range piece {
		if message.To == user && !message.Fetched {
			unfetched = append(unfetched, message.ID)
		}
	}
	if len(unfetched) == 0 {
		return nil
	}
	return execute(ctx, a, user, commands.FetchMessages{User: user, Messages: unfetched, At: a.Now()})
}
