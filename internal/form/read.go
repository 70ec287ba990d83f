package form

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"foof/internal/fault"
)

// Limits says how much of a request is read. Zero means the default.
type Limits struct {
	Body   int64 // bytes of the whole body; 1 MiB
	Fields int   // fields and files together; 100
	Text   int   // bytes of one field, decoded; 512 KiB
	File   int64 // bytes of one file; as many as the body may have
	Depth  int   // levels of lists and objects in JSON, the outermost object included; 16
}

func (l Limits) orDefaults() Limits {
	l.Body = cmp.Or(l.Body, 1<<20)
	l.Fields = cmp.Or(l.Fields, 100)
	l.Text = cmp.Or(l.Text, 512<<10)
	l.File = cmp.Or(l.File, l.Body)
	l.Depth = cmp.Or(l.Depth, 16)
	return l
}

const (
	typeURLEncoded = "application/x-www-form-urlencoded"
	typeMultipart  = "multipart/form-data"
	typeJSON       = "application/json"
)

// Read decodes the body of r. The query of its URL is ignored. An empty body
// is an empty form, whatever its content type.
//
// Text is as it was sent: nothing is trimmed or normalised. No name and no
// field contains NUL or invalid UTF-8, and no two fields have the same name;
// a body in which they would is refused, as is one that is malformed, breaks
// off, is compressed, or has a content type other than the three.
//
// Every error is a *fault.Error: of KindTooLarge if the body or a file in it
// is larger than its limit, else of KindInvalid. A body whose Content-Length
// is too large is not read at all, any other one at most a byte beyond the limit.
// After a nil error the body was read to its end. Memory stays within a small
// multiple of the limit, and nothing goes to disk.
func Read(w http.ResponseWriter, r *http.Request, l Limits) (*Form, error) {
	l = l.orDefaults()
	f := &Form{fields: map[string]value{}, limits: l}
	if r.ContentLength > l.Body {
		return nil, fault.ErrTooLarge
	}
	if r.Body == nil {
		return f, nil
	}
	if err := checkContentEncoding(r.Header); err != nil {
		return nil, err
	}
	body := bufio.NewReader(http.MaxBytesReader(w, r.Body, l.Body))
	switch _, err := body.Peek(1); {
	case errors.Is(err, io.EOF):
		return f, nil
	case err != nil:
		return nil, brokeOff(err)
	}
	if err := f.decode(r.Header, body); err != nil {
		return nil, err
	}
	return f, nil
}

// decode picks the decoder that the content type asks for.
func (f *Form) decode(h http.Header, body io.Reader) error {
	media, params, err := contentType(h)
	if err != nil {
		return err
	}
	switch media {
	case typeURLEncoded:
		return f.readURLEncoded(body)
	case typeMultipart:
		return f.readMultipart(body, params["boundary"])
	case typeJSON:
		return f.readJSON(body)
	default:
		return fault.Invalid("content-type", "must be "+typeURLEncoded+", "+typeMultipart+" or "+typeJSON)
	}
}

// contentType reads the header of that name. A request without one has the
// empty media type.
func contentType(h http.Header) (media string, params map[string]string, err error) {
	given := h.Values("Content-Type")
	switch len(given) {
	case 0:
		return "", nil, nil
	case 1:
	default:
		return "", nil, fault.Invalid("content-type", "is given twice")
	}
	media, params, err = mime.ParseMediaType(given[0])
	if err != nil {
		return "", nil, fault.Invalid("content-type", "is malformed")
	}
	if !isUTF8(params) {
		return "", nil, fault.Invalid("content-type", "charset must be utf-8")
	}
	return media, params, nil
}

// isUTF8 reports whether the parameters of a media type leave the charset
// open or say UTF-8.
func isUTF8(params map[string]string) bool {
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

func checkContentEncoding(h http.Header) error {
	for _, encoding := range h.Values("Content-Encoding") {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return fault.Invalid("content-encoding", "must be identity: send the body uncompressed")
		}
	}
	return nil
}

// brokeOff is the fault of a body that could not be read to its end, which is
// either the limit's doing or the connection's.
func brokeOff(err error) error {
	if _, limited := errors.AsType[*http.MaxBytesError](err); limited {
		return fault.ErrTooLarge
	}
	broke := fault.Invalid("body", "breaks off before its end")
	broke.Cause = err
	return broke
}
