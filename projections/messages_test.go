package projections

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestSizeInJSONIsWhatTheEncoderWrites(t *testing.T) {
	t.Parallel()
	check := func(t rapid.TB, text string) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got, want := sizeInJSON(text), b.Len()-len("\n"); got != want {
			t.Errorf("%q takes %d bytes, want %d", text, got, want)
		}
	}
	for r := range rune(0x3000) {
		check(t, string(r))
	}
	rapid.Check(t, func(t *rapid.T) { check(t, text.Draw(t, "text")) })
}
