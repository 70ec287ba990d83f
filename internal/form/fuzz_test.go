package form

import (
	"bytes"
	"errors"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"foof/internal/fault"
)

// FuzzRead sends any body with any content type. The limits are small, so that
// small bodies reach them.
func FuzzRead(f *testing.F) {
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		in := bytes.NewReader(body)
		form, err := Read(nil, request(contentType, in), Limits{Body: 2000, Fields: 8, Text: 500, File: 1000, Depth: 4})
		if err != nil {
			found, ok := err.(*fault.Error) //nolint:errorlint // Read promises the type itself
			if !ok || found.Kind != fault.KindInvalid && found.Kind != fault.KindTooLarge {
				t.Fatalf("Read: %T %v, want a fault that is invalid or too large", err, err)
			}
			checkShown(t, found)
			return
		}
		if in.Len() > 0 {
			t.Errorf("%d bytes are left unread", in.Len())
		}
		for name := range form.fields {
			checkField(t, form, name)
		}
		for _, file := range form.Files() {
			checkText(t, file.Field)
			checkText(t, file.Name)
		}
	})
}

// checkField reads the field with every getter, each on its own form.
func checkField(t *testing.T, form *Form, name string) {
	t.Helper()
	checkText(t, name)
	getters := []func(f *Form) string{
		func(f *Form) string { text, _ := f.Lookup(name); return text },
		func(f *Form) string { return f.Text(name, 0, 100) },
		func(f *Form) string { return f.RawText(name, 0, 100) },
		func(f *Form) string { f.Int(name, Between(0, 5)); return "" },
		func(f *Form) string { f.ID(name); return "" },
		func(f *Form) string { f.Price(name); return "" },
		func(f *Form) string { f.List(name, 5); return "" },
	}
	for _, get := range getters {
		fresh := *form
		text := get(&fresh)
		checkText(t, text)
		var found *fault.Error
		switch err := fresh.Err(); {
		case err == nil:
		case !errors.As(err, &found) || found.Kind != fault.KindInvalid:
			t.Errorf("Err of %q: %v, want a fault that is invalid", name, err)
		case text != "":
			t.Errorf("a getter returns %q in spite of %v", text, err)
		}
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		t.Errorf("%q is not sound", text)
	}
}

// checkShown checks that what people are told is short, readable text.
func checkShown(t *testing.T, found *fault.Error) {
	t.Helper()
	checkText(t, found.Info)
	if len(found.Info) > 600 || strings.ContainsAny(found.Info, "\r\n") {
		t.Errorf("Info is no message for people: %q", found.Info)
	}
	if found.Kind == fault.KindInvalid && !strings.Contains(found.Info, ": ") {
		t.Errorf("Info %q does not say which field it is about", found.Info)
	}
}

var decimal = regexp.MustCompile(`^\d+(\.\d+)?$`)

// FuzzPrice compares parsePrice with arithmetic on fractions.
func FuzzPrice(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			t.Skip("big.Rat takes its time")
		}
		got, wrong := parsePrice(text)
		want, ok := new(big.Rat), decimal.MatchString(text)
		if ok {
			want.SetString(text)
			want.Mul(want, big.NewRat(100, 1))
			ok = want.IsInt() && want.Cmp(big.NewRat(MaxPrice, 1)) <= 0
		}
		switch {
		case ok != (wrong == ""):
			t.Errorf("parsePrice(%q) = %d, %q, want valid = %t", text, got, wrong, ok)
		case ok && strconv.FormatInt(got, 10) != want.Num().String():
			t.Errorf("parsePrice(%q) = %d, want %s", text, got, want.Num())
		case !ok && got != 0:
			t.Errorf("parsePrice(%q) = %d in spite of %q", text, got, wrong)
		}
	})
}
