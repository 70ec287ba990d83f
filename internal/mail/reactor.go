package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"foof/events"
	"foof/internal/feed"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
)

// Reader is the name under which the reactor reads the log, and Types what it reads.
const Reader = "mail"

// Types are the events that it acts on.
var Types = []string{"user.mail_requested"}

// Tickets has the tokens of the tickets that events name.
type Tickets interface {
	Ticket(ctx context.Context, id string) (token string, err error)
}

// Reactor mails each link to the address that it was asked for.
type Reactor struct {
	Codec   *events.Codec
	Tickets Tickets
	Sender  Sender
	Links   string // what a token makes a link of
	Now     func() time.Time
	Logger  *slog.Logger
}

// Handle mails the link that an event asks for. One that has expired, or is no more, is passed over, and so is one of somebody
// who was erased.
func (r *Reactor) Handle(msg *message.Message) error {
	ctx := msg.Context()
	event, err := feed.Event(ctx, r.Codec, msg)
	if err != nil {
		return err
	}
	requested, ok := event.(events.UserMailRequested)
	if !ok {
		return nil
	}
	pass := func(why string) error {
		r.Logger.WarnContext(ctx, "link not mailed", slog.String("position", msg.UUID), slog.String("why", why))
		return nil
	}
	if !r.Now().Before(requested.ExpiresAt) {
		return pass("it has expired")
	}
	if requested.Mail.Text() == "" {
		return pass("its owner was erased")
	}
	token, err := r.Tickets.Ticket(ctx, requested.Ticket)
	if errors.Is(err, pgx.ErrNoRows) {
		return pass("it is no more")
	}
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	link := r.Links + token
	return r.Sender.SendMail(ctx, Message{
		ID: feed.MessageID(msg, requested.Ticket), To: requested.Mail.Text(), Link: link, At: requested.At,
		Subject: "【FOOF】校园邮箱验证 Verify your campus mail",
		Body: "请在 24 小时内打开以下链接，完成校园邮箱验证。若非本人操作，请忽略本邮件。\n" +
			"Open this link within 24 hours to verify your campus mail. If you did not ask for it, ignore this message.\n\n" + link + "\n",
	})
}
