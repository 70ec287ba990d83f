// Package events is the vocabulary of FOOF: what can happen, how it is written down, and how it is read again,
// however old it is.
//
// An event is a fact in the past tense, a plain struct. Types (registry.go) names each kind and the version of its
// form; a Codec turns events into what the log stores and back. Personal data in an event is a Private, which is only
// ever stored sealed under its owner's key.
package events

import "time"

// A Position is an event's place in the whole log: 1, 2, 3 … without gaps, in the order of commits.
type Position int64

// A Version is an event's place in its stream: 1, 2, 3 … without gaps. 0 is the version of a stream that does not exist.
type Version int64

// An Event is a fact, and knows the stream that it belongs to.
type Event interface {
	Stream() string
}

// Metadata says where an event came from.
type Metadata struct {
	Actor       UserID `json:"actor,omitzero"`       // who did it; 0: nobody who was logged in
	Command     string `json:"command"`              // the id of the command that decided it
	Correlation string `json:"correlation,omitzero"` // the id of the request that it began with
	Causation   string `json:"causation,omitzero"`   // what made a reactor act: the position of an event
	Refused     string `json:"refused,omitzero"`     // what the command was refused with, if this is what that left behind
	Trace       string `json:"trace,omitzero"`       // the append's place in a trace, as a W3C traceparent; empty if it is in none
}

// Encoded is an event ready to be appended.
type Encoded struct {
	Stream string
	Type   string
	Schema int16
	Data   []byte // JSON
}

// Recorded is an event as the log has it. Event is filled in by a Codec and nil before.
type Recorded struct {
	Position Position
	Stream   string
	Version  Version
	Type     string
	Schema   int16
	Data     []byte // JSON, as stored
	Meta     []byte // a Metadata in JSON, as stored
	At       time.Time
	Event    Event
}
