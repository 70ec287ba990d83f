package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"foof/internal/pgtest"
	"foof/projections"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// TestHealth stops PostgreSQL under a service, and starts it again.
func TestHealth(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	dsn := server.DSN("")
	if err := migrateQuietly(patience(t), dsn); err != nil {
		t.Fatal(err)
	}
	s := start(t, over(dsn))
	s.down = true
	ok := object{"service": "ok", "database": "ok", "schema": "ok", "log": "ok", "projections": "ok", "reactors": "ok"}
	lives := func() {
		t.Helper()
		s.get(t, "/healthz").succeeded(t)
		if out, _, err := ran(t, "health", "--url", s.url); err != nil || out != "success\n" {
			t.Errorf("foof health: %v, %q", err, out)
		}
	}
	ready := func() bool { return s.get(t, "/readyz").status == http.StatusOK }
	for range 2 {
		until(t, "it is ready", ready)
		s.get(t, "/readyz").is(t, http.StatusOK, object{"status": "success", "parts": ok})
		if out, _, err := ran(t, "health", "--ready", "--url", s.url); err != nil || out != "success\n" {
			t.Errorf("foof health --ready: %v, %q", err, out)
		}
		if up := s.metric(t, `foof_database_up`); up != "1" {
			t.Errorf("foof_database_up is %s", up)
		}
		lives()

		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		until(t, "it is not ready", func() bool { return !ready() })
		a := s.get(t, "/readyz")
		a.is(t, http.StatusServiceUnavailable, object{"status": "failure", "info": "database: not reachable", "parts": object{
			"service": "ok", "database": "not reachable", "schema": "unknown", "log": "unknown", "projections": "unknown", "reactors": "unknown",
		}})
		if a.header.Get("Retry-After") == "" {
			t.Error("/readyz does not say when to ask again")
		}
		until(t, "the log says why", func() bool {
			return strings.Contains(s.said.String(), `"route":"/readyz","status":503`) && strings.Contains(s.said.String(), `"error":"database: not reachable"`)
		})
		if _, _, err := ran(t, "health", "--ready", "--url", s.url); err == nil || !strings.Contains(err.Error(), "database: not reachable (503") {
			t.Errorf("foof health --ready: %v", err)
		}
		if up := s.metric(t, `foof_database_up`); up != "0" {
			t.Errorf("foof_database_up is %s", up)
		}
		lives()
		if err := server.Restart(patience(t)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "it is ready", ready)
	s.down = false
}

func TestWhoIsToldToStopSaysSoBeforeItStops(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_DRAIN", "8s"))
	p := s.join(t)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	s.down = true
	until(t, "it is not ready", func() bool { return s.get(t, "/readyz").status != http.StatusOK })
	if info := s.get(t, "/readyz").text(t, "info"); info != "service: shutting down" {
		t.Errorf("not ready because of %s", info)
	}
	s.get(t, "/healthz").succeeded(t)
	p.showing(t, p.add(t, powerBank()), powerBank().with("price", 299.9)) // as ever
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// metric is the value of a series, as /metrics prints it; "" if there is none.
func (s *service) metric(t testing.TB, series string) string {
	t.Helper()
	for line := range strings.Lines(s.get(t, "/metrics").body) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.join(t)
	id := p.add(t, powerBank())
	s.item(t, id)
	s.get(t, "/item/999").none(t)
	s.get(t, "/nothing/13800138000").refused(t, http.StatusNotFound, "not found")
	s.do(t, s.request(t.Context(), "FROBNICATE", "/nothing", "", http.NoBody))
	p.post(t, "/item/add", fields{}).invalid(t, "title")

	text := s.get(t, "/metrics").body
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	for series, want := range map[string]string{
		`foof_http_requests_total{method="POST",route="/item/add",status="200"}`:    "1",
		`foof_http_requests_total{method="POST",route="/item/add",status="400"}`:    "1",
		`foof_http_requests_total{method="GET",route="/item/:itemid",status="200"}`: "2",
		`foof_http_requests_total{method="GET",route="none",status="404"}`:          "1",
		`foof_http_requests_total{method="other",route="none",status="404"}`:        "1",
		`foof_http_request_duration_seconds_count{method="POST",route="/item/add"}`: "2",
		`foof_http_requests_in_flight`:                                              "1", // the one that asks
		`foof_log_append_conflicts_total`:                                           "0",
		`foof_log_append_failures_total`:                                            "0",
		`foof_log_batch_retries_total`:                                              "0",
		`foof_log_head_position`:                                                    fmt.Sprint(s.head(t)),
		`foof_log_batch_events_sum`:                                                 fmt.Sprint(s.head(t)),
		`foof_reactor_attempts_total{outcome="done",reactor="sms"}`:                 "1",
		`foof_reactor_attempts_total{outcome="failed",reactor="sms"}`:               "0",
		`foof_reactor_given_up_total{reactor="sms"}`:                                "0",
		`foof_database_up`:              "1",
		`foof_database_connections_max`: "16",
	} {
		until(t, series+" is "+want, func() bool { return s.metric(t, series) == want }) // the database is looked at once a second
	}
	for _, name := range projections.Names() {
		for _, metric := range []string{"lag_events", "lag_seconds", "parked_streams"} {
			series := fmt.Sprintf(`foof_projector_%s{projector=%q}`, metric, name)
			until(t, series+" is 0", func() bool { return s.metric(t, series) == "0" })
		}
	}
	for _, name := range []string{"foof_log_batch_duration_seconds_count", "foof_log_batch_appends_count", "go_goroutines", "foof_database_acquires_total"} {
		if s.metric(t, name) == "" {
			t.Errorf("there is no %s", name)
		}
	}
	if personal := regexp.MustCompile(`1380013|FROB|` + p.number).FindString(text); personal != "" {
		t.Errorf("/metrics shows %q", personal)
	}
}

func TestOperatorsHaveAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_ADMIN_ADDR", "127.0.0.1:0"))
	theirs := *s
	theirs.url = "http://" + s.said.await(t, `"msg":"serving operators","addr":"`, `"`)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
		s.get(t, path).refused(t, http.StatusNotFound, "not found")
		if a, err := theirs.try(theirs.request(t.Context(), http.MethodGet, path, "", http.NoBody)); err != nil || a.status != http.StatusOK {
			t.Errorf("%s: %d, %v", path, a.status, err)
		}
	}
	if out, _, err := ran(t, "health", "--addr", "127.0.0.1:1", "--admin-addr", strings.TrimPrefix(theirs.url, "http://")); err != nil {
		t.Errorf("foof health: %v, %s", err, out)
	}
	theirs.get(t, "/item/1").refused(t, http.StatusNotFound, "not found")
	start(t).get(t, "/debug/pprof/").refused(t, http.StatusNotFound, "not found")
}
