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

// Log is what is asked of the log beside the commands: numbers for new things, and what there is.
type Log interface {
	Numbers
	Missing(ctx context.Context, streams ...string) ([]string, error)
}

// Numbers gives new things their numbers.
type Numbers interface {
	NextUser(ctx context.Context) (events.UserID, error)
	NextItem(ctx context.Context) (events.ItemID, error)
	NextFavorites(ctx context.Context, n int) ([]events.FavoriteID, error)
	NextMessage(ctx context.Context) (events.MessageID, error)
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
	Tickets Tickets
	Log     Log
	Inbox   Inbox
	Fetches commands.Turns // at a user's new messages
	Phones  Phones
	Images  Images

	// Await returns when every read model shows what is at a position.
	Await func(ctx context.Context, position events.Position) error
	Now   func() time.Time

	CodeLimits      []commands.CodeLimit // per phone number
	CodesPerAddress *web.Limiter
	MinPassword     int // characters

	CampusDomain string               // where links are mailed to; "": no mail is sent
	MailLimits   []commands.CodeLimit // per user

	Logger *slog.Logger
}

// Routes adds them.
func (a *API) Routes(r gin.IRouter) {
	r.POST("/user/requirecode", web.Handle(a.requireCode))
	r.POST("/user/register", web.Handle(a.register))
	r.POST("/user/modify", web.Handle(a.modifyUser))
	r.POST("/user/logout", web.Handle(a.logOut))
	r.POST("/user/password/reset", web.Handle(a.resetPassword))
	r.POST("/user/chat/push", web.Handle(a.pushMessage))
	r.POST("/user/chat/fetchnew", web.Handle(a.fetchNew))
	r.POST("/user/chat/fetchall", web.Handle(a.fetchAll))
	r.POST("/fav/add", web.Handle(a.addFavorites))
	r.POST("/fav/delete", web.Handle(a.removeFavorites))
	r.POST("/user/mail/verify", web.Handle(a.requestMail))
	r.GET(LinkPath+":token", web.Handle(a.verifyMail))
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
	_, err := decide(ctx, a, user, c)
	return err
}

// decide is execute for those who want to know what was decided.
func decide[S commands.State[S]](ctx context.Context, a *API, user events.UserID, c commands.Command[S]) ([]events.Event, error) {
	from := commands.Origin{Actor: user, Correlation: web.RequestID(ctx), Command: web.Command(ctx)}
	receipt, facts, verdict := commands.Execute(ctx, a.Engine, from, c)
	if receipt.Position == 0 {
		return facts, verdict
	}
	waiting, cancel := context.WithTimeout(ctx, awaitFor)
	defer cancel()
	if err := a.Await(waiting, receipt.Position); err != nil {
		a.Logger.WarnContext(ctx, "answered before the read models show it",
			slog.String("request", web.RequestID(ctx)), slog.Any("error", err))
	}
	return facts, verdict
}
