package readapi

import (
	"errors"
	"fmt"
	"strconv"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
)

// profile is what everyone may know of a user.
type profile struct {
	UUID      int64  `json:"uuid"`
	Username  string `json:"username"`
	AvatarURL string `json:"avatarurl"`
	Verified  int32  `json:"verified"`
	Score     int32  `json:"score"`
	Info      string `json:"info"`
}

// account is what users may know of themselves. The phone number is there as the old service spelled it, too.
type account struct {
	profile

	PhoneNumner string `json:"phonenumner"`
	PhoneNumber string `json:"phonenumber"`
	IDCard      string `json:"idcard"`
	StudentID   string `json:"studentid"`
	Address     string `json:"address"`
}

func (a *API) user(c *gin.Context) error {
	id, err := pathID(c, "uuid")
	if err != nil {
		return err
	}
	const sql = `select id, username, avatarurl, verified, score, info from users where id = $1`
	var p profile
	err = a.Pool.QueryRow(c.Request.Context(), sql, id).
		Scan(&p.UUID, &p.Username, &p.AvatarURL, &p.Verified, &p.Score, &p.Info)
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.ErrNone
	}
	if err != nil {
		return fmt.Errorf("user %d: %w", id, err)
	}
	web.Answer(c, struct {
		profile
		web.Outcome
	}{p, web.Succeeded()})
	return nil
}

const accountColumns = `id, username, avatarurl, verified, score, info, phone, idcard, studentid, address`

func (a *account) scan(row pgx.Row, more ...any) error {
	var studentID int32
	err := row.Scan(append([]any{
		&a.UUID, &a.Username, &a.AvatarURL, &a.Verified, &a.Score, &a.Info,
		&a.PhoneNumber, &a.IDCard, &studentID, &a.Address,
	}, more...)...)
	a.PhoneNumner, a.StudentID = a.PhoneNumber, strconv.Itoa(int(studentID))
	return err
}

func (a *API) me(c *gin.Context) error {
	_, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	const sql = `select ` + accountColumns + ` from users where id = $1`
	var me account
	if err := me.scan(a.Pool.QueryRow(c.Request.Context(), sql, user)); err != nil {
		return fmt.Errorf("account of user %d: %w", user, err)
	}
	web.Answer(c, struct {
		account
		web.Outcome
	}{me, web.Succeeded()})
	return nil
}

var errPasswordIncorrect = fault.Refused("password incorrect")

// login takes the same steps, and about as long, whether the number is known or not.
func (a *API) login(c *gin.Context) error {
	f, err := web.Form(c)
	if err != nil {
		return err
	}
	number, password := f.Text("phonenumber", 0, maxCredential), f.Text("password", 0, maxCredential)
	if err := f.Err(); err != nil {
		return err
	}
	canonical, err := a.Phones.Canonical(number)
	if err != nil {
		canonical = number // nobody's
	}
	var (
		ctx   = c.Request.Context()
		index = a.Passwords.PhoneIndex(canonical)
	)
	if err := errors.Join(a.LoginsPerAddress.Take(ctx, web.Address(c)), a.WrongPerNumber.Left(ctx, string(index))); err != nil {
		return err
	}
	const sql = `select ` + accountColumns + `, password::text, tokens_since from users where phone_index = $1`
	var (
		info       account
		passwordID string
		since      int64
	)
	row := a.Pool.QueryRow(ctx, sql, index)
	if err := info.scan(row, &passwordID, &since); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("log in: %w", err)
	}
	right, err := a.Passwords.CheckPassword(ctx, passwordID, password)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if !right {
		if err := a.WrongPerNumber.Take(ctx, string(index)); err != nil {
			return err
		}
		return errPasswordIncorrect
	}
	// Many that came at once may all have been let in before one was looked at: of those beyond the limit, no answer says which is right.
	if err := a.WrongPerNumber.Left(ctx, string(index)); err != nil {
		return err
	}
	token, err := a.Signer.Sign(events.UserID(info.UUID), since)
	if err != nil {
		return err
	}
	web.Answer(c, struct {
		web.Outcome

		Info  account `json:"info"`
		Token string  `json:"token"`
	}{web.Succeeded(), info, token})
	return nil
}

// maxCredential bounds what is looked at when somebody logs in: more than any password may have.
const maxCredential = 1000
