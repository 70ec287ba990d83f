package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestTheDescriptionIsOpenAPI(t *testing.T) {
	t.Parallel()
	v, err := description()
	if err != nil {
		t.Fatal(err)
	}
	_, wrong := v.ValidateDocument()
	for _, w := range wrong {
		for _, d := range w.SchemaValidationErrors {
			t.Errorf("%s: %s", d.FieldPath, d.Reason)
		}
		t.Errorf("%s: %s", w.Message, w.Reason)
	}
	if version := document()["openapi"]; version != "3.1.0" {
		t.Errorf("it is OpenAPI %v", version)
	}
}

// TestAnswersThatAreNotAsDescribedAreNoticed, or all the other tests would show nothing.
func TestAnswersThatAreNotAsDescribedAreNoticed(t *testing.T) {
	t.Parallel()
	const item = `"itemid":1,"uuid":1,"title":"x","type":2,"price":299.9,"imgurl":"","depreciation":0,"note":"","sold":1,"to":null`
	const inJSON, inText = "application/json; charset=utf-8", "text/plain; charset=utf-8"
	for name, c := range map[string]struct {
		asked  string
		status int
		kind   string
		body   string
		right  bool
	}{
		"as described":                    {"GET /item/1", 200, inJSON, `{` + item + `,"status":"success"}`, true},
		"as described, in a list":         {"POST /user/published", 200, inJSON, `[{` + item + `}]`, true},
		"none":                            {"GET /item/1", 200, inJSON, `{"status":"none"}`, true},
		"a failure":                       {"POST /item/trade", 200, inJSON, `{"status":"failure","info":"item not availabe for trade"}`, true},
		"forbidden":                       {"POST /item/trade", 403, inText, `Forbidden`, true},
		"no route":                        {"GET /nothing", 404, inJSON, `{"status":"failure","info":"not found"}`, true},
		"a field too many":                {"GET /item/1", 200, inJSON, `{` + item + `,"status":"success","more":1}`, false},
		"a field too many, in a list":     {"POST /user/published", 200, inJSON, `[{` + item + `,"more":1}]`, false},
		"a field too few":                 {"POST /item/add", 200, inJSON, `{"status":"success"}`, false},
		"a field of another type":         {"POST /item/add", 200, inJSON, `{"status":"success","itemid":"1"}`, false},
		"a failure in other words":        {"POST /item/trade", 200, inJSON, `{"status":"failure","info":"item not available for trade"}`, false},
		"another status":                  {"GET /item/1", 418, inJSON, `{"status":"none"}`, false},
		"forbidden where no token is due": {"GET /item/1", 403, inText, `Forbidden`, false},
		"another content type":            {"POST /item/trade", 403, inJSON, `{"status":"failure","info":"x"}`, false},
		"too many, without Retry-After":   {"GET /item/1", 429, inJSON, `{"status":"failure","info":"too many requests"}`, false},
		"an answer to no route":           {"GET /nothing", 200, inJSON, `{"status":"success"}`, false},
		"no route, in other words":        {"GET /nothing", 404, inJSON, `{"status":"none"}`, false},
		"405 without Allow":               {"GET /user/login", 405, inJSON, `{"status":"failure","info":"method not allowed"}`, false},
	} {
		heard := &listener{TB: t}
		header := http.Header{"Content-Type": {c.kind}, "X-Request-Id": {"1"}}
		answer{status: c.status, header: header, body: c.body, asked: c.asked}.described(heard)
		if heard.errors == "" != c.right {
			t.Errorf("%s: heard %q", name, heard.errors)
		}
	}
}

// listener is a test that hears of errors and goes on.
type listener struct {
	testing.TB

	errors string
}

func (l *listener) Errorf(format string, args ...any) { l.errors += fmt.Sprintf(format, args...) }

func TestTheDescriptionIsServed(t *testing.T) {
	t.Parallel()
	s := shared(t)
	a := s.get(t, "/openapi.json")
	a.is(t, http.StatusOK, document())
	if _, err := jsontext.AppendFormat(nil, []byte(a.body)); err != nil { // refuses names that are given twice, too
		t.Error(err)
	}
	if maxAge := a.header.Get("Cache-Control"); maxAge != "public, max-age=300" {
		t.Errorf("Cache-Control: %s", maxAge)
	}
	again := s.request(t.Context(), http.MethodGet, "/openapi.json", "", http.NoBody)
	again.Header.Set("If-None-Match", a.header.Get("ETag"))
	if b := s.do(t, again); b.status != http.StatusNotModified || b.body != "" {
		t.Errorf("asked again, with its ETag: %d %.100s", b.status, b.body)
	}
	stale := s.request(t.Context(), http.MethodGet, "/openapi.json", "", http.NoBody)
	stale.Header.Set("If-None-Match", `"of an older version"`)
	if b := s.do(t, stale); b.status != http.StatusOK || b.body != a.body {
		t.Errorf("asked again, with another ETag: %d %.100s", b.status, b.body)
	}
}

// TestTheDocsNeedNothingElse follows what the page refers to.
func TestTheDocsNeedNothingElse(t *testing.T) {
	t.Parallel()
	s := shared(t)
	page := s.get(t, "/docs")
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
		t.Errorf("its policy is %s", policy)
	}
	if strings.Contains(page.body, "//") {
		t.Errorf("it names another host: %s", page.body)
	}
	parts := regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(parts) < 5 {
		t.Errorf("it refers to %v", parts)
	}
	for _, part := range parts {
		zipped := s.get(t, "/"+part[1]) // the client asks for gzip and unpacks it
		r := s.request(t.Context(), http.MethodGet, "/"+part[1], "", http.NoBody)
		r.Header.Set("Accept-Encoding", "identity")
		r.Header.Set("Range", "bytes=0-9")
		plain := s.do(t, r)
		if plain.status != http.StatusOK || plain.body == "" || plain.body != zipped.body {
			t.Errorf("%s: %d, %d bytes, and %d when it is zipped", part[1], plain.status, len(plain.body), len(zipped.body))
		}
	}
	for _, none := range []string{"nothing", "docs.html", "swagger-ui.js", "swagger-ui.css.gz", "..%2fopenapi.yaml", "%2e%2e"} {
		s.get(t, "/docs/"+none).refused(t, http.StatusNotFound, "not found")
	}
}

func TestRoutesAndDescriptionAgree(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	parameter := regexp.MustCompile(`[:*]([a-z]+)`)
	for _, route := range routes(t, shared(t)) {
		if !strings.HasPrefix(route.Path, "/dev/") && route.Method != http.MethodHead { // which is GET without a body
			served[route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}")] = true
		}
	}
	described := map[string]bool{}
	for _, o := range operations(document()) {
		described[o.String()] = true
		if !served[o.String()] {
			t.Errorf("%s is described, and not served", o)
		}
	}
	for _, route := range slices.Sorted(maps.Keys(served)) {
		if !described[route] {
			t.Errorf("%s is served, and not described", route)
		}
	}
}

// TestExamplesAreTaken sends each request that the document shows. What comes of it depends on what there is, but none is wrong.
func TestExamplesAreTaken(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	for _, o := range operations(document()) {
		if o.path == "/user/chat/stream" { // it never ends; TestStream reads it
			continue
		}
		if o.method == http.MethodGet {
			if a := s.get(t, o.examplePath()); a.status != http.StatusOK {
				t.Errorf("%s: %d %s", o.examplePath(), a.status, a.body)
			}
			continue
		}
		if o.path == "/item/image" || o.path == "/user/avatar" { // what they take is shown as files
			continue
		}
		for _, e := range encodings {
			if o.body(e) == nil || len(o.examples(e)) == 0 {
				t.Errorf("%s shows no example in %s", o, e)
			}
			for _, example := range o.examples(e) {
				contentType, body := e.encode(example)
				r := s.request(t.Context(), o.method, o.path, contentType, bytes.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+p.token)
				if a := s.do(t, r); a.status == http.StatusBadRequest {
					t.Errorf("%s in %s: %v: %s", o, e, example, a.body)
				}
			}
		}
	}
}

// examplePath is the path with the examples of its parameters.
func (o endpoint) examplePath() string {
	path := o.path
	parameters, _ := o.object["parameters"].([]any)
	for _, parameter := range parameters {
		if p := resolved(o.document, parameter.(object)); p["in"] == "path" {
			path = strings.ReplaceAll(path, fmt.Sprintf("{%s}", p["name"]), fmt.Sprint(p["example"]))
		}
	}
	return path
}

// sameOfEverything are the routes that say the same of whatever is wrong with a field.
var sameOfEverything = map[string]bool{"/user/register": true, "/user/password/reset": true}

// TestBoundsAreAsDescribed sends each field as it may just be, and as it just may not, by what the document says of it.
func TestBoundsAreAsDescribed(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, o := range operations(document()) {
		if o.method != http.MethodPost || o.body(inJSON) == nil || sameOfEverything[o.path] {
			continue
		}
		properties := o.body(inJSON)["schema"].(object)["properties"].(object)
		for name := range properties {
			schema := resolved(o.document, properties[name].(object))
			if either, ok := schema["anyOf"].([]any); ok {
				schema = resolved(o.document, either[0].(object))
			}
			right, wrong := around(schema)
			tried += len(right) + len(wrong)
			t.Run(o.path[1:]+" "+name, func(t *testing.T) {
				t.Parallel()
				s := shared(t)
				example := slices.MaxFunc(o.examples(inJSON), func(a, b fields) int { return len(a) - len(b) }).without("depreciatione")
				p := s.join(t)
				for _, v := range wrong {
					p.postAs(t, inJSON, o.path, example.with(name, v)).invalid(t, name)
				}
				for _, v := range right {
					if a := p.postAs(t, inJSON, o.path, example.with(name, v)); a.status == http.StatusBadRequest {
						t.Errorf("%s = %.50v: %s", name, v, a.body)
					}
				}
			})
		}
	}
	if tried < 50 {
		t.Errorf("%d values were tried: the bounds were not found", tried)
	}
}

// around are values at the bounds of a schema: those that just may be, and those that just may not.
func around(schema object) (right, wrong []any) {
	integer := func(keyword string) (n int64, ok bool) {
		literal, ok := schema[keyword].(json.Number)
		n, err := literal.Int64()
		return n, ok && err == nil
	}
	beyond := func(keyword string, steps int64) json.Number {
		n, _ := new(big.Rat).SetString(schema[keyword].(json.Number).String())
		step, decimals := big.NewRat(1, 1), 0
		if _, ok := schema["multipleOf"]; ok {
			step, decimals = big.NewRat(1, 100), 2
		}
		return json.Number(n.Add(n, step.Mul(step, big.NewRat(steps, 1))).FloatString(decimals))
	}
	if n, ok := integer("minLength"); ok && n > 0 {
		right, wrong = append(right, strings.Repeat("长", int(n))), append(wrong, strings.Repeat("长", int(n)-1))
	}
	if n, ok := integer("maxLength"); ok {
		right, wrong = append(right, strings.Repeat("长", int(n))), append(wrong, strings.Repeat("长", int(n)+1))
	}
	for keyword, outwards := range map[string]int64{"minimum": -1, "maximum": 1} {
		if schema[keyword] != nil {
			just, over := beyond(keyword, 0), beyond(keyword, outwards)
			right, wrong = append(right, just, just.String()), append(wrong, over, over.String())
		}
	}
	if n, ok := integer("maxItems"); ok {
		right, wrong = append(right, slices.Repeat([]any{1}, int(n))), append(wrong, slices.Repeat([]any{1}, int(n)+1))
	}
	if values, ok := schema["enum"].([]any); ok {
		right, wrong = append(right, values...), append(wrong, 7, "7", 0)
	}
	return right, wrong
}
