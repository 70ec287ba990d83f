package form

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"foof/internal/fault"
)

// readMultipart decodes a body of parts (RFC 7578). A part with a file name is
// a file, any other one a field.
func (f *Form) readMultipart(body io.Reader, boundary string) error {
	if !isBoundary(boundary) {
		return fault.Invalid("content-type", "has no usable boundary")
	}
	parts := multipart.NewReader(unended(body), boundary)
	for {
		// Not NextPart: it would decode quoted-printable behind our back.
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformedMultipart(err)
		}
		if err := f.readPart(part); err != nil {
			return err
		}
	}
	// What follows the closing boundary means nothing (RFC 2046, 5.1.1).
	if _, err := io.Copy(io.Discard, body); err != nil {
		return brokeOff(err)
	}
	return nil
}

// isBoundary is laxer than RFC 2046 about characters, as clients are, but not
// about length: multipart.Reader is only right with short ones.
func isBoundary(boundary string) bool {
	return 0 < len(boundary) && len(boundary) <= 70 &&
		!strings.HasSuffix(boundary, " ") &&
		!strings.ContainsFunc(boundary, func(r rune) bool { return r < ' ' || r > '~' })
}

// unended is body with io.ErrUnexpectedEOF in the place of io.EOF, and a line
// end before that.
//
// multipart.Reader takes a body that breaks off inside the header of a part
// for one that ended well. This way only the closing boundary ends it; the
// line end is for clients that send none after it.
func unended(body io.Reader) io.Reader {
	return io.MultiReader(body, strings.NewReader("\r\n"), cutOff{})
}

type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func malformedMultipart(err error) error {
	_, limited := errors.AsType[*http.MaxBytesError](err)
	switch {
	case limited:
		return fault.ErrTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Invalid("body", "breaks off before its closing boundary")
	default:
		return fault.Invalid("body", "is not well-formed "+typeMultipart)
	}
}

func (f *Form) readPart(part *multipart.Part) error {
	params, err := disposition(part)
	if err != nil {
		return err
	}
	name, named := params["name"]
	if !named {
		return fault.Invalid("body", "a part has no name")
	}
	if err := f.open(name); err != nil {
		return err
	}
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default:
		return fault.Invalid(shown(name), "must not have a Content-Transfer-Encoding")
	}
	if filename, isFile := params["filename"]; isFile {
		return f.readFile(part, name, filename)
	}
	return f.readText(part, name)
}

// disposition gives the parameters of the part's Content-Disposition.
func disposition(part *multipart.Part) (map[string]string, error) {
	given := part.Header.Values("Content-Disposition")
	if len(given) != 1 {
		return nil, fault.Invalid("body", "a part must have one Content-Disposition")
	}
	kind, params, err := mime.ParseMediaType(given[0])
	if err != nil || kind != "form-data" {
		return nil, fault.Invalid("body", "a part has a malformed Content-Disposition")
	}
	return params, nil
}

func (f *Form) readFile(part *multipart.Part, field, path string) error {
	if wrong := unsound(path); wrong != "" {
		return fault.Invalid(shown(field), "the name of the file "+wrong)
	}
	data, err := io.ReadAll(io.LimitReader(part, f.limits.File+1))
	if err != nil {
		return malformedMultipart(err)
	}
	if int64(len(data)) > f.limits.File {
		return fault.ErrTooLarge
	}
	if path == "" && len(data) == 0 {
		return nil // what browsers send for a file input that was left empty
	}
	// Old browsers send the whole path, with the separators of their system.
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	f.files = append(f.files, File{Field: field, Name: name, Data: data})
	return nil
}

func (f *Form) readText(part *multipart.Part, name string) error {
	if _, params, err := mime.ParseMediaType(part.Header.Get("Content-Type")); err == nil && !isUTF8(params) {
		return fault.Invalid(shown(name), "charset must be utf-8")
	}
	text, err := io.ReadAll(io.LimitReader(part, int64(f.limits.Text)+1))
	if err != nil {
		return malformedMultipart(err)
	}
	return f.put(name, value{text: string(text)})
}
