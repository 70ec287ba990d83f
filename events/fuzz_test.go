package events

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzDecode decodes what a log could hold, however it came there: nothing panics, what is refused is a DecodeError, and what is
// decoded can be encoded again and is the same event then.
func FuzzDecode(f *testing.F) {
	for name, event := range goldens {
		stored, err := os.ReadFile(filepath.Join(goldenFolder, name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		kind, _, _ := strings.Cut(name, ".v")
		f.Add(kind, int16(1), event.Stream(), stored)
	}
	codec := NewCodec(Types, keyring{})
	f.Fuzz(func(t *testing.T, kind string, schema int16, stream string, data []byte) {
		event, err := decodeOne(t, codec, Recorded{Position: math.MaxInt64, Stream: stream, Type: kind, Schema: schema, Data: data})
		if err != nil {
			var refused *DecodeError
			if !errors.As(err, &refused) || event != nil {
				t.Fatalf("it is %v, %v: not a DecodeError alone", event, err)
			}
			return
		}
		encoded, err := codec.Encode(t.Context(), []Event{event})
		if errors.Is(err, errUnsealed) {
			return // personal data that every such event has is absent: nobody writes that
		}
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		again, err := decodeOne(t, codec, record(encoded[0]))
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v\n%s", err, encoded[0].Data)
		}
		if diff := cmp.Diff(event, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("it became another event (-first +again):\n%s", diff)
		}
	})
}
