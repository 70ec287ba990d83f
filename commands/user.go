package commands

import (
	"maps"
	"time"

	"foof/events"
	"foof/internal/fault"
)

// What a new user is, until they say more about themselves.
const (
	newUsername  = "新手咸鱼人员"
	newAvatarURL = `image\avatar\default.jpg`
	newInfo      = "这家伙很懒，什么都没有写>^<"
	newScore     = 10
)

// The refusals of registering, in the words of the contract.
var (
	ErrInvalidRequest = fault.Refused("invaild request")
	ErrPhoneTaken     = fault.Refused("phone number already token")
)

// RegisterUser opens an account for whoever proves to have a phone number.
type RegisterUser struct {
	User     events.UserID // a new number
	Number   string        // as it was given
	Phone    events.PhoneIndex
	Codes    []string // the codes in the vault that have the digits that were given
	Password string   // the password's id in the vault
	At       time.Time
}

// Streams is the phone number's: whose it is, is decided there.
func (c RegisterUser) Streams() []string { return []string{c.Phone.Stream()} }

// Decide looks at the code first. A wrong one is remembered, and the fifth burns the code.
func (c RegisterUser) Decide(p phone) ([]events.Event, error) {
	switch {
	case !p.pending(c.At):
		return nil, ErrInvalidRequest
	case !p.proves(c.Codes, c.At):
		return []events.Event{events.PhoneCodeRejected{Phone: c.Phone, Code: p.code}}, ErrInvalidRequest
	case p.owner != 0:
		return nil, ErrPhoneTaken
	}
	return []events.Event{
		events.PhoneClaimed{Phone: c.Phone, Code: p.code, User: c.User},
		events.UserRegistered{
			User: c.User, Phone: events.NewPrivate(c.Number), PhoneIndex: c.Phone, Password: c.Password,
			Username: events.NewPrivate(newUsername), AvatarURL: newAvatarURL, Info: events.NewPrivate(newInfo), Score: newScore,
		},
	}, nil
}

// user is what a user's stream adds up to.
type user struct {
	registered                      bool
	username, info, idcard, address string
	studentID, avatarURL            string
	tokensSince                     time.Time // tokens made before do not count

	links map[string]time.Time // the tickets that may still be used, and until when
	mails []time.Time          // when links were asked for, of late
}

// Evolve applies one event of a user.
func (u user) Evolve(e events.Event) user {
	switch e := e.(type) {
	case events.UserRegistered:
		u.registered, u.username, u.info, u.studentID = true, e.Username.Text(), e.Info.Text(), "0"
		u.avatarURL = e.AvatarURL
	case events.UserProfileChanged:
		u.username = written(u.username, e.Username)
		u.info = written(u.info, e.Info)
		u.idcard = written(u.idcard, e.IDCard)
		u.address = written(u.address, e.Address)
	case events.UserStudentIDChanged:
		u.studentID, u.links = e.StudentID.Text(), nil // links proved something about the number before
	case events.UserAvatarChanged:
		u.avatarURL = e.AvatarURL
	case events.UserPasswordChanged:
		u.tokensSince = e.At
	case events.UserLoggedOut:
		u.tokensSince = e.At
	case events.UserMailRequested:
		u.mails = remember(u.mails, e.At)
		links := map[string]time.Time{e.Ticket: e.ExpiresAt}
		for ticket, until := range u.links {
			if e.At.Before(until) {
				links[ticket] = until
			}
		}
		u.links = links
	case events.UserVerified:
		u.links = maps.Clone(u.links)
		delete(u.links, e.Ticket)
	}
	return u
}

func written(before string, p events.Private) string {
	if p.IsZero() {
		return before
	}
	return p.Text()
}

// ModifyUser changes what a user says of themselves. Nil fields stay as they are.
type ModifyUser struct {
	User                            events.UserID
	Username, Info, IDCard, Address *string
	StudentID                       *string // in plain digits
	Password                        *string // the new password's id in the vault
	At                              time.Time
}

// Streams is the user's.
func (c ModifyUser) Streams() []string { return []string{c.User.Stream()} }

// Decide names only what really changes.
func (c ModifyUser) Decide(u user) ([]events.Event, error) {
	if !u.registered {
		return nil, fault.ErrForbidden
	}
	var facts []events.Event
	profile := events.UserProfileChanged{
		User:     c.User,
		Username: change(u.username, c.Username),
		Info:     change(u.info, c.Info),
		IDCard:   change(u.idcard, c.IDCard),
		Address:  change(u.address, c.Address),
	}
	if profile != (events.UserProfileChanged{User: c.User}) {
		facts = append(facts, profile)
	}
	if number := change(u.studentID, c.StudentID); !number.IsZero() {
		facts = append(facts, events.UserStudentIDChanged{User: c.User, StudentID: number})
	}
	if c.Password != nil {
		facts = append(facts, events.UserPasswordChanged{User: c.User, Password: *c.Password, At: u.revokes(c.At)})
	}
	return facts, nil
}

func change(before string, after *string) events.Private {
	if after == nil || *after == before {
		return events.Private{}
	}
	return events.NewPrivate(*after)
}
