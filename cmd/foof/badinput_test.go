package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// posts are all POST routes, each with fields that it would take: what is wrong with a request is then one thing alone. A test
// holds this list and the routes together.
func posts(p *person, item int64) map[string]fields {
	return map[string]fields{
		"/user/requirecode": {"phonenumber": newNumber()},
		"/user/register":    {"phonenumber": newNumber(), "verifycode": "123456", "password": "correct-horse"},
		"/user/login":       {"phonenumber": p.number, "password": "wrong-horse"},
		"/user/published":   {"uuid": p.id, "limit": 10, "after": 0},
		"/user/me":          {"token": p.token},
		"/user/finished":    {"token": p.token, "limit": 10, "after": 0},
		"/user/modify": {
			"token": p.token, "username": "Eve", "info": "x", "idcard": "x", "address": "x", "studentid": 5, "password": "",
		},
		"/user/logout":         {"token": p.token},
		"/user/password/reset": {"phonenumber": newNumber(), "verifycode": "123456", "password": "correct-horse"},
		"/user/mail/verify":    {"token": p.token, "mail": "ada@campus.example"},
		"/user/chat/push":      {"token": p.token, "to": p.id, "data": "hi"},
		"/user/chat/fetchnew":  {"token": p.token},
		"/user/chat/fetchall":  {"token": p.token, "limit": 10, "after": 0},
		"/fav/query":           {"token": p.token},
		"/fav/add":             {"token": p.token, "data": fmt.Sprintf("[%d]", item)},
		"/fav/delete":          {"token": p.token, "data": fmt.Sprintf("[%d]", item)},

		"/item/add":    powerBank().with("token", p.token),
		"/item/modify": powerBank().with("token", p.token).with("itemid", item).with("title", "充电宝"),
		"/item/trade":  {"token": p.token, "itemid": 999999999},
		"/item/image":  {"token": p.token, "image": aPicture},
		"/user/avatar": {"token": p.token, "image": aPicture},
	}
}

// unchanging are those of them which, sent as they are, change nothing.
var unchanging = []string{
	"/user/register", "/user/login", "/user/published", "/user/me", "/user/finished", "/item/trade", "/user/password/reset",
	"/user/chat/fetchnew", "/user/chat/fetchall", "/fav/query", "/fav/delete",
}

// still runs what must not move the head of the log.
func (s *service) still(t *testing.T, what string, run func()) {
	t.Helper()
	before, began, asked := s.head(t), time.Now(), requests.Load()
	run()
	if after := s.head(t); after != before {
		t.Errorf("%s: the log went from %d to %d", what, before, after)
	}
	t.Logf("%s: about %d requests in %s", what, requests.Load()-asked, time.Since(began).Round(time.Millisecond))
}

// TestBadInputChangesNothing has a service to itself, to watch the head of its log.
func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	owner := s.register(t)
	p := s.register(t)
	id := owner.add(t, powerBank())
	routes := posts(p, id)
	paths := slices.Sorted(maps.Keys(routes))

	s.still(t, "bodies that are none", func() {
		for _, path := range paths {
			for name, c := range brokenBodies() {
				a := s.do(t, c.request(t, s, path))
				if a.status != http.StatusBadRequest {
					t.Errorf("%s to %s: %d %.200s, want 400", name, path, a.status, a.body)
					continue
				}
				a.invalid(t, c.field)
			}
		}
	})
	s.still(t, "bodies that are too large", func() {
		for name, e := range encodings {
			contentType, body := e.encode(fields{"token": p.token, "a": strings.Repeat("a", 10<<20)})
			for _, path := range paths {
				s.postRaw(t, path, contentType, bytes.NewReader(body)).tooLarge(t)
				// Without a Content-Length it is read as far as it must be, and what is wrong with it first may be said.
				a := s.postRaw(t, path, contentType, io.MultiReader(bytes.NewReader(body)))
				if a.status == http.StatusBadRequest && name == "multipart" {
					a.invalid(t, "a")
					continue
				}
				a.tooLarge(t)
			}
		}
	})
	s.still(t, "fields of the wrong kind", func() {
		for _, path := range paths {
			for name := range routes[path] {
				if name != "token" {
					s.wrongKinds(t, path, routes[path], name, cmp.Or(kinds[path+" "+name], kinds[name]))
				}
			}
		}
	})
	s.still(t, "tokens of the wrong kind", func() {
		for path, f := range routes {
			if _, has := f["token"]; !has {
				continue
			}
			for _, wrong := range []any{"", "x", 7, true, nil, []string{p.token}, object{"token": p.token}} {
				s.postAs(t, inJSON, path, f.with("token", wrong)).forbidden(t)
			}
		}
	})
	s.still(t, "requests that are right and change nothing", func() { // or the routes' fields would show nothing
		for _, path := range unchanging {
			if a := s.post(t, path, routes[path]); a.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
	s.still(t, "paths that are none", func() {
		for _, path := range []string{"/%00", "/user/%00", "/item/%2e%2e%2f", "/item/%ff", "/user/1%00", "/" + strings.Repeat("a", 30_000), "/item/" + strings.Repeat("1", 30_000)} {
			if a := s.get(t, path); a.status != http.StatusBadRequest && a.status != http.StatusNotFound && !strings.HasPrefix(path, "/item/1") {
				t.Errorf("%.100s: %d %s", path, a.status, a.body)
			}
		}
	})
	for _, path := range paths {
		if slices.Contains(unchanging, path) {
			continue
		}
		before := s.head(t)
		f := posts(owner, id)[path]
		if a := s.postAs(t, f.encoding(), path, f); a.status != http.StatusOK || s.head(t) == before {
			t.Errorf("%s, sent as it is, changes nothing: %d %s", path, a.status, a.body)
		}
		if path == "/user/logout" {
			owner.login(t)
		}
	}
}

// kinds are what fields hold.
var kinds = map[string]string{
	"uuid": "id", "itemid": "id", "limit": "limit", "after": "after",
	"type": "int", "depreciation": "int", "sold": "sold", "studentid": "studentid", "price": "price",
	"title": "text 1 255", "note": "text 0 10000", "imgurl": "raw 0 10000",
	"username": "text 1 255", "info": "text 0 255", "idcard": "text 0 255", "address": "text 0 255",
	"mail":        "text 0 254",
	"phonenumber": "phone", "password": "password", "verifycode": "code",
	"to": "id", "/user/chat/push data": "text 1 65536", "/fav/add data": "list", "/fav/delete data": "list",
}

// noNumbers are what no field of a number takes, as text and as JSON.
var (
	noNumbers = []string{
		"", " ", "x", "1.5", "1e3", " 1", "1 ", "+1", "--1", "0x10", "1_000", "１", "٣", "NaN", "null", "true", "[1]", "1;2", "1,000",
		"99999999999999999999", "-99999999999999999999", strings.Repeat("9", 5000),
	}
	noScalars = []any{true, false, []int{1}, []any{}, object{}, object{"a": 1}}
	noInts    = []any{json.Number("1.5"), json.Number("1e2"), json.Number("1e400"), json.Number("99999999999999999999"), json.Number("1E+2")}
)

// wrongKinds sends one field as it must not be, everything else being right, in each encoding that can say it.
func (s *service) wrongKinds(t *testing.T, path string, f fields, name, kind string) {
	t.Helper()
	var asText []string
	inTheirForm := slices.Clone(noScalars)
	word, bounds, _ := strings.Cut(kind, " ")
	switch word {
	case "id", "limit", "after":
		asText = append(slices.Clone(noNumbers), "-1", "9223372036854775808")
		inTheirForm = append(append(inTheirForm, noInts...), -1)
		if word != "after" {
			asText, inTheirForm = append(asText, "0"), append(inTheirForm, 0)
		}
		if word == "limit" {
			asText = append(asText, "1001")
		}
	case "int", "sold", "studentid":
		asText = append(slices.Clone(noNumbers), "2147483648", "-2147483649")
		inTheirForm = append(inTheirForm, noInts...)
		if word == "studentid" {
			asText = append(asText, "-1")
		}
		if word == "sold" {
			asText = append(asText, "0", "3", "-3")
		}
	case "price":
		asText = []string{"", "x", "-1", "1.234", "1e3", "10000000000", "+1", " 1", ".", "1..2", "0x1", "Infinity", "-0", strings.Repeat("9", 5000)}
		inTheirForm = append(inTheirForm, json.Number("1e2"), json.Number("-1"), json.Number("1.001"), json.Number("1e999"))
	case "text", "raw":
		var least, most int
		_, _ = fmt.Sscan(bounds, &least, &most)
		asText = []string{strings.Repeat("x", most+1), strings.Repeat("长", most+1), strings.Repeat("x", 300_000)}
		if least > 0 {
			asText = append(asText, "")
		}
		if word == "raw" {
			inTheirForm = []any{true, strings.Repeat("x", most+1), []string{strings.Repeat("x", most)}}
		}
	case "list":
		asText = []string{
			"", " ", "x", "1", "[", "[1", "[1,]", "[1]]", "[[1]]", "{}", `{"1":1}`, "[0]", "[-1]", "[1.5]", "[1e1]", `["x"]`, "[null]", "[true]", "[1 2]",
			"[9223372036854775808]", "[" + strings.Repeat("1,", 1000) + "1]",
		}
		inTheirForm = []any{true, 1, object{}, []int{0}, []any{object{}}, make([]int, 1001)}
	case "phone":
		asText = wrongNumbers
	case "password":
		asText = []string{"short", strings.Repeat("x", 129), strings.Repeat("x", 100_000)}
	case "code":
		asText = []string{"", "x", "1", "1234567", "12345６", strings.Repeat("1", 100_000)}
	}
	check := func(a answer) {
		t.Helper()
		switch {
		case path == "/user/register", path == "/user/password/reset": // says the same of everything
			a.failed(t, invalidRequest)
		case path == "/user/login" && a.status == http.StatusOK:
			a.failed(t, "password incorrect")
		default:
			a.invalid(t, name)
		}
	}
	for i, wrong := range asText {
		for _, e := range []encoding{urlEncoded, multiPart, inJSON} {
			if i > 2 && e == multiPart { // as urlencoded, and slower
				continue
			}
			check(s.postAs(t, e, path, f.with(name, wrong)))
		}
	}
	for _, wrong := range inTheirForm {
		check(s.postAs(t, inJSON, path, f.with(name, wrong)))
	}
}

// broken is a body that is no form, and what is named as wrong with it.
type broken struct {
	contentType string
	body        string
	field       string
	header      map[string]string
}

func (b broken) request(t *testing.T, s *service, path string) *http.Request {
	t.Helper()
	r := s.request(t.Context(), http.MethodPost, path, b.contentType, strings.NewReader(b.body))
	for name, v := range b.header {
		r.Header.Set(name, v)
	}
	return r
}

func brokenBodies() map[string]broken {
	const (
		encoded = "application/x-www-form-urlencoded"
		asJSON  = "application/json"
		parts   = "multipart/form-data; boundary=b"
	)
	part := func(headers, body string) string { return "--b\r\n" + headers + "\r\n\r\n" + body + "\r\n--b--\r\n" }
	const named = `Content-Disposition: form-data; name="x"`
	many := url.Values{}
	manyJSON := object{}
	var manyParts strings.Builder
	for i := range 1000 {
		name := fmt.Sprintf("field%d", i)
		many.Set(name, "1")
		manyJSON[name] = 1
		fmt.Fprintf(&manyParts, "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n1\r\n", name)
	}
	manyText, _ := json.Marshal(manyJSON)
	return map[string]broken{
		"no content type":                    {"", "token=x", "content-type", nil},
		"an unknown content type":            {"text/plain", "token=x", "content-type", nil},
		"XML":                                {"application/xml", "<token/>", "content-type", nil},
		"a malformed content type":           {"application/json; charset", "{}", "content-type", nil},
		"a content type that is none":        {";;;", "{}", "content-type", nil},
		"another charset":                    {"application/json; charset=gbk", "{}", "content-type", nil},
		"another charset in a form":          {encoded + "; charset=latin1", "token=x", "content-type", nil},
		"multipart without a boundary":       {"multipart/form-data", "--b--", "content-type", nil},
		"multipart with a long boundary":     {"multipart/form-data; boundary=" + strings.Repeat("b", 71), "--b--", "content-type", nil},
		"multipart of another kind":          {"multipart/mixed; boundary=b", "--b--\r\n", "content-type", nil},
		"something compressed":               {asJSON, "\x1f\x8b\x08", "content-encoding", map[string]string{"Content-Encoding": "gzip"}},
		"a percent sign alone":               {encoded, "token=%", "token", nil},
		"no hex behind it":                   {encoded, "token=%zz", "token", nil},
		"a percent sign in a name":           {encoded, "%zz=1", "body", nil},
		"a semicolon":                        {encoded, "token=x;a=b", "body", nil},
		"NUL":                                {encoded, "token=a%00b", "token", nil},
		"NUL as it is":                       {encoded, "token=a\x00b", "token", nil},
		"NUL in a name":                      {encoded, "to%00ken=x", "body", nil},
		"invalid UTF-8":                      {encoded, "token=%ff%fe", "token", nil},
		"half a character":                   {encoded, "token=%e6%bc", "token", nil},
		"a surrogate":                        {encoded, "token=%ed%a0%80", "token", nil},
		"overlong UTF-8":                     {encoded, "token=%c0%80", "token", nil},
		"invalid UTF-8 in a name":            {encoded, "%ff=x", "body", nil},
		"a field twice":                      {encoded, "title=x&title=y", "title", nil},
		"a token twice":                      {encoded, "token=x&token=x", "token", nil},
		"1,000 fields":                       {encoded, many.Encode(), "body", nil},
		"101 fields":                         {encoded, manyFields(101), "body", nil},
		"a field of 600 KB":                  {encoded, "title=" + strings.Repeat("x", 600_000), "title", nil},
		"JSON that breaks off":               {asJSON, `{"token":"x"`, "body", nil},
		"JSON that breaks off in text":       {asJSON, `{"token":"x`, "body", nil},
		"no JSON":                            {asJSON, `token=x`, "body", nil},
		"a JSON list":                        {asJSON, `[{"token":"x"}]`, "body", nil},
		"JSON text":                          {asJSON, `"token"`, "body", nil},
		"JSON null":                          {asJSON, `null`, "body", nil},
		"a JSON number":                      {asJSON, `1`, "body", nil},
		"two JSON objects":                   {asJSON, `{}{}`, "body", nil},
		"JSON with a comma too many":         {asJSON, `{"a":1,}`, "body", nil},
		"JSON with a comment":                {asJSON, `{"a":1 /* one */}`, "body", nil},
		"JSON with single quotes":            {asJSON, `{'a':1}`, "body", nil},
		"JSON with NaN":                      {asJSON, `{"a":NaN}`, "body", nil},
		"JSON with a number of zeros":        {asJSON, `{"a":007}`, "body", nil},
		"JSON with a BOM":                    {asJSON, "\ufeff{}", "body", nil},
		"JSON with a control character":      {asJSON, "{\"title\":\"a\nb\"}", "body", nil},
		"JSON with a bad escape":             {asJSON, `{"title":"\x41"}`, "body", nil},
		"JSON with a lone surrogate":         {asJSON, `{"title":"\ud800"}`, "body", nil},
		"JSON with the other lone surrogate": {asJSON, `{"title":"\udc00x"}`, "body", nil},
		"JSON with surrogates turned round":  {asJSON, `{"title":"\ude00\ud83d"}`, "body", nil},
		"JSON with NUL":                      {asJSON, `{"title":"a\u0000b"}`, "title", nil},
		"JSON with NUL in a list":            {asJSON, `{"title":["a\u0000b"]}`, "title", nil},
		"JSON with NUL in a name":            {asJSON, `{"a\u0000b":1}`, "body", nil},
		"JSON with invalid UTF-8":            {asJSON, "{\"title\":\"\xff\"}", "body", nil},
		"JSON in UTF-16":                     {asJSON, "\xff\xfe{\x00}\x00", "body", nil},
		"JSON with a field twice":            {asJSON, `{"title":"x","title":"y"}`, "title", nil},
		"JSON with a field twice, within":    {asJSON, `{"title":{"a":1,"a":2}}`, "a", nil},
		"JSON with a field twice, escaped":   {asJSON, `{"title":"x","titl\u0065":"y"}`, "title", nil},
		"JSON of 100,000 levels of lists":    {asJSON, `{"title":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, "title", nil},
		"JSON of 100,000 levels of objects":  {asJSON, strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), "a", nil},
		"JSON of 100,000 open brackets":      {asJSON, `{"title":` + strings.Repeat("[", 100_000), "title", nil},
		"1,000 JSON fields":                  {asJSON, string(manyText), "body", nil},
		"multipart that is none":             {parts, "token=x", "body", nil},
		"multipart cut within a part":        {parts, "--b\r\n" + named + "\r\n\r\nabc", "body", nil},
		"multipart cut within a header":      {parts, "--b\r\nContent-Dispo", "body", nil},
		"multipart without its end":          {parts, "--b\r\n" + named + "\r\n\r\nabc\r\n--b\r\n", "body", nil},
		"multipart with another boundary":    {parts, "--c\r\n" + named + "\r\n\r\nabc\r\n--c--\r\n", "body", nil},
		"a part without a name":              {parts, part(`Content-Disposition: form-data`, "x"), "body", nil},
		"a part without a disposition":       {parts, part(`X: y`, "x"), "body", nil},
		"a part of another disposition":      {parts, part(`Content-Disposition: attachment; name="x"`, "x"), "body", nil},
		"a part with a malformed header":     {parts, part(`Content-Disposition form-data`, "x"), "body", nil},
		"a part in base64":                   {parts, part(named+"\r\nContent-Transfer-Encoding: base64", "eA=="), "x", nil},
		"a part in another charset":          {parts, part(named+"\r\nContent-Type: text/plain; charset=gbk", "x"), "x", nil},
		"a part with NUL":                    {parts, part(named, "a\x00b"), "x", nil},
		"a part with invalid UTF-8":          {parts, part(named, "\xff"), "x", nil},
		"a part twice":                       {parts, "--b\r\n" + named + "\r\n\r\n1\r\n" + part(named, "2"), "x", nil},
		"1,000 parts":                        {parts, manyParts.String() + "--b--\r\n", "body", nil},
		"a part with 20,000 headers":         {parts, part(named+strings.Repeat("\r\nX: y", 20_000), "x"), "body", nil},
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "f%d=1&", i)
	}
	return b.String()
}
