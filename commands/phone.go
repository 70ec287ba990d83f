package commands

import (
	"slices"
	"time"

	"foof/events"
	"foof/internal/fault"
)

// The rules of verification codes.
const (
	CodeLifetime = 10 * time.Minute
	CodeTries    = 5 // wrong ones that burn a code
)

// CodeLimit bounds how many codes are sent to one number, or links to one user, within a span of time.
type CodeLimit struct {
	Codes  int
	Within time.Duration
}

// within is a fault of kind TooMany if requests made at these times, in order, leave no room for another one.
func within(limits []CodeLimit, requests []time.Time, at time.Time) error {
	var wait time.Duration
	for _, limit := range limits {
		if n := len(requests); n >= limit.Codes {
			free := requests[n-limit.Codes].Add(limit.Within)
			wait = max(wait, free.Sub(at))
		}
	}
	if wait > 0 {
		return fault.TooMany(wait)
	}
	return nil
}

// remember adds a request to those of late, without touching what is shared.
func remember(requests []time.Time, at time.Time) []time.Time {
	return append(slices.Clone(requests[max(0, len(requests)-MostCodes+1):]), at)
}

// phone is what a phone number's stream adds up to.
type phone struct {
	owner     events.UserID // 0: nobody's
	code      string        // the code that counts; "": none
	expiresAt time.Time
	wrong     int         // tries at it
	requests  []time.Time // when codes were asked for, of late
}

// MostCodes is how many requests are remembered: no limit can count further.
const MostCodes = 100

// Evolve applies one event of a phone number.
func (p phone) Evolve(e events.Event) phone {
	switch e := e.(type) {
	case events.PhoneCodeRequested:
		p.code, p.expiresAt, p.wrong = e.Code, e.ExpiresAt, 0
		p.requests = remember(p.requests, e.At)
	case events.PhoneCodeRejected:
		p.wrong++
	case events.PhoneClaimed:
		p.owner, p.code = e.User, ""
	case events.PhoneCodeUsed:
		p.code = ""
	}
	return p
}

// proves tells whether one of these codes, which have the digits that were given, is the one that counts.
func (p phone) proves(codes []string, at time.Time) bool {
	return p.pending(at) && slices.Contains(codes, p.code)
}

func (p phone) pending(at time.Time) bool {
	return p.code != "" && p.wrong < CodeTries && at.Before(p.expiresAt)
}

// RequestCode makes Code, which is in the vault, the one that counts for a phone number; whether the number has an account
// or not.
type RequestCode struct {
	Phone  events.PhoneIndex
	Code   string
	At     time.Time
	Limits []CodeLimit
}

// Streams is the phone number's.
func (c RequestCode) Streams() []string { return []string{c.Phone.Stream()} }

// Decide refuses with a fault of kind TooMany when the number has had its share of codes.
func (c RequestCode) Decide(p phone) ([]events.Event, error) {
	if err := within(c.Limits, p.requests, c.At); err != nil {
		return nil, err
	}
	return []events.Event{events.PhoneCodeRequested{
		Phone: c.Phone, Code: c.Code, At: c.At, ExpiresAt: c.At.Add(CodeLifetime),
	}}, nil
}
