package writeapi

import (
	"context"
	"errors"
	"time"

	"foof/commands"
	"foof/events"
	"foof/internal/fault"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
)

// Tickets is the vault's tickets.
type Tickets interface {
	NewTicket(ctx context.Context, user events.UserID) (id string, err error)
	TicketOf(ctx context.Context, token string) (id string, user events.UserID, err error)
}

// LinkPath is what a token makes a path of that verifies its user.
const LinkPath = "/user/mail/verify/"

// errNoMail is for operators to change: to ask again at once is of no use.
var errNoMail = &fault.Error{Kind: fault.KindUnavailable, Info: "mail is not set up here", RetryAfter: time.Hour}

func (a *API) requestMail(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	command := commands.RequestMail{
		User: user, Mail: f.OptionalText("mail", 0, maxMail), Domain: a.CampusDomain, At: a.Now(), Limits: a.MailLimits,
	}
	if err := f.Err(); err != nil {
		return err
	}
	if a.CampusDomain == "" {
		return errNoMail
	}
	ctx := c.Request.Context()
	if command.Ticket, err = a.Tickets.NewTicket(ctx, user); err != nil {
		return err
	}
	if err := execute(ctx, a, user, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

// verifyMail says the same of everything that is wrong with a link. It is a GET, as a link must be, but not one that anybody
// may keep the answer of.
func (a *API) verifyMail(c *gin.Context) error {
	c.Header("Cache-Control", "no-store")
	c.Header("Referrer-Policy", "no-referrer")
	ctx := c.Request.Context()
	ticket, user, err := a.Tickets.TicketOf(ctx, c.Param("token"))
	if errors.Is(err, pgx.ErrNoRows) {
		return commands.ErrInvalidRequest
	}
	if err != nil {
		return err
	}
	// Whoever has the link need not be logged in.
	if err := execute(ctx, a, 0, commands.VerifyMail{User: user, Ticket: ticket, At: a.Now()}); err != nil {
		return err
	}
	web.Success(c)
	return nil
}
