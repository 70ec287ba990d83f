// Package fault holds the kinds of fault: the ways in which a request can end
// without what it asked for.
//
// A fault is a kind, for the program, and a message, for people. Any other
// error is a fault of the program: people read "internal error", operators
// read the error. How a kind is answered over HTTP is decided in one table,
// which is not here.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of fault it is. The zero Kind is KindInternal, so a
// fault that nobody classified gives nothing away.
type Kind uint8

const (
	KindInternal    Kind = iota // the program or what it stands on went wrong
	KindInvalid                 // what was sent cannot be understood or is out of bounds
	KindForbidden               // the caller has not proved who they are, or may not do this
	KindRefused                 // understood and allowed, but the rules say no
	KindNone                    // what was asked about does not exist
	KindTooLarge                // more was sent than is read
	KindTooMany                 // the caller has to wait
	KindUnavailable             // something this depends on is down
	KindMismatch                // an idempotency key came back with another request
	KindNotFound                // no such route
	KindNotAllowed              // the route exists, but not with this method
)

var kindNames = [...]string{
	KindInternal:    "internal",
	KindInvalid:     "invalid",
	KindForbidden:   "forbidden",
	KindRefused:     "refused",
	KindNone:        "none",
	KindTooLarge:    "too large",
	KindTooMany:     "too many",
	KindUnavailable: "unavailable",
	KindMismatch:    "mismatch",
	KindNotFound:    "not found",
	KindNotAllowed:  "not allowed",
}

// String names the kind, for logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is a fault. It is not changed once it was returned.
type Error struct {
	Kind Kind

	// Info is for people: safe to show to whoever sent the request.
	Info string

	// RetryAfter is how long the caller should wait before trying again;
	// zero if that is not known or would not help.
	RetryAfter time.Duration

	// Cause is for operators and is never shown to users. It may be nil.
	Cause error
}

// The faults that need no details. To add a cause, wrap both:
// fmt.Errorf("verify token: %w: %w", fault.ErrForbidden, err).
var (
	ErrForbidden  = &Error{Kind: KindForbidden, Info: "Forbidden"}
	ErrNone       = &Error{Kind: KindNone, Info: "none"}
	ErrTooLarge   = &Error{Kind: KindTooLarge, Info: "Request Entity Too Large"}
	ErrMismatch   = &Error{Kind: KindMismatch, Info: "idempotency key was used for another request"}
	ErrNotFound   = &Error{Kind: KindNotFound, Info: "not found"}
	ErrNotAllowed = &Error{Kind: KindNotAllowed, Info: "method not allowed"}
)

// unavailableRetry is what callers are told to wait while a dependency is
// down: longer than a connection takes to fail over, shorter than patience.
const unavailableRetry = 5 * time.Second

// Invalid says what is wrong with which field. Its Info is "<field>: <wrong>".
// The field and the words must be short: they are sent back as they are.
func Invalid(field, wrong string) *Error {
	return &Error{Kind: KindInvalid, Info: field + ": " + wrong}
}

// Refused says no in the words of the contract.
func Refused(info string) *Error {
	return &Error{Kind: KindRefused, Info: info}
}

// TooMany tells the caller to come back after the given time.
func TooMany(after time.Duration) *Error {
	return &Error{Kind: KindTooMany, Info: "too many requests", RetryAfter: after}
}

// Unavailable says that something this depends on is down, and why.
func Unavailable(cause error) *Error {
	return &Error{
		Kind:       KindUnavailable,
		Info:       "temporarily unavailable",
		RetryAfter: unavailableRetry,
		Cause:      cause,
	}
}

// Of finds the outermost fault in err. An error without one is a fault of
// KindInternal whose Info is "internal error" and whose Cause is err.
// Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	if found, ok := errors.AsType[*Error](err); ok {
		return found
	}
	return &Error{Kind: KindInternal, Info: "internal error", Cause: err}
}

// Error describes the fault to operators: its kind, its Info and its cause.
func (e *Error) Error() string {
	text := e.Kind.String() + ": " + e.Info
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is true for a fault of the same kind with the same Info,
// whatever its cause.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other != nil && e.Kind == other.Kind && e.Info == other.Info
}
