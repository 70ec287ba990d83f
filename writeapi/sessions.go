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

// resetPassword says the same of everything that is wrong with a request, but for a body that is none.
func (a *API) resetPassword(c *gin.Context) error {
	f, err := web.Form(c)
	if err != nil {
		return err
	}
	number, _ := f.Lookup("phonenumber")
	digits, _ := f.Lookup("verifycode")
	password, _ := f.Lookup("password")
	canonical, err := a.Phones.Canonical(number)
	if err != nil || a.passwordFault(password) != nil {
		return commands.ErrInvalidRequest
	}
	ctx := c.Request.Context()
	command := commands.ResetPassword{Phone: a.Vault.PhoneIndex(canonical), At: a.Now()}
	if command.Codes, err = a.Vault.CodesWithDigits(ctx, command.Phone, digits); err != nil {
		return err
	}
	if len(command.Codes) > 0 { // else it will be refused, and nothing is made ready for it
		if command.User, err = commands.Owner(ctx, a.Engine, command.Phone); err != nil {
			return err
		}
		if command.Password, err = a.Vault.NewPassword(ctx, password); err != nil {
			return err
		}
	}
	if err := execute(ctx, a, command.User, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}
