package commands

import (
	"regexp"
	"strings"
	"time"

	"foof/events"
	"foof/internal/fault"
)

// LinkLifetime is how long a mailed link is good for.
const LinkLifetime = 24 * time.Hour

// ErrNoCampusMail refuses to mail a link to nobody.
var ErrNoCampusMail = fault.Refused("no student id and no campus mail")

// RequestMail asks for a link to be mailed to a user's address on the campus. Links asked for before stay good.
type RequestMail struct {
	User   events.UserID
	Mail   *string // the address that the user gives
	Domain string  // the campus's
	Ticket string  // in the vault
	At     time.Time
	Limits []CodeLimit
}

// Streams is the user's.
func (c RequestMail) Streams() []string { return []string{c.User.Stream()} }

// Decide takes the given address if it is one on the campus, and else that of the student number. It refuses with a fault of
// kind TooMany when the user has had their share of links.
func (c RequestMail) Decide(u user) ([]events.Event, error) {
	if !u.registered {
		return nil, fault.ErrForbidden
	}
	address := c.address(u)
	if address == "" {
		return nil, ErrNoCampusMail
	}
	if err := within(c.Limits, u.mails, c.At); err != nil {
		return nil, err
	}
	return []events.Event{events.UserMailRequested{
		User: c.User, Mail: events.NewPrivate(address), Ticket: c.Ticket, At: c.At, ExpiresAt: c.At.Add(LinkLifetime),
	}}, nil
}

// maxAddress is how long an address may be: RFC 5321, 4.5.3.1.3, less its angle brackets.
const maxAddress = 254

// localPart is what stands before the @ in an address that needs no quoting: RFC 5322's dot-atom, of at most 64 characters.
var localPart = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+([.][A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

func (c RequestMail) address(u user) string {
	if c.Mail != nil {
		local, domain, _ := strings.Cut(*c.Mail, "@")
		address := local + "@" + c.Domain // as it is configured, whatever its case
		if sameASCII(domain, c.Domain) && len(local) <= 64 && len(address) <= maxAddress && localPart.MatchString(local) {
			return address
		}
	}
	if u.studentID == "" || u.studentID == "0" {
		return ""
	}
	return u.studentID + "@" + c.Domain
}

// sameASCII compares without regard to case. (EqualFold takes the Kelvin sign for a k: same length in bytes, no such signs.)
func sameASCII(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// VerifyMail is somebody's following a mailed link.
type VerifyMail struct {
	User   events.UserID // whose ticket it is
	Ticket string
	At     time.Time
}

// Streams is the user's.
func (c VerifyMail) Streams() []string { return []string{c.User.Stream()} }

// Decide lets each link be followed once, in time, and only while the student number is the one that it was mailed for.
func (c VerifyMail) Decide(u user) ([]events.Event, error) {
	if until, good := u.links[c.Ticket]; !good || !c.At.Before(until) {
		return nil, ErrInvalidRequest
	}
	return []events.Event{events.UserVerified{User: c.User, Ticket: c.Ticket}}, nil
}
