// Package writeapi takes what people do: it decodes a POST, carries out the command, and answers when every read model shows
// what has come of it.
package writeapi

import (
	"context"
	"log/slog"
	"time"

	"foof/commands"
	"foof/events"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
)

// Vault is what commands need that must not be in the log.
type Vault interface {
	PhoneIndex(number string) events.PhoneIndex
	NewUserKey(ctx context.Context, user events.UserID) error
	NewPassword(ctx context.Context, password string) (id string, err error)
	Codes
}

// Codes is the vault's verification codes.
type Codes interface {
	NewCode(ctx context.Context, phone events.PhoneIndex, number string) (id string, err error)
	CodesWithDigits(ctx context.Context, phone events.PhoneIndex, digits string) ([]string, error)
}

// Numbers gives new things their numbers.
type Numbers interface {
	NextUser(ctx context.Context) (events.UserID, error)
	NextItem(ctx context.Context) (events.ItemID, error)
}

// Phones knows which spellings are the same number, and which are none.
type Phones interface {
	Canonical(number string) (string, error)
}

// API has the routes that change something.
type API struct {
	Engine  *commands.Engine
	Auth    *web.Auth
	Vault   Vault
	Numbers Numbers
	Phones  Phones
	Images  Images

	// Await returns when every read model shows what is at a position.
	Await func(ctx context.Context, position events.Position) error
	Now   func() time.Time

	CodeLimits  []commands.CodeLimit // per phone number
	PerAddress  *web.Limiter         // of requests for codes
	MinPassword int                  // characters
	Logger      *slog.Logger
}

// Routes adds them.
func (a *API) Routes(r gin.IRouter) {
	r.POST("/user/requirecode", web.Handle(a.requireCode))
	r.POST("/user/register", web.Handle(a.register))
	r.POST("/user/modify", web.Handle(a.modifyUser))
	r.POST("/item/add", web.Handle(a.addItem))
	r.POST("/item/modify", web.Handle(a.modifyItem))
	r.POST("/item/trade", web.Handle(a.tradeItem))
	r.POST("/item/image", web.Handle(a.uploadImages))
	r.POST("/user/avatar", web.Handle(a.changeAvatar))
}

// awaitFor bounds how long an answer waits for the read models.
const awaitFor = 5 * time.Second

// execute carries a command out for a user, 0 for nobody, and returns what it refuses. Who reads after that sees what was
// done, or what somebody else had done just before that left nothing to do. Only if the read models lag badly does
// it say success before they show it: what is in the log has happened.
func execute[S commands.State[S]](ctx context.Context, a *API, user events.UserID, c commands.Command[S]) error {
	receipt, verdict := commands.Execute(ctx, a.Engine, commands.Origin{Actor: user, Correlation: web.RequestID(ctx)}, c)
	if receipt.Position == 0 {
		return verdict
	}
	waiting, cancel := context.WithTimeout(ctx, awaitFor)
	defer cancel()
	if err := a.Await(waiting, receipt.Position); err != nil {
		a.Logger.WarnContext(ctx, "answered before the read models show it",
			slog.String("request", web.RequestID(ctx)), slog.Any("error", err))
	}
	return verdict
}
