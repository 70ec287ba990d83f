package events

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// Private is a piece of personal data. In memory it is text; in the log it is only ever ciphertext, under a key of the
// person whom it is about, so that destroying the key erases it from history. A Private that was not sealed refuses to
// be encoded, and never prints what it holds. The zero value is absent, which is not the same as empty.
type Private struct {
	present bool
	erased  bool
	text    string
	sealed  string // ciphertext; a string, so that events can be compared
}

// NewPrivate holds text as personal data.
func NewPrivate(text string) Private { return Private{present: true, text: text} }

// Text is what is held, and "" when that is absent or its owner was erased.
func (p Private) Text() string { return p.text }

// IsZero reports whether nothing is held: the event does not speak of this field.
func (p Private) IsZero() bool { return !p.present }

// Erased reports whether the key to this is gone for good.
func (p Private) Erased() bool { return p.erased }

// Equal compares what is held, not how it is sealed.
func (p Private) Equal(other Private) bool {
	return p.present == other.present && p.erased == other.erased && p.text == other.text
}

// String tells nothing.
func (p Private) String() string { return "[private]" }

// Format tells nothing, whatever the verb: fmt would print the fields for those that are not of strings.
func (p Private) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[private]") }

// LogValue tells nothing.
func (p Private) LogValue() slog.Value { return slog.StringValue("[private]") }

var errUnsealed = errors.New("personal data was about to be encoded unsealed")

// MarshalJSON writes the ciphertext, in base64.
func (p Private) MarshalJSON() ([]byte, error) {
	if p.sealed == "" {
		return nil, errUnsealed
	}
	return strconv.AppendQuote(nil, base64.StdEncoding.EncodeToString([]byte(p.sealed))), nil
}

// UnmarshalJSON reads the ciphertext; open makes it text.
func (p *Private) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '"' {
		return errors.New("sealed personal data is a string")
	}
	sealed, err := base64.StdEncoding.AppendDecode(nil, data[1:len(data)-1])
	if err != nil {
		return fmt.Errorf("sealed personal data: %w", err)
	}
	*p = Private{present: true, sealed: string(sealed)}
	return nil
}

// Personal is an event that holds personal data of one person. Personal gives that person and the fields, in place. The order
// of the fields is part of the stored form: a new one comes last.
type Personal interface {
	Personal() (UserID, []*Private)
}

// A sealed value is 12 bytes of nonce, then the text under AES-256-GCM with its tag. What is authenticated besides says
// where the value belongs: it cannot be moved to another field, type of event or stream.

func (p *Private) seal(key []byte, belongs string) error {
	gcm, err := newGCM(key)
	if err != nil {
		return err
	}
	nonce := make([]byte, gcm.NonceSize(), gcm.NonceSize()+len(p.text)+gcm.Overhead())
	rand.Read(nonce) // never fails
	p.sealed = string(gcm.Seal(nonce, nonce, []byte(p.text), []byte(belongs)))
	return nil
}

func (p *Private) open(key []byte, belongs string) error {
	gcm, err := newGCM(key)
	if err != nil {
		return err
	}
	if len(p.sealed) < gcm.NonceSize() {
		return errors.New("sealed personal data is cut short")
	}
	sealed := []byte(p.sealed)
	text, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], []byte(belongs))
	if err != nil {
		return fmt.Errorf("open personal data: %w", err)
	}
	p.text = string(text)
	return nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of a person: %w", err)
	}
	return cipher.NewGCM(block)
}
