package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"foof/events"
	"foof/events/store"
	"foof/internal/fault"
)

// LogOut revokes all tokens that a user has.
type LogOut struct {
	User events.UserID
	At   time.Time
}

// Streams is the user's.
func (c LogOut) Streams() []string { return []string{c.User.Stream()} }

// Decide revokes what was made until now.
func (c LogOut) Decide(u user) ([]events.Event, error) {
	if !u.registered {
		return nil, fault.ErrForbidden
	}
	return []events.Event{events.UserLoggedOut{User: c.User, At: u.revokes(c.At)}}, nil
}

// revokes is when tokens are revoked, if that is now. It is never when they were revoked before, as a token is known by that
// time, to the millisecond.
func (u user) revokes(now time.Time) time.Time {
	if next := u.tokensSince.Add(time.Millisecond); now.Before(next) {
		return next
	}
	return now
}

// numbered is what a phone number's stream and its owner's add up to.
type numbered struct {
	phone phone
	user  user
}

// Evolve applies one event of either.
func (n numbered) Evolve(e events.Event) numbered {
	return numbered{phone: n.phone.Evolve(e), user: n.user.Evolve(e)}
}

// Owner is whose a phone number is, 0 for nobody's. Once it is somebody's it stays theirs.
func Owner(ctx context.Context, e *Engine, number events.PhoneIndex) (events.UserID, error) {
	p, _, err := load[phone](ctx, e, number.Stream())
	if errors.Is(err, store.ErrUnavailable) {
		return 0, fault.Unavailable(err)
	}
	if err != nil {
		return 0, fmt.Errorf("owner of %s: %w", number.Stream(), err)
	}
	return p.owner, nil
}

// ResetPassword gives a new password to whoever proves to have an account's phone number.
type ResetPassword struct {
	Phone    events.PhoneIndex
	User     events.UserID // whose number it is; 0: nobody's
	Codes    []string      // the codes in the vault that have the digits that were given
	Password string        // the password's id in the vault
	At       time.Time
}

// Streams are the phone number's and its owner's.
func (c ResetPassword) Streams() []string {
	if c.User == 0 {
		return []string{c.Phone.Stream()}
	}
	return []string{c.Phone.Stream(), c.User.Stream()}
}

// Decide says the same of a wrong code and of a number that is nobody's. A wrong code is remembered, as RegisterUser does.
func (c ResetPassword) Decide(n numbered) ([]events.Event, error) {
	switch {
	case !n.phone.pending(c.At):
		return nil, ErrInvalidRequest
	case !n.phone.proves(c.Codes, c.At):
		return []events.Event{events.PhoneCodeRejected{Phone: c.Phone, Code: n.phone.code}}, ErrInvalidRequest
	case c.User == 0, n.phone.owner != c.User:
		return nil, ErrInvalidRequest
	}
	return []events.Event{
		events.PhoneCodeUsed{Phone: c.Phone, Code: n.phone.code},
		events.UserPasswordChanged{User: c.User, Password: c.Password, At: n.user.revokes(c.At)},
	}, nil
}
