package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// fields are what a POST carries. A value is text, a number, or, in JSON only, anything.
type fields map[string]any

func (f fields) with(name string, v any) fields {
	f = maps.Clone(f)
	f[name] = v
	return f
}

func (f fields) without(name string) fields {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// upload is a field that is a file. What is not multipart cannot have one.
type upload string

func (upload) String() string               { return "a file" }
func (upload) MarshalText() ([]byte, error) { return []byte("a file"), nil } //nolint:unparam // the interface has it

// encoding is one that the fields can be sent in.
func (f fields) encoding() encoding {
	for _, v := range f {
		if _, ok := v.(upload); ok {
			return multiPart
		}
	}
	return urlEncoded
}

// object is a JSON object as an answer should have it.
type object = map[string]any

func with(o object, name string, v any) object { return fields(o).with(name, v) }

// encoding is one of the three that every POST takes.
type encoding string

const (
	urlEncoded encoding = "application/x-www-form-urlencoded"
	multiPart  encoding = "multipart/form-data"
	inJSON     encoding = "application/json"
)

var encodings = map[string]encoding{"urlencoded": urlEncoded, "multipart": multiPart, "json": inJSON}

func (e encoding) encode(f fields) (contentType string, body []byte) {
	names := slices.Sorted(maps.Keys(f))
	switch e {
	case urlEncoded:
		values := url.Values{}
		for _, name := range names {
			values.Set(name, fmt.Sprint(f[name]))
		}
		return string(e), []byte(values.Encode())
	case multiPart:
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, name := range names {
			if file, ok := f[name].(upload); ok {
				part, _ := w.CreateFormFile(name, "C:\\fakepath\\"+name+".txt")
				_, _ = io.WriteString(part, string(file))
				continue
			}
			_ = w.WriteField(name, fmt.Sprint(f[name]))
		}
		_ = w.Close()
		return w.FormDataContentType(), b.Bytes()
	case inJSON:
		body, err := json.Marshal(f)
		if err != nil {
			panic(err)
		}
		return string(e), body
	}
	panic("no encoding " + e)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	asked  string // for messages
}

// request makes a request that has an id of its own.
func (s *service) request(ctx context.Context, method, path, contentType string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		panic(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("X-Request-ID", "test-"+strconv.FormatInt(requests.Add(1), 10))
	return r
}

var requests atomic.Int64

// try makes a request that may fail to reach the service.
func (s *service) try(r *http.Request) (answer, error) {
	response, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), r.Method + " " + r.URL.Path}, err
}

// do makes a request and checks of its answer what holds of every answer. It may be called from any goroutine.
func (s *service) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Errorf("%s %.100s: %v", r.Method, r.URL.Path, err)
		return a
	}
	a.check(t, r.Header.Get("X-Request-ID"), s.down)
	return a
}

// inside is what no answer may show: stacks, SQL, paths.
var inside = regexp.MustCompile(`goroutine |panic|\.go:|SQLSTATE|pgx[./]|pgconn|ERROR:|(?i:select .* from|insert into|syntax error)|/work/|/tmp/|/root/|127\.0\.0\.1`)

func (a answer) check(t testing.TB, id string, mayBeDown bool) {
	t.Helper()
	if a.status >= 500 && (!mayBeDown || a.status != http.StatusServiceUnavailable) {
		t.Errorf("%s: status %d: %s", a.asked, a.status, a.body)
	}
	if given := a.header.Get("X-Request-ID"); id != "" && given != id {
		t.Errorf("%s: X-Request-ID is %q, want %q", a.asked, given, id)
	}
	const beginning = 16 << 10                                                                                                    // an answer that is longer is no answer to a fault
	if leak := inside.FindString(a.body[:min(len(a.body), beginning)]); leak != "" && !strings.HasPrefix(a.asked, "GET /docs/") { // scripts of others
		t.Errorf("%s: the answer shows %q: %.300s", a.asked, leak, a.body)
	}
	switch a.status {
	case http.StatusForbidden:
		a.plain(t, a.status, "Forbidden")
	case http.StatusRequestEntityTooLarge:
		a.plain(t, a.status, "Request Entity Too Large")
	default:
		if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			a.json(t)
		}
	}
	a.described(t)
}

// post sends fields in the encoding that front ends use most.
func (s *service) post(t testing.TB, path string, f fields) answer {
	t.Helper()
	return s.postAs(t, urlEncoded, path, f)
}

func (s *service) postAs(t testing.TB, e encoding, path string, f fields) answer {
	t.Helper()
	contentType, body := e.encode(f)
	return s.postRaw(t, path, contentType, bytes.NewReader(body))
}

func (s *service) postRaw(t testing.TB, path, contentType string, body io.Reader) answer {
	t.Helper()
	return s.do(t, s.request(t.Context(), http.MethodPost, path, contentType, body))
}

func (s *service) get(t testing.TB, path string) answer {
	t.Helper()
	return s.do(t, s.request(t.Context(), http.MethodGet, path, "", http.NoBody))
}

// json decodes the answer, with numbers as their literals.
func (a answer) json(t testing.TB) any {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		t.Errorf("%s: status %d has Content-Type %q: %.300s", a.asked, a.status, kind, a.body)
	}
	v, err := literally(a.body)
	if err != nil {
		t.Errorf("%s: %v: %.300s", a.asked, err, a.body)
	}
	return v
}

func literally(text string) (any, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// is wants this status and JSON that says the same as want: a Go value, or JSON text. Fields may stand in any order, and none
// may be missing or too many; a number must have the same literal.
func (a answer) is(t testing.TB, status int, want any) {
	t.Helper()
	text, isText := want.(string)
	if !isText {
		encoded, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	wanted, err := literally(text)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got := a.json(t); a.status != status || !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s: %d %s, want %d %s", a.asked, a.status, a.body, status, text)
	}
}

func (a answer) plain(t testing.TB, status int, text string) {
	t.Helper()
	if kind := a.header.Get("Content-Type"); a.status != status || a.body != text || kind != "text/plain; charset=utf-8" {
		t.Errorf("%s: %d %.300q (%s), want %d and the plain text %q", a.asked, a.status, a.body, kind, status, text)
	}
}

func (a answer) succeeded(t testing.TB) {
	t.Helper()
	a.is(t, http.StatusOK, `{"status":"success"}`)
}

func (a answer) failed(t testing.TB, info string) {
	t.Helper()
	a.is(t, http.StatusOK, object{"status": "failure", "info": info})
}

func (a answer) none(t testing.TB) {
	t.Helper()
	a.is(t, http.StatusOK, `{"status":"none"}`)
}

func (a answer) forbidden(t testing.TB) {
	t.Helper()
	a.plain(t, http.StatusForbidden, "Forbidden")
}

func (a answer) tooLarge(t testing.TB) {
	t.Helper()
	a.plain(t, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
}

// invalid wants 400 and a failure body that names the field and says something about it.
func (a answer) invalid(t testing.TB, field string) {
	t.Helper()
	body, _ := a.json(t).(object)
	info, _ := body["info"].(string)
	wrong, names := strings.CutPrefix(info, field+": ")
	if a.status != http.StatusBadRequest || body["status"] != "failure" || len(body) != 2 || !names || len(wrong) < 5 {
		t.Errorf("%s: %d %.300s, want 400 and what is wrong with %s", a.asked, a.status, a.body, field)
	}
}

// refused wants this status and a failure body of these words.
func (a answer) refused(t testing.TB, status int, info string) {
	t.Helper()
	a.is(t, status, object{"status": "failure", "info": info})
}

// field is one member of a JSON object.
func (a answer) field(t testing.TB, name string) any {
	t.Helper()
	body, _ := a.json(t).(object)
	v, ok := body[name]
	if !ok {
		t.Errorf("%s: no %s in %.300s", a.asked, name, a.body)
	}
	return v
}

func (a answer) number(t testing.TB, name string) int64 {
	t.Helper()
	literal, _ := a.field(t, name).(json.Number)
	n, err := literal.Int64()
	if err != nil {
		t.Errorf("%s: %s is no whole number in %.300s", a.asked, name, a.body)
	}
	return n
}

func (a answer) text(t testing.TB, name string) string {
	t.Helper()
	text, ok := a.field(t, name).(string)
	if !ok {
		t.Errorf("%s: %s is no text in %.300s", a.asked, name, a.body)
	}
	return text
}
