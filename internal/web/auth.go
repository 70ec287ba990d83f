package web

import (
	"context"
	"fmt"
	"strings"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/form"
	"foof/internal/token"

	"github.com/gin-gonic/gin"
)

// Auth finds out who asks.
type Auth struct {
	Signer *token.Signer
	// TokensSince says from when on, in ms since 1970, a user's tokens count: 0, or when older ones were last revoked. It is
	// fault.ErrForbidden for a user that there is not.
	TokensSince func(ctx context.Context, user events.UserID) (int64, error)
}

// callerKey is where gin's context has the caller, for the log.
const callerKey = "caller"

// Form reads the body of a request that takes a token, and says whose it is. A token that is missing or does not count is
// fault.ErrForbidden.
func (a *Auth) Form(c *gin.Context) (*form.Form, events.UserID, error) {
	f, err := Form(c)
	if err != nil {
		return nil, 0, err
	}
	text, _ := f.Lookup("token") // which is empty if it is no text
	if !f.Has("token") {
		text = bearer(c.GetHeader("Authorization"))
	}
	user, err := a.caller(c, text)
	return f, user, err
}

// bearer is the token in an Authorization header, if there is one. The scheme's case does not matter (RFC 9110, 11.1).
func bearer(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// Form reads the body of a request.
func Form(c *gin.Context) (*form.Form, error) {
	return form.Read(c.Writer, c.Request, form.Limits{})
}

func (a *Auth) caller(c *gin.Context, text string) (events.UserID, error) {
	claims, err := a.Signer.Verify(text)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", fault.ErrForbidden, err)
	}
	since, err := a.TokensSince(c.Request.Context(), claims.User)
	if err != nil {
		return 0, err
	}
	if claims.Since != since { // not <: clocks of several machines differ
		return 0, fmt.Errorf("%w: revoked", fault.ErrForbidden)
	}
	c.Set(callerKey, int64(claims.User))
	return claims.User, nil
}
