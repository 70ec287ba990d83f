package form

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"foof/internal/fault"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// request is a POST of body whose length is not known beforehand.
func request(contentType string, body io.Reader) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", io.MultiReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func read(t testing.TB, contentType, body string) *Form {
	t.Helper()
	f, err := Read(httptest.NewRecorder(), request(contentType, strings.NewReader(body)), Limits{})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return f
}

// pair is one field to encode.
type pair struct{ name, text string }

func urlEncoded(pairs ...pair) (contentType, body string) {
	var written []string
	for _, p := range pairs {
		written = append(written, url.QueryEscape(p.name)+"="+url.QueryEscape(p.text))
	}
	return typeURLEncoded, strings.Join(written, "&")
}

func multiPart(pairs ...pair) (contentType, body string) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, p := range pairs {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {"form-data; " + nameParameter(p.name)}})
		if err != nil {
			panic(err)
		}
		if _, err := io.WriteString(part, p.text); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return w.FormDataContentType(), buf.String()
}

// nameParameter quotes a name, or encodes it as RFC 2231 does if it has
// controls, which a header must not have.
func nameParameter(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "name*=utf-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return `name="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func jsonObject(pairs ...pair) (contentType, body string) {
	var members []string
	for _, p := range pairs {
		name, _ := json.Marshal(p.name)
		text, _ := json.Marshal(p.text)
		members = append(members, string(name)+":"+string(text))
	}
	return typeJSON, "{" + strings.Join(members, ",") + "}"
}

var encodings = []struct {
	name   string
	encode func(...pair) (contentType, body string)
}{
	{"urlencoded", urlEncoded},
	{"multipart", multiPart},
	{"json", jsonObject},
}

func TestTheThreeEncodingsGiveTheSameForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tricky := rapid.StringOf(rapid.SampledFrom([]rune("\r\n\t\"\\'-=&+%;,:/[]{}u0d8Aé名😀\ufffd\u2028\x01\x7f ")))
		storable := rapid.OneOf(rapid.String(), tricky).Filter(func(s string) bool { return unsound(s) == "" })
		fields := rapid.MapOfN(storable, storable, 0, 20).Draw(t, "fields")
		want := &Form{fields: map[string]value{}}
		var pairs []pair
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			want.fields[name] = value{text: fields[name]}
			pairs = append(pairs, pair{name, fields[name]})
		}
		for _, encoding := range encodings {
			contentType, body := encoding.encode(pairs...)
			got, err := Read(nil, request(contentType, strings.NewReader(body)), Limits{})
			if err != nil {
				t.Fatalf("%s: %v\n%q", encoding.name, err, body)
			}
			if diff := cmp.Diff(want.fields, got.fields, cmp.AllowUnexported(value{})); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", encoding.name, diff)
			}
		}
	})
}

func TestTextIsKeptAsSent(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text string }{
		{"spaces around it", "  two  "},
		{"line ends of every kind", "a\r\nb\nc\rd"},
		{"chinese and emoji", "小米充电宝 🔋 👩‍👩‍👧"},
		{"markup and quotes", `<b title="x">'&amp;'</b> \ %41 + ; = &`},
		{"decomposed accents", "e\u0301 and é"},
		{"the replacement character itself", "\uFFFD"},
		{"controls", "\x01\x02\x7f\u0085\u2028"},
		{"what looks like a boundary", "--x\r\n--"},
		{"nothing", ""},
	}
	for _, test := range tests {
		for _, encoding := range encodings {
			t.Run(test.name+" in "+encoding.name, func(t *testing.T) {
				t.Parallel()
				contentType, body := encoding.encode(pair{"note", test.text})
				f := read(t, contentType, body)
				if got := f.Text("note", 0, 100); got != test.text || f.Err() != nil {
					t.Errorf("Text = %q, %v, want %q", got, f.Err(), test.text)
				}
			})
		}
	}
}

func TestFieldsOfEveryEncodingAreSound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		pairs []pair
		want  string
	}{
		{"a field given twice is refused", []pair{{"a", "1"}, {"b", "2"}, {"a", "1"}}, "a: is given twice"},
		{"names that differ in case are two fields", []pair{{"a", "1"}, {"A", "1"}}, ""},
		{"a hundred fields are read", many(100), ""},
		{"a hundred and one are too many", many(101), "body: too many fields (at most 100)"},
		{
			"a long name is not echoed",
			[]pair{{strings.Repeat("名", 5000), "1"}, {strings.Repeat("名", 5000), "1"}},
			strings.Repeat("名", 40) + "…: is given twice",
		},
		{"a name of several lines is quoted", []pair{{"a\nb", ""}, {"a\nb", ""}}, `"a\nb": is given twice`},
		{"an empty name is quoted", []pair{{"", ""}, {"", ""}}, `"": is given twice`},
		{"a long text is refused", []pair{{"note", strings.Repeat("x", 512<<10+1)}}, "note: is longer than 524288 bytes"},
		{"a text of just that length is read", []pair{{"note", strings.Repeat("x", 512<<10)}}, ""},
	}
	for _, test := range tests {
		for _, encoding := range encodings {
			t.Run(test.name+" in "+encoding.name, func(t *testing.T) {
				t.Parallel()
				contentType, body := encoding.encode(test.pairs...)
				_, err := Read(nil, request(contentType, strings.NewReader(body)), Limits{})
				if test.want == "" {
					if err != nil {
						t.Errorf("Read: %v", err)
					}
					return
				}
				wantInvalid(t, err, test.want)
			})
		}
	}
}

func TestNULIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	for _, encoding := range encodings {
		t.Run("in a text of "+encoding.name, func(t *testing.T) {
			t.Parallel()
			contentType, body := encoding.encode(pair{"note", "a\x00b"})
			_, err := Read(nil, request(contentType, strings.NewReader(body)), Limits{})
			wantInvalid(t, err, "note: must not contain NUL")
		})
		t.Run("in a name of "+encoding.name, func(t *testing.T) {
			t.Parallel()
			contentType, body := encoding.encode(pair{"no\x00te", "x"})
			_, err := Read(nil, request(contentType, strings.NewReader(body)), Limits{})
			wantInvalid(t, err, "body: the name of a field must not contain NUL")
		})
	}
}

func TestOnlyTheBodyCounts(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?title=query&note=query&%zz;", strings.NewReader("title=body"))
	r.Header.Set("Content-Type", typeURLEncoded)
	f, err := Read(httptest.NewRecorder(), r, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Text("title", 1, 10); got != "body" || f.Has("note") {
		t.Errorf("title = %q, Has(note) = %t, want %q, false", got, f.Has("note"), "body")
	}
}

func many(n int) []pair {
	pairs := make([]pair, n)
	for i := range pairs {
		pairs[i] = pair{name: "f" + strings.Repeat("x", i)}
	}
	return pairs
}

// wantInvalid checks that err is a fault of KindInvalid with this Info.
func wantInvalid(t *testing.T, err error, info string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no fault, want %q", info)
	}
	got := fault.Of(err)
	if got.Kind != fault.KindInvalid || got.Info != info {
		t.Errorf("fault = %s %q, want %s %q", got.Kind, got.Info, fault.KindInvalid, info)
	}
}
