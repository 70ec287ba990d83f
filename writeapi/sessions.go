package writeapi

import (
	"foof/commands"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
)

// logOut revokes all tokens of the caller.
func (a *API) logOut(c *gin.Context) error {
	_, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	if err := execute(c.Request.Context(), a, user, commands.LogOut{User: user, At: a.Now()}); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

func (a *API) resetPassword(c *gin.Context) error {
	p, err := a.proof(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	command := commands.ResetPassword{Phone: p.phone, Codes: p.codes, At: a.Now()}
	if len(command.Codes) > 0 { // else it will be refused, and nothing is made ready for it
		if command.User, err = commands.Owner(ctx, a.Engine, command.Phone); err != nil {
			return err
		}
		if command.Password, err = a.Vault.NewPassword(ctx, p.password); err != nil {
			return err
		}
	}
	if err := execute(ctx, a, command.User, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}
