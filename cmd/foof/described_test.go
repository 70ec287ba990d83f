package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"foof/internal/openapi"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validation "github.com/pb33f/libopenapi-validator/config"
)

// description holds answers against the document that the service serves. It is safe for concurrent use.
var description = sync.OnceValues(func() (validator.Validator, error) {
	o := document()
	responses := slices.Collect(maps.Values(o["components"].(object)["responses"].(object)))
	for _, op := range operations(o) {
		responses = slices.AppendSeq(responses, maps.Values(op.object["responses"].(object)))
	}
	for _, r := range responses {
		content, _ := r.(object)["content"].(object)
		for _, media := range content {
			if schema, ok := media.(object)["schema"].(object); ok {
				media.(object)["schema"] = closedSchema(schema)
			}
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	loaded, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(loaded, validation.WithFormatAssertions())
	return v, errors.Join(errs...)
})

// closedSchema is the schema of an answer that may have the described fields alone. The document leaves clients to expect more, as
// the contract does; that all there is stands in it, is for us to see to.
func closedSchema(schema object) object {
	for _, keyword := range []string{"oneOf", "anyOf"} {
		if branches, ok := schema[keyword].([]any); ok {
			for i, branch := range branches {
				branches[i] = closedSchema(branch.(object))
			}
			return schema
		}
	}
	if items, ok := schema["items"].(object); ok {
		schema["items"] = closedSchema(items)
	}
	properties, _ := schema["properties"].(object)
	for name, property := range properties {
		properties[name] = closedSchema(property.(object))
	}
	if properties == nil && schema["$ref"] == nil && schema["allOf"] == nil {
		return schema // of no object, or one that has whatever it has
	}
	return object{"allOf": []any{schema}, "unevaluatedProperties": false}
}

// described wants the answer to be one that the document describes: its status, its headers, and its body to the last field.
func (a answer) described(t testing.TB) {
	t.Helper()
	method, path, _ := strings.Cut(a.asked, " ")
	if strings.HasPrefix(path, "/dev/") { // development's alone
		return
	}
	v, err := description()
	if err != nil {
		t.Fatal(err)
	}
	request := &http.Request{Method: method, URL: &url.URL{Path: path}}
	response := &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body))}
	_, wrong := v.ValidateHttpResponse(request, response)
	for _, w := range wrong {
		if (w.ValidationType == "path" || strings.Contains(path, "//")) && a.hasNoRoute(t) {
			continue
		}
		var details strings.Builder
		for _, d := range w.SchemaValidationErrors {
			details.WriteString("; " + d.FieldPath + ": " + d.Reason)
		}
		t.Errorf("%s: %d %.300s is not as described: %s: %s%s", a.asked, a.status, a.body, w.Message, w.Reason, &details)
	}
}

// hasNoRoute tells whether the answer is what any path or method gets that is not described.
func (a answer) hasNoRoute(t testing.TB) bool {
	t.Helper()
	switch a.status {
	case http.StatusNotFound:
		a.refused(t, a.status, "not found")
	case http.StatusMethodNotAllowed:
		a.refused(t, a.status, "method not allowed")
		if a.header.Get("Allow") == "" {
			t.Errorf("%s: 405 without Allow", a.asked)
		}
	default:
		return false
	}
	return true
}

// document is what the service serves at /openapi.json, with numbers as their literals.
func document() object {
	text, err := openapi.Document()
	if err != nil {
		panic(err)
	}
	o, err := literally(string(text))
	if err != nil {
		panic(err)
	}
	return o.(object)
}

// endpoint is a method of a path, as the document describes it.
type endpoint struct {
	object

	document     object
	method, path string
}

func (o endpoint) String() string { return o.method + " " + o.path }

// operations are in the order of their paths.
func operations(document object) []endpoint {
	var all []endpoint
	for path, item := range document["paths"].(object) {
		for method, described := range item.(object) {
			all = append(all, endpoint{described.(object), document, strings.ToUpper(method), path})
		}
	}
	slices.SortFunc(all, func(a, b endpoint) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// body is what the endpoint takes as such a body; nil if it takes none.
func (o endpoint) body(e encoding) object {
	body, _ := o.object["requestBody"].(object)
	content, _ := resolved(o.document, body)["content"].(object)
	media, _ := content[string(e)].(object)
	return media
}

// examples are the bodies that the document gives as examples.
func (o endpoint) examples(e encoding) []fields {
	var all []fields
	examples, _ := o.body(e)["examples"].(object)
	for _, example := range examples {
		all = append(all, example.(object)["value"].(object))
	}
	return all
}

// resolved follows references within the document. What stands beside a reference counts before what it refers to.
func resolved(document, o object) object {
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	target := any(document)
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		target = target.(object)[name]
	}
	both := maps.Clone(resolved(document, target.(object)))
	maps.Copy(both, o)
	return both
}
