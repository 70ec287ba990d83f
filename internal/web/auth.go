package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	// TokensSince says from when on, in ms since 1970, a user's tokens count: 0, or when older ones were last revoked, which was
	// then at least when the token was made. It is fault.ErrForbidden for a user that there is not.
	TokensSince func(ctx context.Context, user events.UserID, atLeast int64) (int64, error)
	PerAccount  *Limiter // of POST requests
}

// callerKey is where gin's context has the caller, for the log.
const callerKey = "caller"

// Form reads the body of a request that takes a token, and says whose it is. A token that is missing or does not count is
// fault.ErrForbidden, and a fault of kind TooMany says that the account has had its share of requests.
func (a *Auth) Form(c *gin.Context) (*form.Form, events.UserID, error) {
	f, err := Form(c)
	if err != nil {
		return nil, 0, err
	}
	user, err := a.caller(c.Request.Context(), c, tokenOf(c, f))
	if err != nil {
		return nil, 0, err
	}
	return f, user, a.PerAccount.Take(c.Request.Context(), user.Stream())
}

// Sender says whose token a request came with, 0 if it has none that was made here and has not expired, and whether the token was
// revoked since, by this very request perhaps.
func (a *Auth) Sender(c *gin.Context, f *form.Form) (user events.UserID, revoked bool, err error) {
	claims, err := a.Signer.Verify(tokenOf(c, f))
	if err != nil {
		return 0, false, nil //nolint:nilerr // it may be a request that needs none
	}
	since, err := a.TokensSince(c.Request.Context(), claims.User, claims.Since)
	if errors.Is(err, fault.ErrForbidden) {
		return 0, false, nil
	}
	return claims.User, err == nil && since != claims.Since, err
}

func tokenOf(c *gin.Context, f *form.Form) string {
	if f.Has("token") {
		text, _ := f.Lookup("token") // which is empty if it is no text
		return text
	}
	return bearer(c.GetHeader("Authorization"))
}

// Query says who makes a GET request that takes a token: in the query, as what browsers call an EventSource sends no headers,
// or in the Authorization header. The answer may be asked for again, as long as the request lasts.
func (a *Auth) Query(ctx context.Context, c *gin.Context) (events.UserID, error) {
	text, given := c.GetQuery("token")
	if !given {
		text = bearer(c.GetHeader("Authorization"))
	}
	return a.caller(ctx, c, text)
}

// bearer is the token in an Authorization header, if there is one. The scheme's case does not matter (RFC 9110, 11.1).
func bearer(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// Form reads the body of a request, once: who asks again gets the same.
func Form(c *gin.Context) (*form.Form, error) {
	if f, ok := c.Get(formKey); ok {
		read, _ := f.(*form.Form)
		return read, nil
	}
	f, err := form.Read(unwrapped(c.Writer), c.Request, form.Limits{})
	if err == nil {
		c.Set(formKey, f)
	}
	return f, err
}

// unwrapped is the server's own writer. It learns from form.Read that a body is too large; gin's does not hand that on, and the
// server would wait for more of the body before it answers.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// formKey is where gin's context has the form that was read.
const formKey = "form"

func (a *Auth) caller(ctx context.Context, c *gin.Context, text string) (events.UserID, error) {
	claims, err := a.Signer.Verify(text)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", fault.ErrForbidden, err)
	}
	since, err := a.TokensSince(ctx, claims.User, claims.Since)
	if err != nil {
		return 0, err
	}
	if claims.Since != since { // not <: clocks of several machines differ
		return 0, fmt.Errorf("%w: revoked", fault.ErrForbidden)
	}
	c.Set(callerKey, int64(claims.User))
	return claims.User, nil
}
