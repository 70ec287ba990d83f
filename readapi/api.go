// Package readapi answers questions from the read models: SQL in, JSON out. It changes nothing.
package readapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/form"
	"foof/internal/token"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
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

// API has the routes that ask.
type API struct {
	Pool      *pgxpool.Pool
	Auth      *web.Auth
	Signer    *token.Signer
	Passwords Passwords
	Phones    Phones
	Images    Images
}

// Routes adds them.
func (a *API) Routes(r gin.IRouter) {
	r.GET("/user/:uuid", web.Handle(a.user))
	r.POST("/user/me", web.Handle(a.me))
	r.POST("/user/login", web.Handle(a.login))
	r.POST("/user/published", web.Handle(a.published))
	r.POST("/user/finished", web.Handle(a.finished))
	r.GET("/item/:itemid", web.Handle(a.item))
	r.GET("/image/:album/:name", web.Handle(a.image))
	r.HEAD("/image/:album/:name", web.Handle(a.image))
}

// TokensSince says from when on a user's tokens count, in ms since 1970. It is fault.ErrForbidden for a user that there is
// not.
func TokensSince(pool *pgxpool.Pool) func(context.Context, events.UserID) (int64, error) {
	const sql = `select tokens_since from users where id = $1`
	return func(ctx context.Context, user events.UserID) (int64, error) {
		var since int64
		err := pool.QueryRow(ctx, sql, user).Scan(&since)
		if errors.Is(err, pgx.ErrNoRows) {
			return 0, fmt.Errorf("%w: there is no user %d", fault.ErrForbidden, user)
		}
		if err != nil {
			return 0, fmt.Errorf("tokens of user %d: %w", user, err)
		}
		return since, nil
	}
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

// span is which part of a list is asked for.
type span struct {
	after int64
	limit *int32 // nil: all
}

const mostListed = 1000

func spanOf(f *form.Form) span {
	s := span{limit: f.OptionalInt("limit", form.Between(1, mostListed))}
	if text, _ := f.Lookup("after"); text != "0" { // from the beginning
		if after := f.OptionalID("after"); after != nil {
			s.after = *after
		}
	}
	return s
}
