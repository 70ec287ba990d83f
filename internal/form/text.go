package form

import (
	"fmt"
	"unicode/utf8"
)

// Text reads a required field of least to most characters. A JSON number is
// read as its literal.
func (f *Form) Text(name string, least, most int) string {
	return required(f, name, f.OptionalText(name, least, most))
}

// OptionalText is Text for a field that may be left out; then it is nil.
func (f *Form) OptionalText(name string, least, most int) *string {
	return f.bounded(name, value.scalar, least, most)
}

// RawText is Text for a field which in a JSON body may also be a list or an
// object: that is read as its JSON, exactly as it was sent.
func (f *Form) RawText(name string, least, most int) string {
	return required(f, name, f.OptionalRawText(name, least, most))
}

// OptionalRawText is RawText for a field that may be left out; then it is nil.
func (f *Form) OptionalRawText(name string, least, most int) *string {
	return f.bounded(name, value.raw, least, most)
}

func (f *Form) bounded(name string, content func(value) (string, bool), least, most int) *string {
	if !f.Has(name) {
		return nil
	}
	text, ok := content(f.fields[name])
	if !ok {
		f.fail(name, "must be text")
		return nil
	}
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && least > 0:
		f.fail(name, "must not be empty")
	case n < least:
		f.fail(name, fmt.Sprintf("must have at least %d characters", least))
	case n > most:
		f.fail(name, fmt.Sprintf("must have at most %d characters", most))
	default:
		return &text
	}
	return nil
}
