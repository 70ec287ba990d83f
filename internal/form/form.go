// Package form reads what a POST carries, in whichever of three encodings it
// comes: application/x-www-form-urlencoded, multipart/form-data or
// application/json. All three give the same Form.
//
// A handler reads a Form like a list and asks once whether all was well:
//
//	f, err := form.Read(w, r, form.Limits{})
//	if err != nil {
//		return err
//	}
//	title := f.Text("title", 1, 255)
//	note := f.OptionalText("note", 0, 10_000)
//	price := f.Price("price")
//	sold := f.Int("sold", form.OneOf(1, -1))
//	if err := f.Err(); err != nil {
//		return err
//	}
package form

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"foof/internal/fault"
)

// Form is what one request carried: fields by name, and files in the order in
// which they came.
//
// The getters collect faults: the first one, in the order in which fields are
// read, is what Err returns, and a getter that finds a fault returns the zero
// value. Fields that nobody reads are ignored. A Form is for one goroutine.
type Form struct {
	fields map[string]value
	files  []File
	limits Limits
	opened int   // fields and files begun so far, while reading
	fault  error // the first fault that a getter found
}

// File is a part of a multipart body that came with a file name.
type File struct {
	Field string // the name of the form's field; several files may share it
	Name  string // the last element of the file name that the client gave; may be empty
	Data  []byte
}

// Invalid says what is wrong with the file, by the name of its field.
func (f File) Invalid(wrong string) *fault.Error { return fault.Invalid(shown(f.Field), wrong) }

// shape is what kind of thing a field holds. What urlencoded and multipart
// bodies hold is always text.
type shape uint8

const (
	shapeText shape = iota
	shapeNumber
	shapeBoolean
	shapeNull
	shapeList
	shapeObject
)

// value is one field: its text, the literal of a number, or the JSON of
// anything else, as it was sent.
type value struct {
	shape shape
	text  string
}

// scalar gives what a field holds that is text or a number.
func (v value) scalar() (text string, ok bool) {
	if v.shape == shapeText || v.shape == shapeNumber {
		return v.text, true
	}
	return "", false
}

// raw gives what a field holds that is a scalar, a list or an object.
func (v value) raw() (text string, ok bool) {
	if v.shape == shapeList || v.shape == shapeObject {
		return v.text, true
	}
	return v.scalar()
}

// Sum is a hash (SHA-256) of what was asked for: of a purpose, such as the path, and of all fields and files but one. It is the
// same for the same in another encoding, or in another order of fields.
func (f *Form) Sum(purpose, besides string) [32]byte {
	h := sha256.New()
	write := func(parts ...string) {
		for _, part := range parts {
			_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
			_, _ = io.WriteString(h, part)
		}
	}
	write(purpose)
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		if name != besides {
			write("field", name, f.fields[name].text)
		}
	}
	for _, file := range f.files {
		write("file", file.Field, string(file.Data))
	}
	return [32]byte(h.Sum(nil))
}

// Has reports whether the field was sent. A JSON null counts as not sent.
func (f *Form) Has(name string) bool {
	v, ok := f.fields[name]
	return ok && v.shape != shapeNull
}

// Lookup gives a field that is text or a number, as it was sent. It sets no
// bounds and collects no fault: it is for fields whose faults are answered in
// words of their own, such as the token.
func (f *Form) Lookup(name string) (text string, ok bool) {
	if v, sent := f.fields[name]; sent {
		return v.scalar()
	}
	return "", false
}

// Files gives the files of a multipart body in the order in which they came.
// A file input that was left empty (no file name, no data) is not among them.
func (f *Form) Files() []File { return f.files }

// Err gives the first fault that a getter has found so far, or nil. It is a
// *fault.Error of KindInvalid.
func (f *Form) Err() error { return f.fault }

// fail collects a fault.
func (f *Form) fail(name, wrong string) {
	if f.fault == nil {
		f.fault = fault.Invalid(name, wrong)
	}
}

// required turns an optional reading into a required one.
func required[T any](f *Form, name string, v *T) T {
	if v == nil {
		f.fail(name, "is missing") // no news if the reading itself failed
		var zero T
		return zero
	}
	return *v
}

// open begins a field or a file called name, if its name is sound and there is
// room for it.
func (f *Form) open(name string) error {
	f.opened++
	if f.opened > f.limits.Fields {
		return fault.Invalid("body", fmt.Sprintf("too many fields (at most %d)", f.limits.Fields))
	}
	if wrong := unsound(name); wrong != "" {
		return fault.Invalid("body", "the name of a field "+wrong)
	}
	return nil
}

// put fills the field that was opened as name.
func (f *Form) put(name string, v value) error {
	if _, taken := f.fields[name]; taken {
		return fault.Invalid(shown(name), "is given twice")
	}
	if len(v.text) > f.limits.Text {
		return fault.Invalid(shown(name), fmt.Sprintf("is longer than %d bytes", f.limits.Text))
	}
	if wrong := unsound(v.text); wrong != "" {
		return fault.Invalid(shown(name), wrong)
	}
	f.fields[name] = v
	return nil
}

// unsound says why text cannot be stored, or nothing.
func unsound(text string) string {
	switch {
	case !utf8.ValidString(text):
		return "must be valid UTF-8"
	case strings.ContainsRune(text, 0):
		return "must not contain NUL"
	}
	return ""
}

// shownRunes is how much of a name that a client made up goes into a fault.
const shownRunes = 40

// shown is name as a fault may show it: short and on one line.
func shown(name string) string {
	runes := 0
	for i := range name {
		if runes == shownRunes {
			name = name[:i] + "…"
			break
		}
		runes++
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(name)
	}
	return name
}
