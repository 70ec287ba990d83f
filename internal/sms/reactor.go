package sms

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
const Reader = "sms"

// Types are the events that it acts on.
var Types = []string{"phone.code_requested"}

// Codes has the codes that events name.
type Codes interface {
	Code(ctx context.Context, id string) (number, digits string, err error)
}

// Reactor sends each verification code to its phone.
type Reactor struct {
	Codec  *events.Codec
	Codes  Codes
	Sender Sender
	Now    func() time.Time
	Logger *slog.Logger
}

// Handle sends the code that an event asks for. A code that has expired, or is no more, is passed over.
func (r *Reactor) Handle(msg *message.Message) error {
	ctx := msg.Context()
	event, err := feed.Event(ctx, r.Codec, msg)
	if err != nil {
		return err
	}
	requested, ok := event.(events.PhoneCodeRequested)
	if !ok {
		return nil
	}
	if !r.Now().Before(requested.ExpiresAt) {
		r.Logger.WarnContext(ctx, "code not sent: it has expired", slog.String("position", msg.UUID))
		return nil
	}
	number, digits, err := r.Codes.Code(ctx, requested.Code)
	if errors.Is(err, pgx.ErrNoRows) {
		r.Logger.WarnContext(ctx, "code not sent: it is no more", slog.String("position", msg.UUID))
		return nil
	}
	if err != nil {
		return fmt.Errorf("sms: %w", err)
	}
	return r.Sender.SendText(ctx, Message{
		ID: feed.MessageID(msg, requested.Code),
		To: number, Code: digits, At: requested.At,
		Body: fmt.Sprintf("【FOOF】验证码 %s，10 分钟内有效。Your code is %s, good for 10 minutes.", digits, digits),
	})
}
