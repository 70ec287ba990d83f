package events

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"
)

// keyring has a key for everyone: always the same one, so that what golden files hold can be opened.
type keyring struct{}

func (keyring) Keys(_ context.Context, users []UserID) (map[UserID][]byte, error) {
	keys := map[UserID][]byte{}
	for _, user := range users {
		keys[user] = keyOf(user)
	}
	return keys, nil
}

func keyOf(user UserID) []byte {
	key := sha256.Sum256([]byte("key of " + user.Stream()))
	return key[:]
}

// keysAre is a keyring with these keys.
type keysAre map[UserID][]byte

func (k keysAre) Keys(_ context.Context, users []UserID) (map[UserID][]byte, error) {
	keys := map[UserID][]byte{}
	for _, user := range users {
		if key, ok := k[user]; ok {
			keys[user] = key
		}
	}
	return keys, nil
}

// errNoKeyring is what a brokenKeyring says.
var errNoKeyring = errors.New("the keys are away")

type brokenKeyring struct{}

func (brokenKeyring) Keys(context.Context, []UserID) (map[UserID][]byte, error) {
	return nil, errNoKeyring
}

func mustEncode(t testing.TB, codec *Codec, facts ...Event) []Encoded {
	t.Helper()
	encoded, err := codec.Encode(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// record is what the log would have of an event, with nothing shared.
func record(e Encoded) Recorded {
	return Recorded{Position: 12, Stream: e.Stream, Version: 3, Type: e.Type, Schema: e.Schema, Data: bytes.Clone(e.Data)}
}

func decodeOne(t testing.TB, codec *Codec, r Recorded) (Event, error) {
	t.Helper()
	page := []Recorded{r}
	err := codec.Decode(t.Context(), page)
	return page[0].Event, err
}

func mustDecode(t testing.TB, codec *Codec, r Recorded) Event {
	t.Helper()
	event, err := decodeOne(t, codec, r)
	if err != nil {
		t.Fatal(err)
	}
	return event
}
