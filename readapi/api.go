// Package readapi answers questions from the read models: SQL in, JSON out. It changes nothing.
package readapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/inbox"
	"foof/internal/token"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Passwords is what logging in needs of the vault.
type Passwords interface {
	PhoneIndex(number string) events.PhoneIndex
	CheckPassword(ctx context.Context, id, password string) (bool, error)
}

// Phones knows which spellings are the same number.
type Phones interface {
	Canonical(number string) (string, error)
}

// LogEnd knows where the log ends.
type LogEnd interface {
	Head(ctx context.Context) (events.Position, error)
	// Looked is where it ended when this process last looked, and when that was.
	Looked() (events.Position, time.Time)
}

// API has the routes that ask.
type API struct {
	Pool      *pgxpool.Pool
	Auth      *web.Auth
	Signer    *token.Signer
	Passwords Passwords
	Phones    Phones
	Images    Images
	Inbox     *inbox.Inbox
	Bell      *inbox.Bell
	Log       LogEnd
	// Await returns when every read model shows what is at a position.
	Await     func(ctx context.Context, position events.Position) error
	Heartbeat time.Duration // of streams

	LoginsPerAddress *web.Limiter
	WrongPerNumber   *web.Limiter // passwords
}

// Routes adds them.
func (a *API) Routes(r gin.IRouter) {
	r.GET("/user/:uuid", web.Handle(a.user))
	r.POST("/user/me", web.Handle(a.me))
	r.POST("/user/login", web.Handle(a.login))
	r.POST("/fav/query", web.Handle(a.favorites))
	r.GET("/user/chat/stream", web.Handle(a.stream))
	r.POST("/user/published", web.Handle(a.published))
	r.POST("/user/finished", web.Handle(a.finished))
	r.GET("/item/:itemid", web.Handle(a.item))
	r.GET("/image/:album/:name", web.Handle(a.image))
	r.HEAD("/image/:album/:name", web.Handle(a.image))
}

// pathID reads an id from the path. What cannot be the id of anything, as it is out of range, is 0.
func pathID(c *gin.Context, name string) (int64, error) {
	text := c.Param(name)
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fault.Invalid(name, "must be a whole number")
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, nil //nolint:nilerr // it is too large for an id
	}
	return max(0, id), nil
}
