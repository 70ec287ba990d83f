package form

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMalformedBodies sends what only one of the encodings can get wrong.
func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	tests := map[string][]struct{ name, body, want string }{
		typeURLEncoded: {
			{"a broken escape in a text", "a=1&b=%zz", "b: has a % that is not followed by two hex digits"},
			{"an escape cut short", "b=%4", "b: has a % that is not followed by two hex digits"},
			{"a broken escape in a name", "%g1=1", "body: the name of a field has a % that is not followed by two hex digits"},
			{"a semicolon between fields", "a=1;b=2", "body: a semicolon must be written as %3B"},
			{"raw bytes that are not UTF-8", "a=\xb0\xa1", "a: must be valid UTF-8"},
			{"escaped bytes that are not UTF-8", "a=%b0%a1", "a: must be valid UTF-8"},
			{"an escaped surrogate", "a=%ed%a0%80", "a: must be valid UTF-8"},
			{"a name that is not UTF-8", "%ff=1", "body: the name of a field must be valid UTF-8"},
			{"a raw NUL", "a=\x00", "a: must not contain NUL"},
			{"a name given twice in two spellings", "a=1&%61=2", "a: is given twice"},
			{"a name given twice without text", "a&a", "a: is given twice"},
		},
		typeJSON: {
			{"a list", `[1]`, "body: must be a JSON object"},
			{"a scalar", `"a"`, "body: must be a JSON object"},
			{"null", `null`, "body: must be a JSON object"},
			{"no json", `a=1`, "body: must be a JSON object"},
			{"blanks", "  ", "body: must be a JSON object"},
			{"a missing colon", `{"a" 1}`, "body: is not valid JSON (at byte 5)"},
			{"a trailing comma", `{"a":1,}`, "body: is not valid JSON (at byte 6)"},
			{"a broken number", `{"a":01}`, "body: is not valid JSON (at byte 6)"},
			{"a comment", `{"a":1/**/}`, "body: is not valid JSON (at byte 6)"},
			{"a raw control", "{\"a\":\"\x00\"}", "body: is not valid JSON (at byte 6)"},
			{"an end too early", `{"a":[1,`, "body: breaks off before the end of the JSON object"},
			{"data after the object", `{"a":1}{"b":2}`, "body: must end with the JSON object"},
			{"rubbish after the object", `{"a":1}x`, "body: must end with the JSON object"},
			{"a member given twice", `{"a":1,"b":2,"a":1}`, "a: is given twice"},
			{"a member given twice in two spellings", `{"a":1,"\u0061":null}`, "a: is given twice"},
			{"a member given twice further in", `{"a":[{"b":1,"b":2}]}`, "b: is given twice"},
			{"raw bytes that are not UTF-8", "{\"a\":\"\xb0\xa1\"}", "body: must be valid UTF-8"},
			{"raw bytes of a surrogate", "{\"a\":\"\xed\xa0\x80\"}", "body: must be valid UTF-8"},
			{"a lone high surrogate", `{"a":"\ud800"}`, "body: is not valid JSON (at byte 6)"},
			{"a lone low surrogate", `{"a":"\udc00"}`, "body: is not valid JSON (at byte 6)"},
			{"surrogates the wrong way round", `{"a":"\udc00\ud800"}`, "body: is not valid JSON (at byte 6)"},
			{"a lone surrogate in a name", `{"\ud800":1}`, "body: is not valid JSON (at byte 2)"},
			{"a lone surrogate in a list", `{"a":["\ud800"]}`, "body: is not valid JSON (at byte 7)"},
			{"NUL in a list", `{"a":["\u0000"]}`, "a: must not contain NUL"},
			{"NUL in a name further in", `{"a":{"b":{"\u0000":1}}}`, "a: must not contain NUL"},
			{"too many levels", `{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, "a: is nested more than 16 levels deep"},
			{"far too many levels", `{"a":` + strings.Repeat("[", 500_000), "a: is nested more than 16 levels deep"},
			{"far too many levels of objects", strings.Repeat(`{"a":`, 100_000), "a: is nested more than 16 levels deep"},
			{"a list that is too long for a text", `{"a":[` + strings.Repeat("1,", 300_000) + `1]}`, "a: is longer than 524288 bytes"},
		},
		"multipart/form-data; boundary=b": {
			{"no boundary at all", "rubbish", "body: breaks off before its closing boundary"},
			{"another boundary", "--c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--c--\r\n", "body: breaks off before its closing boundary"},
			{"no closing boundary", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n", "body: breaks off before its closing boundary"},
			{"an end inside a header", "--b\r\nContent-Disposition: form-", "body: breaks off before its closing boundary"},
			{"an end after a header line", "--b\r\nContent-Disposition: form-data; name=a\r\n", "body: breaks off before its closing boundary"},
			{"a header that is none", "--b\r\nrubbish\r\n\r\n1\r\n--b--\r\n", "body: is not well-formed multipart/form-data"},
			{"no disposition", "--b\r\n\r\n1\r\n--b--\r\n", "body: a part must have one Content-Disposition"},
			{"two dispositions", part("name=a\r\nContent-Disposition: form-data; name=c", "1"), "body: a part must have one Content-Disposition"},
			{"another disposition", "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--\r\n", "body: a part has a malformed Content-Disposition"},
			{"a broken disposition", part(`name="a`, "1"), "body: a part has a malformed Content-Disposition"},
			{"two names", part("name=a; name=c", "1"), "body: a part has a malformed Content-Disposition"},
			{"no name", part("filename=a", "1"), "body: a part has no name"},
			{"a name that is not UTF-8", part("name=\"\xff\"", "1"), "body: the name of a field must be valid UTF-8"},
			{"a raw NUL in a header", part("name=\"a\x00\"", "1"), "body: is not well-formed multipart/form-data"},
			{"an encoded name with NUL", part("name*=utf-8''a%00", "1"), "body: the name of a field must not contain NUL"},
			{"text that is not UTF-8", part("name=a", "\xb0\xa1"), "a: must be valid UTF-8"},
			{"a file name that is not UTF-8", part("name=a; filename=\"\xb0\xa1\"", ""), "a: the name of the file must be valid UTF-8"},
			{"a file name with NUL", part("name=a; filename*=utf-8''%00", ""), "a: the name of the file must not contain NUL"},
			{"text in another charset", part("name=a\r\nContent-Type: text/plain; charset=gbk", "1"), "a: charset must be utf-8"},
			{"base64", part("name=a\r\nContent-Transfer-Encoding: base64", "MQ=="), "a: must not have a Content-Transfer-Encoding"},
			{"quoted-printable", part("name=a\r\nContent-Transfer-Encoding: Quoted-Printable", "=31"), "a: must not have a Content-Transfer-Encoding"},
		},
		"multipart/form-data":                                         {{"without a boundary", part("name=a", "1"), "content-type: has no usable boundary"}},
		`multipart/form-data; boundary=""`:                            {{"with an empty boundary", part("name=a", "1"), "content-type: has no usable boundary"}},
		"multipart/form-data; boundary=" + strings.Repeat("b", 71):    {{"with a long boundary", part("name=a", "1"), "content-type: has no usable boundary"}},
		`multipart/form-data; boundary="b "`:                          {{"with a boundary that ends in a blank", part("name=a", "1"), "content-type: has no usable boundary"}},
		"multipart/form-data; boundary=\"b\u00e9\"":                   {{"with a boundary beyond ASCII", part("name=a", "1"), "content-type: has no usable boundary"}},
		"multipart/form-data; boundary=b; boundary=c":                 {{"with two boundaries", part("name=a", "1"), "content-type: is malformed"}},
		"multipart/mixed; boundary=b":                                 {{"of another multipart type", part("name=a", "1"), "content-type: must be application/x-www-form-urlencoded, multipart/form-data or application/json"}},
		"multipart/form-data; boundary=" + strings.Repeat("b", 5_000): {{"with a very long boundary", part("name=a", "1"), "content-type: has no usable boundary"}},
	}
	for contentType, bodies := range tests {
		for _, test := range bodies {
			media, _, _ := strings.Cut(contentType, ";")
			t.Run(media+" "+test.name+" is refused", func(t *testing.T) {
				t.Parallel()
				_, err := Read(nil, request(contentType, strings.NewReader(test.body)), Limits{})
				wantInvalid(t, err, test.want)
			})
		}
	}
}

// part is a multipart body of one part, with boundary b.
func part(parameters, data string) string {
	return "--b\r\nContent-Disposition: form-data; " + parameters + "\r\n\r\n" + data + "\r\n--b--\r\n"
}

func TestUnusualBodies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, contentType, body string
		want                    map[string]value
	}{
		{
			"pairs without an equals sign", typeURLEncoded, "&a&&b=&c==&",
			map[string]value{"a": {}, "b": {}, "c": {text: "="}},
		},
		{"plus and escapes", typeURLEncoded, "a+b=c+d%2B%20%3B", map[string]value{"a b": {text: "c d+ ;"}}},
		{"raw UTF-8 in urlencoded", typeURLEncoded, "标题=闲鱼", map[string]value{"标题": {text: "闲鱼"}}},
		{
			"json of every shape", typeJSON, " { \"a\":\"x\", \"b\" : -1.50e+3 ,\"c\":true,\"d\":null,\"e\": [ 1, \"\\u4e00\" ] ,\"f\":{} } \r\n",
			map[string]value{
				"a": {text: "x"}, "b": {shapeNumber, "-1.50e+3"}, "c": {shapeBoolean, "true"}, "d": {shape: shapeNull},
				"e": {shapeList, `[ 1, "\u4e00" ]`}, "f": {shapeObject, "{}"},
			},
		},
		{"a whole surrogate pair", typeJSON, `{"a":"\ud83d\ude00"}`, map[string]value{"a": {text: "😀"}}},
		{
			"as many levels as there may be", typeJSON, `{"a":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`,
			map[string]value{"a": {shapeList, strings.Repeat("[", 15) + strings.Repeat("]", 15)}},
		},
		{
			"a preamble and an epilogue", "multipart/form-data; boundary=b", "hello\r\n" + part("name=a", "1") + "bye",
			map[string]value{"a": {text: "1"}},
		},
		{
			"no line end after the closing boundary", "multipart/form-data; boundary=b", strings.TrimSuffix(part("name=a", "1"), "\r\n"),
			map[string]value{"a": {text: "1"}},
		},
		{
			"bare line feeds", "multipart/form-data; boundary=b", strings.ReplaceAll(part("name=a", "1"), "\r\n", "\n"),
			map[string]value{"a": {text: "1"}},
		},
		{
			"a part with its own type", "multipart/form-data; boundary=b", part("name=a\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Transfer-Encoding: 8bit", "é"),
			map[string]value{"a": {text: "é"}},
		},
		{
			"a boundary of stars", "multipart/form-data; boundary=*****", strings.ReplaceAll(part("name=a", "1"), "--b", "--*****"),
			map[string]value{"a": {text: "1"}},
		},
		{"no parts", "multipart/form-data; boundary=b", "--b--\r\n", map[string]value{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := read(t, test.contentType, test.body)
			if diff := cmp.Diff(test.want, f.fields, cmp.AllowUnexported(value{})); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFilesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const disposition = "--b\r\nContent-Disposition: form-data; "
	body := disposition + "name=file1; filename=\"C:\\pictures\\Hoshikawa.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\x00\xff\r\n" +
		disposition + "name=token\r\n\r\nabc\r\n" +
		disposition + "name=file0; filename=\"/home/a/猫.jpg\"\r\n\r\n\r\n" +
		disposition + "name=none; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n" +
		disposition + "name=file1; filename=\"\"\r\n\r\nGIF\r\n" +
		"--b--\r\n"
	f := read(t, "multipart/form-data; boundary=b", body)
	want := []File{
		{"file1", "Hoshikawa.png", []byte("\x89PNG\x00\xff")},
		{"file0", "猫.jpg", []byte{}},
		{"file1", "", []byte("GIF")},
	}
	if diff := cmp.Diff(want, f.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := f.Text("token", 1, 10); got != "abc" || f.Has("file1") {
		t.Errorf("token = %q, Has(file1) = %t, want %q, false", got, f.Has("file1"), "abc")
	}
}

func TestLimitsOfFiles(t *testing.T) {
	t.Parallel()
	two := strings.Replace(part("name=a; filename=x", "12345"), "--b--\r\n", part("name=a; filename=y", "12345"), 1)
	tests := []struct {
		name   string
		limits Limits
		want   string
	}{
		{"files within their limit are read", Limits{File: 5, Fields: 2}, ""},
		{"a file beyond it is too large", Limits{File: 4}, "too large: Request Entity Too Large"},
		{"files count as fields", Limits{Fields: 1}, "invalid: body: too many fields (at most 1)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(nil, request("multipart/form-data; boundary=b", strings.NewReader(two)), test.limits)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("Read = %q, want %q", got, test.want)
			}
		})
	}
}
