package form

import (
	"io"
	"net/url"
	"strings"

	"foof/internal/fault"
)

// readURLEncoded decodes name=value pairs joined by "&". A pair without "=" is
// a field with no text; nothing between two "&" is no field.
func (f *Form) readURLEncoded(body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return brokeOff(err)
	}
	for rest := string(data); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" {
			continue
		}
		if err := f.readPair(pair); err != nil {
			return err
		}
	}
	return nil
}

func (f *Form) readPair(pair string) error {
	// Some servers took ";" for "&" once. Refusing it keeps two readers of
	// one body from seeing different fields (https://go.dev/issue/25192).
	if strings.Contains(pair, ";") {
		return fault.Invalid("body", "a semicolon must be written as %3B")
	}
	left, right, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(left)
	if err != nil {
		return fault.Invalid("body", "the name of a field has a % that is not followed by two hex digits")
	}
	if err := f.open(name); err != nil {
		return err
	}
	text, err := url.QueryUnescape(right)
	if err != nil {
		return fault.Invalid(shown(name), "has a % that is not followed by two hex digits")
	}
	return f.put(name, value{text: text})
}
