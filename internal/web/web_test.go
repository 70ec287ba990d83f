package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"foof/internal/fault"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

// serve answers a request by an engine with one route, GET /thing/:id, and gives the line that was logged of it.
func serve(t *testing.T, h Handler, change ...func(*http.Request, *Options)) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	var logged bytes.Buffer
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/thing/secret-path?q=secret-query", http.NoBody)
	options := Options{Logger: slog.New(slog.NewJSONHandler(&logged, nil)), Timeout: time.Minute}
	for _, f := range change {
		f(request, &options)
	}
	engine, err := New(options, func(r gin.IRouter) { r.GET("/thing/:id", Handle(h)) })
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	engine.ServeHTTP(answer, request)
	line := map[string]any{}
	if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
		t.Fatalf("logged was %q: %v", logged.String(), err)
	}
	return answer, line
}

func TestFaultsAreAnswered(t *testing.T) {
	t.Parallel()
	secret := errors.New("select secret from secrets")
	for name, c := range map[string]struct {
		err    error
		status int
		body   string
		retry  string
		logged bool
	}{
		"a fault of the program":      {secret, 500, `{"status":"failure","info":"internal error"}`, "", true},
		"a field that is wrong":       {fault.Invalid("price", "must be a number"), 400, `{"status":"failure","info":"price: must be a number"}`, "", false},
		"who may not":                 {fault.ErrForbidden, 403, `Forbidden`, "", false},
		"who may not, and why":        {fmt.Errorf("%w: %w", fault.ErrForbidden, secret), 403, `Forbidden`, "", false},
		"a refusal":                   {fault.Refused("item already traded"), 200, `{"status":"failure","info":"item already traded"}`, "", false},
		"what is not there":           {fault.ErrNone, 200, `{"status":"none"}`, "", false},
		"too much":                    {fault.ErrTooLarge, 413, `Request Entity Too Large`, "", false},
		"too often":                   {fault.TooMany(90 * time.Second), 429, `{"status":"failure","info":"too many requests"}`, "90", false},
		"too often by a moment":       {fault.TooMany(1), 429, `{"status":"failure","info":"too many requests"}`, "1", false},
		"too often by a bit more":     {fault.TooMany(time.Second + 1), 429, `{"status":"failure","info":"too many requests"}`, "2", false},
		"what is down":                {fault.Unavailable(secret), 503, `{"status":"failure","info":"temporarily unavailable"}`, "5", true},
		"another body for a key":      {fault.ErrMismatch, 422, `{"status":"failure","info":"idempotency key was used for another request"}`, "", false},
		"no such route":               {fault.ErrNotFound, 404, `{"status":"failure","info":"not found"}`, "", false},
		"no such method":              {fault.ErrNotAllowed, 405, `{"status":"failure","info":"method not allowed"}`, "", false},
		"markup in what is wrong":     {fault.Invalid("a", `<b>&"`), 400, `{"status":"failure","info":"a: <b>&\""}`, "", false},
		"a kind that nobody knows of": {&fault.Error{Kind: fault.KindInternal, Info: "internal error"}, 500, `{"status":"failure","info":"internal error"}`, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, line := serve(t, func(*gin.Context) error { return c.err })
			if answer.Code != c.status || strings.TrimSpace(answer.Body.String()) != c.body || answer.Header().Get("Retry-After") != c.retry {
				t.Errorf("it is %d %s, retry after %q", answer.Code, answer.Body.String(), answer.Header().Get("Retry-After"))
			}
			if _, logged := line["error"]; logged != c.logged {
				t.Errorf("the log has an error: %t, want %t", logged, c.logged)
			}
			if level := line["level"]; (level == "ERROR") != (c.status >= 500) {
				t.Errorf("the log's level is %v", level)
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	_, refused := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:1")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"PostgreSQL that refuses connections": {&pgconn.ConnectError{}, true},
		"a connection that is refused":        {refused, true},
		"a connection that was cut":           {io.ErrUnexpectedEOF, true},
		"a connection that ended":             {io.EOF, true},
		"a connection that PostgreSQL lost":   {&pgconn.PgError{Code: "08006"}, true},
		"PostgreSQL without room":             {&pgconn.PgError{Code: "53300"}, true},
		"PostgreSQL that shuts down":          {&pgconn.PgError{Code: "57P01"}, true},
		"time that is over":                   {context.DeadlineExceeded, true},
		"a client that went away":             {context.Canceled, false},
		"SQL that is wrong":                   {&pgconn.PgError{Code: "42601"}, false},
		"a rule of the schema":                {&pgconn.PgError{Code: "23505"}, false},
		"anything else":                       {errors.New("anything else"), false},
	} {
		if got := unavailable(fmt.Errorf("load: %w", c.err)); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestLogSaysWhatHappenedAndNoSecrets(t *testing.T) {
	t.Parallel()
	_, line := serve(t, func(c *gin.Context) error {
		c.Set(callerKey, int64(7))
		Success(c)
		return nil
	}, func(r *http.Request, _ *Options) { r.Header.Set("X-Request-ID", "request-1") })
	for name := range map[string]bool{"time": true, "took": true} {
		if line[name] == nil {
			t.Errorf("there is no %s", name)
		}
		delete(line, name)
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "request": "request-1", "method": "GET", "route": "/thing/:id", "status": 200.0,
		"bytes": float64(len(`{"status":"success"}` + "\n")), "client": "192.0.2.1", "user": 7.0,
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPanicIsAnsweredAndLoggedWithItsStack(t *testing.T) {
	t.Parallel()
	answer, line := serve(t, func(*gin.Context) error { panic("secret") })
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "secret") {
		t.Errorf("it is %d %s", answer.Code, answer.Body.String())
	}
	if text, _ := line["error"].(string); !strings.Contains(text, "panic: secret") || !strings.Contains(text, "web_test.go") {
		t.Errorf("the log has %v", line["error"])
	}
}

func TestFaultAfterTheAnswerBeganDoesNotSpoilIt(t *testing.T) {
	t.Parallel()
	answer, line := serve(t, func(c *gin.Context) error {
		Success(c)
		return errors.New("too late")
	})
	if answer.Code != http.StatusOK || strings.TrimSpace(answer.Body.String()) != `{"status":"success"}` || line["error"] != "too late" {
		t.Errorf("it is %d %s, and logged is %v", answer.Code, answer.Body.String(), line["error"])
	}
}

func TestRequestHasSoLong(t *testing.T) {
	t.Parallel()
	answer, _ := serve(t, func(c *gin.Context) error {
		<-c.Request.Context().Done()
		return fmt.Errorf("load: %w", c.Request.Context().Err())
	}, func(_ *http.Request, o *Options) { o.Timeout = time.Millisecond })
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
		t.Errorf("it is %d, retry after %q", answer.Code, answer.Header().Get("Retry-After"))
	}
}

func TestRequestIDIsTheClientsIfItIsSound(t *testing.T) {
	t.Parallel()
	for id, sound := range map[string]bool{
		"a": true, "A-b_c.9": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "a\"b": false, "关联": false, "a\tb": false, "${x}": false,
	} {
		var inside string
		answer, line := serve(t, func(c *gin.Context) error {
			inside = RequestID(c.Request.Context())
			return nil
		}, func(r *http.Request, _ *Options) { r.Header["X-Request-Id"] = []string{id} })
		got := answer.Header().Get("X-Request-ID")
		if (got == id) != sound || !requestIDForm.MatchString(got) || inside != got || line["request"] != got {
			t.Errorf("%q: the answer has %q, the handler %q, the log %v", id, got, inside, line["request"])
		}
	}
	if id := RequestID(t.Context()); id != "" {
		t.Errorf("without a request it is %q", id)
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER   abc": "abc", "": "", "abc": "", "Bearer": "", "Basic abc": "", "Bearerabc": "", " Bearer abc": "",
	} {
		if got := bearer(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	limiter, err := NewLimiter(2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer limiter.Close()
	refused := func(what string, err error, want bool) {
		t.Helper()
		if (err != nil) != want {
			t.Errorf("%s: %v", what, err)
		}
		if f := fault.Of(err); f != nil && (f.Kind != fault.KindTooMany || f.RetryAfter < time.Second || f.RetryAfter > time.Hour) {
			t.Errorf("%s: %v, retry after %v", what, f, f.RetryAfter)
		}
	}
	refused("before the first time", limiter.Left(t.Context(), "a"), false)
	refused("the first time", limiter.Take(t.Context(), "a"), false)
	refused("before the second time", limiter.Left(t.Context(), "a"), false)
	refused("before the second time, again", limiter.Left(t.Context(), "a"), false)
	refused("the second time", limiter.Take(t.Context(), "a"), false)
	refused("before the third time", limiter.Left(t.Context(), "a"), true)
	refused("the third time", limiter.Take(t.Context(), "a"), true)
	refused("the third time, again", limiter.Take(t.Context(), "a"), true)
	refused("another", limiter.Take(t.Context(), "b"), false)

	none, err := NewLimiter(0, time.Hour)
	if err != nil || none != nil {
		t.Fatal(none, err)
	}
	for range 100 {
		refused("without a limiter", errors.Join(none.Left(t.Context(), "a"), none.Take(t.Context(), "a")), false)
	}
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:80": "2001:db8:1:2::/64", "[2001:db8:1:3::1]:80": "2001:db8:1:3::/64", "[::1]:80": "::/64",
	} {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
		c.Request.RemoteAddr = from
		if got := Address(c); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}

func TestProxiesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Logger: slog.New(slog.DiscardHandler), TrustedProxies: []string{"nowhere"}}); err == nil {
		t.Error("they were taken")
	}
}
