package writeapi

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"foof/commands"
	"foof/events"
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

// proof is what somebody shows who says that a phone is theirs, and the password that they want.
type proof struct {
	number   string // as it was given
	phone    events.PhoneIndex
	codes    []string // in the vault, with the digits that were given
	password string
}

// proof reads one. It says the same of everything that is wrong with a request, but for a body that is none.
func (a *API) proof(c *gin.Context) (p proof, err error) {
	f, err := web.Form(c)
	if err != nil {
		return p, err
	}
	p.number, _ = f.Lookup("phonenumber")
	p.password, _ = f.Lookup("password")
	digits, _ := f.Lookup("verifycode")
	canonical, err := a.Phones.Canonical(p.number)
	if err != nil || a.passwordFault(p.password) != nil {
		return p, commands.ErrInvalidRequest
	}
	p.phone = a.Vault.PhoneIndex(canonical)
	p.codes, err = a.Vault.CodesWithDigits(c.Request.Context(), p.phone, digits)
	return p, err
}

func (a *API) register(c *gin.Context) error {
	p, err := a.proof(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	command := commands.RegisterUser{Number: p.number, Phone: p.phone, Codes: p.codes, At: a.Now()}
	if len(command.Codes) > 0 { // else it will be refused, and nothing is made ready for it
		if command.User, err = a.Log.NextUser(ctx); err != nil {
			return err
		}
		if err := a.Vault.NewUserKey(ctx, command.User); err != nil {
			return err
		}
		if command.Password, err = a.Vault.NewPassword(ctx, p.password); err != nil {
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
