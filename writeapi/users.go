package writeapi

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"foof/commands"
	"foof/internal/fault"
	"foof/internal/form"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
)

const (
	maxText     = 255 // characters of what users say of themselves
	maxPassword = 128 // characters
	maxNumber   = 21  // of a phone number
	maxMail     = 254 // of an address
)

func (a *API) requireCode(c *gin.Context) error {
	f, err := web.Form(c)
	if err != nil {
		return err
	}
	number := f.Text("phonenumber", 1, maxNumber)
	if err := f.Err(); err != nil {
		return err
	}
	canonical, err := a.Phones.Canonical(number)
	if err != nil {
		return fault.Invalid("phonenumber", err.Error())
	}
	ctx := c.Request.Context()
	if err := a.CodesPerAddress.Take(ctx, web.Address(c)); err != nil {
		return err
	}
	phone := a.Vault.PhoneIndex(canonical)
	code, err := a.Vault.NewCode(ctx, phone, number)
	if err != nil {
		return err
	}
	err = execute(ctx, a, 0, commands.RequestCode{Phone: phone, Code: code, At: a.Now(), Limits: a.CodeLimits})
	if err != nil {
		return err
	}
	web.Success(c)
	return nil
}

// register says the same of everything that is wrong with a request, but for a body that is none.
func (a *API) register(c *gin.Context) error {
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
	command := commands.RegisterUser{Number: number, Phone: a.Vault.PhoneIndex(canonical), At: a.Now()}
	if command.Codes, err = a.Vault.CodesWithDigits(ctx, command.Phone, digits); err != nil {
		return err
	}
	if len(command.Codes) > 0 { // else it will be refused, and nothing is made ready for it
		if command.User, err = a.Log.NextUser(ctx); err != nil {
			return err
		}
		if err := a.Vault.NewUserKey(ctx, command.User); err != nil {
			return err
		}
		if command.Password, err = a.Vault.NewPassword(ctx, password); err != nil {
			return err
		}
	}
	if err := execute(ctx, a, 0, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

func (a *API) modifyUser(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	command := commands.ModifyUser{
		User:     user,
		Username: f.OptionalText("username", 1, maxText),
		Info:     f.OptionalText("info", 0, maxText),
		IDCard:   f.OptionalText("idcard", 0, maxText),
		Address:  f.OptionalText("address", 0, maxText),
	}
	if number := f.OptionalInt("studentid", form.Between(0, math.MaxInt32)); number != nil {
		digits := strconv.Itoa(int(*number))
		command.StudentID = &digits
	}
	password := f.OptionalText("password", 0, math.MaxInt)
	if err := f.Err(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	if password != nil && *password != "" {
		if err := a.passwordFault(*password); err != nil {
			return err
		}
		id, err := a.Vault.NewPassword(ctx, *password)
		if err != nil {
			return err
		}
		command.Password, command.At = &id, a.Now()
	}
	if err := execute(ctx, a, user, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

func (a *API) passwordFault(password string) error {
	if n := utf8.RuneCountInString(password); n < a.MinPassword || n > maxPassword {
		return fault.Invalid("password", fmt.Sprintf("must have %d to %d characters", a.MinPassword, maxPassword))
	}
	return nil
}
