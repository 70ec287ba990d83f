package form

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"foof/internal/fault"
)

func TestContentTypes(t *testing.T) {
	t.Parallel()
	const unknown = "content-type: must be application/x-www-form-urlencoded, multipart/form-data or application/json"
	tests := []struct {
		name, contentType, body string
		want                    string // the fault, if any
	}{
		{"parameters are allowed", "application/json; charset=utf-8; profile=x", `{"a":"1"}`, ""},
		{"the charset may be in capitals", "application/x-www-form-urlencoded; charset=UTF-8", "a=1", ""},
		{"the charset may be quoted", `application/x-www-form-urlencoded;charset="Utf-8"`, "a=1", ""},
		{"the charset may lack its hyphen", "application/json;charset=utf8", `{"a":"1"}`, ""},
		{"the type may be in capitals", "Application/JSON", `{"a":"1"}`, ""},
		{"another charset is refused", "application/x-www-form-urlencoded; charset=gbk", "a=1", "content-type: charset must be utf-8"},
		{"another charset is refused for json", "application/json; charset=iso-8859-1", `{"a":"1"}`, "content-type: charset must be utf-8"},
		{"another charset is refused for multipart", "multipart/form-data; boundary=x; charset=big5", "--x--", "content-type: charset must be utf-8"},
		{"another type is refused", "text/plain", "a=1", unknown},
		{"a type that only begins right is refused", "application/jsonp", "a=1", unknown},
		{"no type with a body is refused", "", "a=1", unknown},
		{"a malformed type is refused", "application/json; charset", `{}`, "content-type: is malformed"},
		{"something else is refused", "///", `{}`, "content-type: is malformed"},
		{"no type without a body is an empty form", "", "", ""},
		{"another type without a body is an empty form", "text/plain", "", ""},
		{"json without a body is an empty form", "application/json", "", ""},
		{"multipart without a body is an empty form", "multipart/form-data", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, err := Read(nil, request(test.contentType, strings.NewReader(test.body)), Limits{})
			if test.want != "" {
				wantInvalid(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := f.Has("a"), test.body != ""; got != want {
				t.Errorf("Has(a) = %t, want %t", got, want)
			}
		})
	}
}

func TestTwoContentTypesAreRefused(t *testing.T) {
	t.Parallel()
	r := request(typeJSON, strings.NewReader("{}"))
	r.Header.Add("Content-Type", typeURLEncoded)
	_, err := Read(nil, r, Limits{})
	wantInvalid(t, err, "content-type: is given twice")
}

func TestARequestWithoutBodyIsAnEmptyForm(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]io.ReadCloser{"nil": nil, "no body": http.NoBody} {
		r := request(typeJSON, strings.NewReader(""))
		r.Body = body
		f, err := Read(nil, r, Limits{})
		if err != nil || f.Has("a") || len(f.Files()) != 0 || f.Err() != nil {
			t.Errorf("%s: Read = %+v, %v, want an empty form", name, f, err)
		}
	}
}

func TestContentEncodings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, encoding, want string
	}{
		{"identity is as good as none", "Identity", ""},
		{"gzip is refused", "gzip", "content-encoding: must be identity: send the body uncompressed"},
		{"a list is refused", "identity, gzip", "content-encoding: must be identity: send the body uncompressed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := request(typeURLEncoded, strings.NewReader("a=1"))
			r.Header.Set("Content-Encoding", test.encoding)
			_, err := Read(nil, r, Limits{})
			if test.want != "" {
				wantInvalid(t, err, test.want)
			} else if err != nil {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// meter counts what is read through it.
type meter struct {
	r    io.Reader
	read int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.read += int64(n)
	return n, err
}

// endless is a body that goes on for ever after its head.
func endless(head string) *meter {
	return &meter{r: io.MultiReader(strings.NewReader(head), forever('x'))}
}

type forever byte

func (f forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(f)
	}
	return len(p), nil
}

func TestABodyBeyondTheLimitIsTooLarge(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	tests := []struct{ name, contentType, head string }{
		{"in urlencoded", typeURLEncoded, "a="},
		{"in json", typeJSON, `{"a":"`},
		{"in the text of a part", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n"},
		{"in a file", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n"},
		{"in the header of a part", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: "},
		{"after the closing boundary", "multipart/form-data; boundary=b", "--b--\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := endless(test.head)
			_, err := Read(httptest.NewRecorder(), request(test.contentType, body), Limits{Body: limit})
			if !errors.Is(err, fault.ErrTooLarge) {
				t.Errorf("fault = %v, want %v", err, fault.ErrTooLarge)
			}
			if body.read > limit+1 {
				t.Errorf("%d bytes were read, want at most %d", body.read, limit+1)
			}
		})
	}
}

func TestABodyOfJustTheLimitIsRead(t *testing.T) {
	t.Parallel()
	for _, encoding := range encodings {
		contentType, body := encoding.encode(pair{"a", "1"})
		for _, known := range []bool{true, false} {
			r := request(contentType, strings.NewReader(body))
			if known {
				r.ContentLength = int64(len(body))
			}
			if _, err := Read(nil, r, Limits{Body: int64(len(body))}); err != nil {
				t.Errorf("%s: %v", encoding.name, err)
			}
			if _, err := Read(nil, request(contentType, strings.NewReader(body)), Limits{Body: int64(len(body)) - 1}); !errors.Is(err, fault.ErrTooLarge) {
				t.Errorf("%s with a limit of one byte less: %v, want %v", encoding.name, err, fault.ErrTooLarge)
			}
		}
	}
}

func TestAContentLengthBeyondTheLimitIsRefusedUnread(t *testing.T) {
	t.Parallel()
	body := endless("a=")
	r := request(typeURLEncoded, body)
	r.ContentLength = 1<<20 + 1
	_, err := Read(nil, r, Limits{})
	if !errors.Is(err, fault.ErrTooLarge) || body.read != 0 {
		t.Errorf("Read = %v after %d bytes, want %v after none", err, body.read, fault.ErrTooLarge)
	}
}

func TestABodyThatBreaksOffIsInvalid(t *testing.T) {
	t.Parallel()
	gone := errors.New("connection reset by peer")
	for _, encoding := range encodings {
		contentType, body := encoding.encode(pair{"a", "1"}, pair{"b", "2"})
		for n := range body {
			cut := io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(gone))
			_, err := Read(nil, request(contentType, cut), Limits{})
			if got := fault.Of(err); got == nil || got.Kind != fault.KindInvalid {
				t.Fatalf("%s broken off after %d bytes: %v, want a fault of kind %s", encoding.name, n, err, fault.KindInvalid)
			}
		}
	}
	_, err := Read(nil, request(typeURLEncoded, iotest.ErrReader(gone)), Limits{})
	wantInvalid(t, err, "body: breaks off before its end")
	if !errors.Is(err, gone) {
		t.Errorf("the cause is %v, want %v", errors.Unwrap(err), gone)
	}
}

func TestATruncatedBodyIsInvalid(t *testing.T) {
	t.Parallel()
	for _, encode := range []func(...pair) (string, string){multiPart, jsonObject} {
		contentType, body := encode(pair{"a", "1"}, pair{"b", "2"})
		whole := len(strings.TrimSuffix(body, "\r\n"))
		for n := 1; n < whole; n++ {
			if _, err := Read(nil, request(contentType, strings.NewReader(body[:n])), Limits{}); err == nil {
				t.Errorf("no fault in %q, which ends too early", body[:n])
			}
		}
	}
}

func TestAGoodBodyIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	for _, encoding := range encodings {
		contentType, body := encoding.encode(pair{"a", "1"})
		in := bytes.NewReader([]byte(body + strings.Repeat("\r\n", 9000)))
		if encoding.name == "urlencoded" {
			in = bytes.NewReader([]byte(body + strings.Repeat("&", 9000)))
		}
		if _, err := Read(nil, request(contentType, in), Limits{}); err != nil || in.Len() != 0 {
			t.Errorf("%s: %v with %d bytes unread, want none", encoding.name, err, in.Len())
		}
	}
}

func TestOverARealConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := Read(w, r, Limits{Body: 1000})
		if err != nil {
			http.Error(w, fault.Of(err).Info, http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, f.Text("a", 0, 1000))
	}))
	t.Cleanup(server.Close)
	tests := []struct {
		name string
		body io.Reader
		want string
	}{
		{"a small body is read", strings.NewReader("a=hello"), "hello"},
		{"a small body in chunks is read", io.MultiReader(strings.NewReader("a=he"), strings.NewReader("llo")), "hello"},
		{"a large body is refused", strings.NewReader("a=" + strings.Repeat("x", 5000)), "Request Entity Too Large\n"},
		{"a large body in chunks is refused", io.MultiReader(strings.NewReader("a=" + strings.Repeat("x", 5000))), "Request Entity Too Large\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, test.body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", typeURLEncoded)
			answer, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if got, err := io.ReadAll(answer.Body); err != nil || string(got) != test.want {
				t.Errorf("answer = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}
