package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// boxMoved is an event type of three forms: where a box is was its place alone at first, then its place and floor, and is both
// in one member now. In the second form its owner got a note, sealed.
type boxMoved struct {
	Box   int64   `json:"box"`
	Owner UserID  `json:"owner"`
	To    spot    `json:"to"`
	Note  Private `json:"note,omitzero"`
}

type spot struct {
	Place string `json:"place"`
	Floor int    `json:"floor"`
}

func (boxMoved) Stream() string { return "box-1" }

func (e *boxMoved) Personal() (UserID, []*Private) { return e.Owner, []*Private{&e.Note} }

var boxes = NewRegistry(
	Define[ItemTraded]("item.traded", 1),
	Define[boxMoved]("box.moved", 3, addFloor, joinSpot),
)

func addFloor(data []byte) ([]byte, error) {
	return rewrite(data, func(box map[string]json.RawMessage) error {
		box["floor"] = json.RawMessage("2")
		return nil
	})
}

var errNowhere = errors.New("a box that is nowhere")

func joinSpot(data []byte) ([]byte, error) {
	return rewrite(data, func(box map[string]json.RawMessage) error {
		if string(box["place"]) == `""` {
			return errNowhere
		}
		box["to"] = json.RawMessage(`{"place":` + string(box["place"]) + `,"floor":` + string(box["floor"]) + `}`)
		delete(box, "place")
		delete(box, "floor")
		return nil
	})
}

func rewrite(data []byte, change func(map[string]json.RawMessage) error) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	if err := change(members); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

func TestDecodeUpcasts(t *testing.T) {
	t.Parallel()
	codec := NewCodec(boxes, keyring{})
	note := NewPrivate("mind the step")
	if err := note.seal(keyOf(7), belongs("box.moved", 0, "box-1")); err != nil {
		t.Fatal(err)
	}
	sealed, err := note.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		schema int16
		data   string
		want   boxMoved
	}{
		"the first form": {1, `{"box":1,"owner":7,"place":"attic"}`, boxMoved{Box: 1, Owner: 7, To: spot{"attic", 2}}},
		"the second form": {
			2, `{"box":1,"owner":7,"place":"attic","floor":5,"note":` + string(sealed) + `}`,
			boxMoved{Box: 1, Owner: 7, To: spot{"attic", 5}, Note: NewPrivate("mind the step")},
		},
		"today's form": {3, `{"box":1,"owner":7,"to":{"place":"attic","floor":5}}`, boxMoved{Box: 1, Owner: 7, To: spot{"attic", 5}}},
	} {
		t.Run(name+" becomes today's event", func(t *testing.T) {
			t.Parallel()
			page := []Recorded{{Position: 1, Stream: "box-1", Version: 1, Type: "box.moved", Schema: c.schema, Data: []byte(c.data)}}
			if err := codec.Decode(t.Context(), page); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Event(c.want), page[0].Event); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if string(page[0].Data) != c.data || page[0].Schema != c.schema {
				t.Errorf("what is stored became v%d %s", page[0].Schema, page[0].Data)
			}
		})
	}
	t.Run("and today's form is what is written", func(t *testing.T) {
		t.Parallel()
		got := mustEncode(t, codec, boxMoved{Box: 1, Owner: 7, To: spot{"attic", 5}})
		want := []Encoded{{Stream: "box-1", Type: "box.moved", Schema: 3, Data: []byte(`{"box":1,"owner":7,"to":{"place":"attic","floor":5}}`)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	codec := NewCodec(boxes, keyring{})
	for name, c := range map[string]struct {
		kind   string
		schema int16
		data   string
		is     error
	}{
		"an unknown type":                         {"box.burned", 1, `{}`, ErrUnknownType},
		"no type":                                 {"", 1, `{}`, ErrUnknownType},
		"a newer form":                            {"box.moved", 4, `{}`, ErrNewerForm},
		"a form before the first":                 {"box.moved", 0, `{}`, ErrNewerForm},
		"a form below none":                       {"box.moved", -1, `{}`, ErrNewerForm},
		"an older form that its upcast refuses":   {"box.moved", 1, `{"box":1,"owner":7,"place":""}`, errNowhere},
		"an older form that is no JSON":           {"box.moved", 1, `{"box"`, nil},
		"a member that it does not know":          {"item.traded", 1, `{"item":1,"buyer":2,"sold":2,"price":3}`, nil},
		"a member spelt with other capitals":      {"item.traded", 1, `{"Item":1,"buyer":2,"sold":2}`, nil},
		"a member that comes twice":               {"item.traded", 1, `{"item":1,"item":1,"buyer":2,"sold":2}`, nil},
		"a member of another type":                {"item.traded", 1, `{"item":"1","buyer":2,"sold":2}`, nil},
		"a number that does not fit":              {"item.traded", 1, `{"item":1,"buyer":2,"sold":2147483648}`, nil},
		"a fraction":                              {"item.traded", 1, `{"item":1.5,"buyer":2,"sold":2}`, nil},
		"more than one value":                     {"item.traded", 1, `{"item":1,"buyer":2,"sold":2}{}`, nil},
		"a list":                                  {"item.traded", 1, `[]`, nil},
		"nothing":                                 {"item.traded", 1, ``, nil},
		"text that is not UTF-8":                  {"box.moved", 3, "{\"to\":{\"place\":\"\xff\"}}", nil},
		"personal data that is no text":           {"box.moved", 3, `{"owner":7,"note":1}`, nil},
		"personal data that is null":              {"box.moved", 3, `{"owner":7,"note":null}`, nil},
		"personal data that is not in base64":     {"box.moved", 3, `{"owner":7,"note":"*"}`, nil},
		"personal data that was never enciphered": {"box.moved", 3, `{"owner":7,"note":"bWluZCB0aGUgc3RlcCwgbWluZCB0aGUgc3RlcA=="}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, err := decodeOne(t, codec, Recorded{Position: 9, Stream: "box-1", Type: c.kind, Schema: c.schema, Data: []byte(c.data)})
			var refused *DecodeError
			if !errors.As(err, &refused) {
				t.Fatalf("it is %+v, %v: not a DecodeError", event, err)
			}
			if refused.Position != 9 || refused.Stream != "box-1" || refused.Type != c.kind || refused.Schema != c.schema {
				t.Errorf("the error is about another event: %v", refused)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("the reason is %v, want %v", refused.Err, c.is)
			}
			if event != nil {
				t.Errorf("there is an event beside the error: %+v", event)
			}
		})
	}
}

func TestDecodeErrorSaysWhichEvent(t *testing.T) {
	t.Parallel()
	_, err := decodeOne(t, NewCodec(boxes, keyring{}), Recorded{Position: 9, Stream: "box-1", Type: "box.burned", Schema: 2})
	const want = "event 9 (box-1 box.burned v2): unknown event type: was it written by a newer foof?"
	if err == nil || err.Error() != want {
		t.Errorf("it says %v, want %s", err, want)
	}
}

func TestDecodeEndsAtTheFirstThatItCannotDecode(t *testing.T) {
	t.Parallel()
	page := []Recorded{
		{Position: 1, Stream: "item-1", Type: "item.traded", Schema: 1, Data: []byte(`{"item":1,"buyer":2,"sold":2}`)},
		{Position: 2, Stream: "box-1", Type: "box.burned", Schema: 1},
		{Position: 3, Stream: "box-1", Type: "box.moved", Schema: 4},
	}
	err := NewCodec(boxes, keyring{}).Decode(t.Context(), page)
	var refused *DecodeError
	if !errors.As(err, &refused) || refused.Position != 2 {
		t.Errorf("it is %v", err)
	}
}

// asked is a keyring that notes what it was asked for.
type asked struct {
	keyring

	users [][]UserID
}

func (a *asked) Keys(ctx context.Context, users []UserID) (map[UserID][]byte, error) {
	slices.Sort(users)
	a.users = append(a.users, users)
	return a.keyring.Keys(ctx, users)
}

func TestDecodeAsksForAllKeysOfAPageAtOnce(t *testing.T) {
	t.Parallel()
	keys := &asked{}
	codec := NewCodec(Types, keys)
	facts := []Event{
		UserStudentIDChanged{User: 8, StudentID: NewPrivate("1")},
		ItemTraded{Item: 1, Buyer: 2, Sold: SoldOut},
		UserStudentIDChanged{User: 7, StudentID: NewPrivate("2")},
		UserProfileChanged{User: 8, Info: NewPrivate("3")},
	}
	var page, impersonal []Recorded
	for _, e := range mustEncode(t, codec, facts...) {
		page = append(page, record(e))
	}
	impersonal = append(impersonal, page[1])
	keys.users = nil
	if err := codec.Decode(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	if err := codec.Decode(t.Context(), impersonal); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]UserID{{7, 8}}, keys.users); diff != "" {
		t.Errorf("keys asked for (-want +got):\n%s", diff)
	}
	for i, want := range facts {
		if diff := cmp.Diff(want, page[i].Event); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestKeyringThatFailsIsNoFaultOfTheEvent(t *testing.T) {
	t.Parallel()
	event := UserStudentIDChanged{User: 7, StudentID: NewPrivate("1")}
	stored := record(mustEncode(t, NewCodec(Types, keyring{}), event)[0])
	codec := NewCodec(Types, brokenKeyring{})
	_, decoding := decodeOne(t, codec, stored)
	_, encoding := codec.Encode(t.Context(), []Event{event})
	for what, err := range map[string]error{"decoding": decoding, "encoding": encoding} {
		if !errors.Is(err, errNoKeyring) || errors.As(err, new(*DecodeError)) {
			t.Errorf("%s is %v", what, err)
		}
	}
}

func TestEncodeRefusesWhatIsNotRegistered(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	for name, event := range map[string]Event{"a stranger": boxMoved{}, "a pointer": &ItemTraded{}, "nothing": nil} {
		if got, err := codec.Encode(t.Context(), []Event{event}); err == nil {
			t.Errorf("%s becomes %v", name, got)
		}
	}
	if _, err := codec.Encode(t.Context(), []Event{ItemPublished{Title: "\xff"}}); err == nil || !strings.Contains(err.Error(), "item.published") {
		t.Errorf("text that is not UTF-8: %v", err)
	}
}

func TestEncodePutsEachEventInItsStream(t *testing.T) {
	t.Parallel()
	encoded := mustEncode(t, NewCodec(Types, keyring{}),
		PhoneClaimed{Phone: "ab", Code: "c", User: 7}, UserPasswordChanged{User: 7, Password: "p", At: time.Unix(0, 0).UTC()}, ItemTraded{Item: 3})
	var streams []string
	for _, e := range encoded {
		streams = append(streams, e.Stream)
	}
	if diff := cmp.Diff([]string{"phone-ab", "user-7", "item-3"}, streams); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meta   Metadata
		stored string
	}{
		"has what is known":       {Metadata{Actor: 7, Command: "a", Correlation: "b", Causation: "c"}, `{"actor":7,"command":"a","correlation":"b","causation":"c"}`},
		"leaves out what is not":  {Metadata{Command: "a"}, `{"command":"a"}`},
		"is text of any language": {Metadata{Command: "a", Correlation: "关联<\"🔗"}, `{"command":"a","correlation":"关联<\"🔗"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored, err := EncodeMetadata(c.meta)
			if err != nil || string(stored) != c.stored {
				t.Fatalf("stored as %s, %v, want %s", stored, err, c.stored)
			}
			r := Recorded{Position: 4, Meta: bytes.Clone(stored)}
			if got, err := r.Metadata(); err != nil || got != c.meta {
				t.Errorf("read as %+v, %v, want %+v", got, err, c.meta)
			}
		})
	}
	t.Run("that cannot be read says of which event", func(t *testing.T) {
		t.Parallel()
		r := Recorded{Position: 4, Meta: []byte(`{"who":1}`)}
		if got, err := r.Metadata(); err == nil || !strings.Contains(err.Error(), "event 4") {
			t.Errorf("it is %+v, %v", got, err)
		}
	})
	t.Run("that is not text is refused", func(t *testing.T) {
		t.Parallel()
		if stored, err := EncodeMetadata(Metadata{Correlation: "\xff"}); err == nil {
			t.Errorf("it is stored as %s", stored)
		}
	})
}

func TestEmptyIsNotAbsent(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	for name, event := range map[string]Event{
		"what becomes empty or zero": ItemModified{
			Item: 41, Title: new(""), Type: new(int32(0)), Price: new(Price(0)), ImgURL: new(""), Depreciation: new(int32(0)),
			Note: new(""), Sold: new(Sold(0)),
		},
		"what stays as it is": ItemModified{Item: 41},
	} {
		if diff := cmp.Diff(event, mustDecode(t, codec, record(mustEncode(t, codec, event)[0]))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
