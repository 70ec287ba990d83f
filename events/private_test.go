package events

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrivateNeverPrintsWhatItHolds(t *testing.T) {
	t.Parallel()
	const secret = "13800138000"
	codec := NewCodec(Types, keyring{})
	fresh := UserStudentIDChanged{User: 7, StudentID: NewPrivate(secret)}
	opened := mustDecode(t, codec, record(mustEncode(t, codec, fresh)[0]))
	values := map[string]any{
		"alone": fresh.StudentID, "by pointer": &fresh.StudentID, "in an event": fresh, "in an event by pointer": &fresh,
		"in a decoded event": opened, "in a list": []Event{fresh, opened}, "in a recorded event": Recorded{Event: fresh},
		"in a map": map[string]Private{"a": fresh.StudentID}, "in an error": fmt.Errorf("no %v", fresh),
	}
	for where, value := range values {
		for verb := range strings.FieldsSeq("%v %+v %#v %s %q %x %X %d %o %b %c %U %t %e %g %10.3v") {
			if text := fmt.Sprintf(verb, value); leaks(text, secret) {
				t.Errorf("%s, %s prints %s", where, verb, text)
			}
		}
		for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var line bytes.Buffer
			slog.New(handler(&line)).InfoContext(t.Context(), "logged", slog.Any("value", value))
			if leaks(line.String(), secret) {
				t.Errorf("%s, slog's %s handler prints %s", where, name, line.String())
			}
		}
		if text, err := json.Marshal(value); leaks(string(text), secret) || err != nil && leaks(err.Error(), secret) {
			t.Errorf("%s, JSON has %s, %v", where, text, err)
		}
	}
}

// leaks looks for a secret as text, in hexadecimal and, for verbs of numbers, byte by byte.
func leaks(text, secret string) bool {
	bytewise := make([]string, len(secret))
	for i := range secret {
		bytewise[i] = strconv.Itoa(int(secret[i]))
	}
	return strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(secret))) ||
		strings.Contains(text, strings.Join(bytewise, " "))
}

func TestPrivateThatWasNotSealedIsNotEncoded(t *testing.T) {
	t.Parallel()
	event := UserStudentIDChanged{User: 7, StudentID: NewPrivate("20191234")}
	if text, err := json.Marshal(event); !errors.Is(err, errUnsealed) {
		t.Errorf("encoding/json makes %s of it, %v", text, err)
	}
	if text, err := marshal(event); !errors.Is(err, errUnsealed) {
		t.Errorf("the codec's own JSON makes %s of it, %v", text, err)
	}
}

func TestEncodeLeavesTheCallersEventAlone(t *testing.T) {
	t.Parallel()
	event := UserProfileChanged{User: 7, Username: NewPrivate("Ada"), Info: NewPrivate("")}
	before := event
	mustEncode(t, NewCodec(Types, keyring{}), event)
	if event != before { // == compares the ciphertext too
		t.Error("sealing went into the caller's event")
	}
}

func TestSameTextIsSealedDifferentlyEachTime(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	event := UserProfileChanged{User: 7, Username: NewPrivate("same"), Info: NewPrivate("same")}
	seen := map[string]bool{}
	for _, e := range mustEncode(t, codec, event, event) {
		var fields map[string]any
		if err := json.Unmarshal(e.Data, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"username", "info"} {
			seen[fields[name].(string)] = true
		}
		if leaks(string(e.Data), "same") {
			t.Errorf("the text is in %s", e.Data)
		}
	}
	if len(seen) != 4 {
		t.Errorf("4 times the same text is %d times something else", len(seen))
	}
}

func TestAbsentIsNotEmpty(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	encoded := mustEncode(t, codec, UserProfileChanged{User: 7, Info: NewPrivate("")})[0]
	event := mustDecode(t, codec, record(encoded)).(UserProfileChanged)
	if event.Info.IsZero() || event.Info.Text() != "" {
		t.Errorf("empty became %q, absent %t", event.Info.Text(), event.Info.IsZero())
	}
	if !event.Username.IsZero() || bytes.Contains(encoded.Data, []byte("username")) {
		t.Errorf("absent became present: %s", encoded.Data)
	}
	if event.Info.Equal(event.Username) {
		t.Error("absent equals empty")
	}
}

func TestErasedOwner(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	event := UserRegistered{User: 7, Phone: NewPrivate("+8613800138000"), Username: NewPrivate(""), Info: NewPrivate("hello"), Score: 10}
	stored := record(mustEncode(t, codec, event)[0])
	erased := NewCodec(Types, keysAre{7: nil})

	t.Run("leaves events without their personal data", func(t *testing.T) {
		t.Parallel()
		got := mustDecode(t, erased, stored).(UserRegistered)
		for name, field := range map[string]Private{"phone": got.Phone, "username": got.Username, "info": got.Info} {
			if !field.Erased() || field.Text() != "" || field.IsZero() {
				t.Errorf("%s: erased %t, text %q, absent %t", name, field.Erased(), field.Text(), field.IsZero())
			}
		}
		if got.Score != 10 || got.User != 7 {
			t.Errorf("the rest of the event became %+v", got)
		}
		if got.Phone.Equal(NewPrivate("")) {
			t.Error("erased equals empty")
		}
	})
	t.Run("does not touch what is absent", func(t *testing.T) {
		t.Parallel()
		changed := record(mustEncode(t, codec, UserProfileChanged{User: 7, Info: NewPrivate("hello")})[0])
		if got := mustDecode(t, erased, changed).(UserProfileChanged); got.Username.Erased() || !got.Username.IsZero() {
			t.Error("a field that the event does not speak of was erased")
		}
	})
	t.Run("gets no new personal data", func(t *testing.T) {
		t.Parallel()
		for name, codec := range map[string]*Codec{"erased": erased, "unknown": NewCodec(Types, keysAre{})} {
			if _, err := codec.Encode(t.Context(), []Event{event}); err == nil || !strings.Contains(err.Error(), "user-7") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("does not take other users' along", func(t *testing.T) {
		t.Parallel()
		other := event
		other.User = 8
		page := []Recorded{stored, record(mustEncode(t, codec, other)[0])}
		if err := NewCodec(Types, keysAre{7: nil, 8: keyOf(8)}).Decode(t.Context(), page); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Event(other), page[1].Event); diff != "" {
			t.Errorf("user 8 (-want +got):\n%s", diff)
		}
	})
}

func TestPersonalDataStaysWhereItWasSealed(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	info := func(user UserID) Recorded {
		return record(mustEncode(t, codec, UserProfileChanged{User: user, Info: NewPrivate("hello")})[0])
	}
	sealed := func(r Recorded, field string) []byte {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(r.Data, &fields); err != nil {
			t.Fatal(err)
		}
		return fields[field]
	}
	number := record(mustEncode(t, codec, UserStudentIDChanged{User: 7, StudentID: NewPrivate("1")})[0])
	for name, tampered := range map[string]func() (*Codec, Recorded){
		"under the key of another user": func() (*Codec, Recorded) {
			return NewCodec(Types, keysAre{7: keyOf(8)}), info(7)
		},
		"in an event of another user": func() (*Codec, Recorded) {
			r := info(8)
			r.Data = bytes.Replace(r.Data, sealed(r, "info"), sealed(info(7), "info"), 1)
			return codec, r
		},
		"in an event that says it is another user's": func() (*Codec, Recorded) {
			r := info(7)
			r.Data = bytes.Replace(r.Data, []byte(`"user":7`), []byte(`"user":8`), 1)
			return codec, r
		},
		"in another stream": func() (*Codec, Recorded) {
			r := info(7)
			r.Stream = "user-8"
			return codec, r
		},
		"in an event of another type": func() (*Codec, Recorded) {
			r := number
			r.Data = bytes.Replace(r.Data, sealed(number, "studentid"), sealed(info(7), "info"), 1)
			return codec, r
		},
		"with a bit changed": func() (*Codec, Recorded) {
			event := mustDecode(t, codec, info(7)).(UserProfileChanged)
			changed := []byte(event.Info.sealed)
			changed[len(changed)-1] ^= 1
			event.Info.sealed = string(changed)
			r := info(7)
			r.Data, _ = marshal(event)
			return codec, r
		},
		"cut short": func() (*Codec, Recorded) {
			r := info(7)
			r.Data = []byte(`{"user":7,"info":"QUJD"}`)
			return codec, r
		},
		"of nothing": func() (*Codec, Recorded) {
			r := info(7)
			r.Data = []byte(`{"user":7,"info":""}`)
			return codec, r
		},
		"of a user who has no key": func() (*Codec, Recorded) { return NewCodec(Types, keysAre{}), info(7) },
		"of a user whose key is none": func() (*Codec, Recorded) {
			return NewCodec(Types, keysAre{7: []byte("short")}), info(7)
		},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			codec, r := tampered()
			event, err := decodeOne(t, codec, r)
			var refused *DecodeError
			if !errors.As(err, &refused) || event != nil {
				t.Errorf("it is %v, %v", event, err)
			}
			if err != nil && leaks(err.Error(), "hello") {
				t.Errorf("the refusal tells: %v", err)
			}
		})
	}
}

func TestPrivateIsComparedByWhatItHolds(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	event := UserStudentIDChanged{User: 7, StudentID: NewPrivate("1")}
	opened := mustDecode(t, codec, record(mustEncode(t, codec, event)[0])).(UserStudentIDChanged)
	if !opened.StudentID.Equal(event.StudentID) {
		t.Error("the same text, sealed and not, is not equal")
	}
	if opened.StudentID.Equal(NewPrivate("2")) {
		t.Error("another text is equal")
	}
}
