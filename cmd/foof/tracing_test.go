package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// receiver takes spans as a collector does.
type receiver struct {
	url string

	mu    sync.Mutex
	spans []*traces.Span
	named map[string]bool // services
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{named: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var body io.Reader = request.Body
		if request.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(request.Body)
		}
		data, err := io.ReadAll(body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(data, &sent)
		}
		if err != nil || request.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", request.URL.Path, err)
		}
		r.take(&sent)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) take(sent *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range sent.GetResourceSpans() {
		for _, attribute := range resource.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				r.named[attribute.GetValue().GetStringValue()] = true
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// trace gives the spans of one trace by their names.
func (r *receiver) trace(id string) map[string]*traces.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]*traces.Span{}
	for _, span := range r.spans {
		if hex.EncodeToString(span.GetTraceId()) == id {
			found[span.GetName()] = span
		}
	}
	return found
}

const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

// traced posts within a trace of the test's own, or of none.
func (p *person) traced(t *testing.T, traceparent, path string, f fields) answer {
	t.Helper()
	contentType, body := urlEncoded.encode(f.with("token", p.token))
	r := p.request(t.Context(), http.MethodPost, path, contentType, bytes.NewReader(body))
	if traceparent != "" {
		r.Header.Set("Traceparent", traceparent)
	}
	return p.do(t, r)
}

func TestATraceGoesFromTheRequestToTheProjection(t *testing.T) {
	t.Parallel()
	r := receive(t)
	// Two processes: whichever answers, one of them projects.
	s := start(t, setting("OTEL_EXPORTER_OTLP_ENDPOINT", r.url))
	other := start(t, over(string(s.app.config.DatabaseURL)), setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.url+"/v1/traces"))
	p := s.join(t)
	type followed struct {
		by       *service
		trace    string
		position int64
	}
	var all []followed
	for i, at := range []*person{p, p.via(other)} {
		trace := fmt.Sprintf("0123456789abcdef0123456789abcde%d", i)
		at.traced(t, strings.Replace(traceparent, traceparent[3:35], trace, 1), "/item/add", powerBank()).number(t, "itemid")
		all = append(all, followed{at.service, trace, s.head(t)})
	}
	p.traced(t, traceparent[:len(traceparent)-1]+"0", "/item/add", powerBank()).number(t, "itemid")
	unsampled := s.head(t)
	p.post(t, "/user/modify", fields{"username": "wakamiyaEve", "address": "M3c"}).succeeded(t)
	s.get(t, "/user/me/"+p.token+"?token="+p.token).refused(t, http.StatusNotFound, "not found")
	s.get(t, "/readyz")
	for _, at := range []*service{other, s} { // which sends what they have not sent yet
		if err := at.stop(); err != nil {
			t.Error(err)
		}
	}

	const metadata = `select coalesce(meta ->> 'trace', '') from events where position = $1`
	for _, f := range all {
		spans := r.trace(f.trace)
		for child, parent := range map[string]string{
			"command PublishItem": "POST /item/add", "append": "command PublishItem",
			"append batch": "append", "WITH": "append batch", "project items": "append", "project users": "append",
		} {
			if spans[child] == nil || !bytes.Equal(spans[child].GetParentSpanId(), spans[parent].GetSpanId()) {
				t.Errorf("trace %s has no %q below %q", f.trace, child, parent)
			}
		}
		if parent := hex.EncodeToString(spans["POST /item/add"].GetParentSpanId()); parent != traceparent[36:52] {
			t.Errorf("the request's parent is %s", parent)
		}
		stored, want := value[string](t, s.db, metadata, f.position), "00-"+f.trace+"-"+hex.EncodeToString(spans["append"].GetSpanId())+"-01"
		if stored != want {
			t.Errorf("the event has the trace %s, want %s", stored, want)
		}
		if !strings.Contains(f.by.said.String(), `"trace_id":"`+f.trace+`"`) {
			t.Errorf("the log does not name trace %s", f.trace)
		}
	}
	if stored := value[string](t, s.db, metadata, unsampled); stored != "" {
		t.Errorf("an event of a request that is not sampled has the trace %s", stored)
	}
	r.tellsNothing(t, p)
}

// tellsNothing wants no span to have anything in it that is about somebody.
func (r *receiver) tellsNothing(t *testing.T, p *person) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.named["foof"] || len(r.named) != 1 {
		t.Errorf("the spans are of %v", r.named)
	}
	personal := regexp.MustCompile(`wakamiyaEve|M3c|小米|127\.0\.0\.1|test-[0-9]|` + p.number + `|` + regexp.QuoteMeta(p.token))
	for _, span := range r.spans {
		if text := prototext.Format(span); personal.MatchString(text) {
			t.Errorf("a span shows %q:\n%s", personal.FindString(text), text)
		}
		if strings.Contains(span.GetName(), "readyz") || len(span.GetTraceId()) != 16 {
			t.Errorf("span %s", span.GetName())
		}
	}
}

func TestNothingIsTracedUnlessItIsConfigured(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.join(t)
	p.traced(t, traceparent, "/item/add", powerBank()).number(t, "itemid")
	if s.app.tracing != nil || s.app.log.Observer.Trace != nil {
		t.Error("something is prepared to trace")
	}
	if n := value[int](t, s.db, `select count(*) from events where meta ->> 'trace' is not null`); n != 0 {
		t.Errorf("%d events name a trace", n)
	}
	if strings.Contains(s.said.String(), "trace_id") {
		t.Error("the log names a trace")
	}
}

// TestACollectorThatIsAwayDisturbsNobody has the spans go nowhere.
func TestACollectorThatIsAwayDisturbsNobody(t *testing.T) {
	t.Parallel()
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	t.Cleanup(away.Close)
	s := start(t, setting("OTEL_EXPORTER_OTLP_ENDPOINT", away.URL))
	p := s.join(t)
	p.showing(t, p.add(t, powerBank()), powerBank().with("price", 299.9))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(s.said.String(), `"msg":"traces not delivered"`) {
		t.Errorf("it does not say that traces are lost: %s", s.said)
	}
}
