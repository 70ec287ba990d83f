package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
)

// A Keyring has the keys that personal data is sealed under. Implementations may be called concurrently.
type Keyring interface {
	// Keys returns the key of each of these users: nil where it was destroyed, and no entry where there never was one.
	Keys(ctx context.Context, users []UserID) (map[UserID][]byte, error)
}

// A Codec turns events into what the log stores and back. It may be used concurrently.
type Codec struct {
	types *Registry
	keys  Keyring
}

// NewCodec makes a codec over these types and keys.
func NewCodec(types *Registry, keys Keyring) *Codec { return &Codec{types: types, keys: keys} }

// Reasons for which a stored event cannot be decoded, within a DecodeError.
var (
	ErrUnknownType = errors.New("unknown event type: was it written by a newer foof?")
	ErrNewerForm   = errors.New("newer form of this event type than this program knows")
)

// DecodeError says which stored event could not be turned into an Event, and why.
type DecodeError struct {
	Position Position
	Stream   string
	Type     string
	Schema   int16
	Err      error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("event %d (%s %s v%d): %v", e.Position, e.Stream, e.Type, e.Schema, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// Encode makes events ready to be appended, with their personal data sealed under the keys of the persons.
func (c *Codec) Encode(ctx context.Context, facts []Event) ([]Encoded, error) {
	encoded := make([]Encoded, len(facts))
	for i, fact := range facts {
		t, ok := c.types.Of(fact)
		if !ok {
			return nil, fmt.Errorf("encode %T: not in the registry", fact)
		}
		data, err := t.encode(fact, func(p Personal) error { return c.seal(ctx, t.Name, fact.Stream(), p) })
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", t.Name, err)
		}
		encoded[i] = Encoded{Stream: fact.Stream(), Type: t.Name, Schema: t.Schema, Data: data}
	}
	return encoded, nil
}

// Decode fills in the Event of each of these, whatever form they were written in, with personal data opened. The keys
// for all of them are asked for at once. An event that cannot be decoded is a *DecodeError, and the first one ends the
// call; any other error is the keyring's.
func (c *Codec) Decode(ctx context.Context, page []Recorded) error {
	facts := make([]opened, len(page))
	owners := map[UserID]bool{}
	for i := range page {
		var err error
		if facts[i], err = c.read(&page[i]); err != nil {
			return decodeError(&page[i], err)
		}
		if facts[i].personal != nil {
			owner, _ := facts[i].personal.Personal()
			owners[owner] = true
		}
	}
	keys, err := c.keysOf(ctx, owners)
	if err != nil {
		return err
	}
	for i := range page {
		if p := facts[i].personal; p != nil {
			if err := open(p, keys, page[i].Type, page[i].Stream); err != nil {
				return decodeError(&page[i], err)
			}
		}
		page[i].Event = facts[i].event()
	}
	return nil
}

func (c *Codec) read(r *Recorded) (opened, error) {
	t, ok := c.types.byName[r.Type]
	switch {
	case !ok:
		return opened{}, ErrUnknownType
	case r.Schema > t.Schema || r.Schema < 1:
		return opened{}, fmt.Errorf("%w (v%d)", ErrNewerForm, t.Schema)
	}
	data := r.Data
	for _, upcast := range t.upcasts[r.Schema-1:] {
		var err error
		if data, err = upcast(data); err != nil {
			return opened{}, fmt.Errorf("upcast: %w", err)
		}
	}
	return t.decode(data)
}

func (c *Codec) seal(ctx context.Context, name, stream string, p Personal) error {
	owner, fields := p.Personal()
	keys, err := c.keysOf(ctx, map[UserID]bool{owner: true})
	if err != nil {
		return err
	}
	if keys[owner] == nil {
		return fmt.Errorf("%s was erased", owner.Stream())
	}
	for i, field := range fields {
		if field.IsZero() {
			continue
		}
		if err := field.seal(keys[owner], belongs(name, i, stream)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Codec) keysOf(ctx context.Context, owners map[UserID]bool) (map[UserID][]byte, error) {
	if len(owners) == 0 {
		return map[UserID][]byte{}, nil
	}
	users := make([]UserID, 0, len(owners))
	for user := range owners {
		users = append(users, user)
	}
	keys, err := c.keys.Keys(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("keys of personal data: %w", err)
	}
	return keys, nil
}

func open(p Personal, keys map[UserID][]byte, name, stream string) error {
	owner, fields := p.Personal()
	for i, field := range fields {
		if field.IsZero() {
			continue
		}
		key, known := keys[owner]
		if !known {
			return fmt.Errorf("%s has no key", owner.Stream())
		}
		if key == nil {
			field.erased = true
			continue
		}
		if err := field.open(key, belongs(name, i, stream)); err != nil {
			return err
		}
	}
	return nil
}

// belongs says which field of which type of event in which stream a value is.
func belongs(name string, field int, stream string) string {
	return name + " field " + strconv.Itoa(field) + " of " + stream
}

func decodeError(r *Recorded, err error) error {
	return &DecodeError{Position: r.Position, Stream: r.Stream, Type: r.Type, Schema: r.Schema, Err: err}
}

// EncodeMetadata writes metadata as the log stores it.
func EncodeMetadata(m Metadata) ([]byte, error) {
	data, err := marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return data, nil
}

// Metadata reads where the event came from.
func (r *Recorded) Metadata() (Metadata, error) {
	var m Metadata
	if err := unmarshal(r.Meta, &m); err != nil {
		return Metadata{}, fmt.Errorf("metadata of event %d: %w", r.Position, err)
	}
	return m, nil
}

// marshal and unmarshal are the JSON codec that was fastest of those that work with a plain go run; the figures are in
// docs/decisions. Unknown members are refused: an event that says more than we know is not one that we know.

func marshal(v any) ([]byte, error) { return json.Marshal(v) }

func unmarshal(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
}
