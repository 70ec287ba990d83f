package form

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"foof/internal/fault"

	"github.com/go-json-experiment/json/jsontext"
)

// readJSON decodes one JSON object. That names are unique, also in objects
// within, and that escapes are whole characters (no lone surrogates) is what
// jsontext insists on by default.
func (f *Form) readJSON(body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return brokeOff(err)
	}
	if !utf8.Valid(data) {
		return fault.Invalid("body", "must be valid UTF-8")
	}
	d := &jsonDecoder{Decoder: jsontext.NewDecoder(bytes.NewBuffer(data)), data: data, depth: f.limits.Depth}
	if open, err := d.ReadToken(); err != nil || open.Kind() != '{' {
		return fault.Invalid("body", "must be a JSON object")
	}
	for {
		name, err := d.ReadToken()
		if err != nil {
			return malformedJSON(err)
		}
		if name.Kind() == '}' {
			break
		}
		if err := f.readMember(d, name.String()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return fault.Invalid("body", "must end with the JSON object")
	}
	return nil
}

func (f *Form) readMember(d *jsonDecoder, name string) error {
	if err := f.open(name); err != nil {
		return err
	}
	v, err := d.value(name)
	if err != nil {
		return err
	}
	return f.put(name, v)
}

// jsonDecoder reads values token by token, which, unlike reading them whole,
// takes no stack for their depth.
type jsonDecoder struct {
	*jsontext.Decoder
	data  []byte // all of the input
	depth int    // the most levels there may be
}

// value reads the value of the member called name.
func (d *jsonDecoder) value(name string) (value, error) {
	first, err := d.ReadToken()
	if err != nil {
		return value{}, malformedJSON(err)
	}
	switch first.Kind() {
	case '"':
		return value{shapeText, first.String()}, nil
	case '0':
		return value{shapeNumber, first.String()}, nil
	case 'n':
		return value{shape: shapeNull}, nil
	case '[':
		return d.nested(name, shapeList)
	case '{':
		return d.nested(name, shapeObject)
	default:
		return value{shapeBoolean, first.String()}, nil
	}
}

// nested reads the rest of a list or object whose bracket was just read.
func (d *jsonDecoder) nested(name string, s shape) (value, error) {
	start, outside := d.InputOffset()-1, d.StackDepth()-1
	for d.StackDepth() > outside {
		if d.StackDepth() > d.depth {
			return value{}, fault.Invalid(shown(name), fmt.Sprintf("is nested more than %d levels deep", d.depth))
		}
		token, err := d.ReadToken()
		if err != nil {
			return value{}, malformedJSON(err)
		}
		if token.Kind() != '"' {
			continue
		}
		if wrong := unsound(token.String()); wrong != "" {
			return value{}, fault.Invalid(shown(name), wrong)
		}
	}
	return value{s, string(d.data[start:d.InputOffset()])}, nil
}

func malformedJSON(err error) error {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok:
		return fault.Invalid("body", "is not valid JSON")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fault.Invalid(shown(syntax.JSONPointer.LastToken()), "is given twice")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Invalid("body", "breaks off before the end of the JSON object")
	default:
		return fault.Invalid("body", fmt.Sprintf("is not valid JSON (at byte %d)", syntax.ByteOffset))
	}
}
