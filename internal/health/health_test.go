package health

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"foof/internal/pgtest"
	"foof/internal/web"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
)

// served are a database with 10 events, the oldest 100 minutes old and the newest 10, and what /readyz says about it.
type served struct {
	db    *pgxpool.Pool // as the owner of the tables
	ready *Ready
	http  http.Handler
}

func serve(t *testing.T) *served {
	t.Helper()
	dsn := pgtest.DSN(t)
	s := &served{db: open(t, dsn, ""), ready: &Ready{
		Watch:      &Watch{Pool: open(t, dsn, "foof_service"), Projectors: []string{"items", "users"}, Reactors: []string{"sms"}},
		MostEvents: 5, MostAge: 30 * time.Minute,
	}}
	s.do(t, `
		insert into events (position, stream, version, type, schema_version, data, meta, recorded_at)
		select n, 'item-1', n, 'item.modified', 1, '{}', '{}', now() - (11 - n) * interval '10 minutes' from generate_series(1, 10) n;
		update log_head set position = 10;
		insert into checkpoints (reader, position) values ('items', 10), ('users', 10), ('sms', 10), ('somebody else', 0)`)
	var err error
	if s.http, err = web.New(web.Options{Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute}, s.ready.Routes); err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, dsn, role string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		config.ConnConfig.RuntimeParams["role"] = role
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (s *served) do(t *testing.T, sql string) {
	t.Helper()
	if _, err := s.db.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func (s *served) ask(t *testing.T, path string) (int, http.Header, map[string]any) {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.http.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	var body map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, recorder.Body)
	}
	return recorder.Code, recorder.Header(), body
}

func TestReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		part   string // that is not ready; none if empty
		want   string
	}{
		"all is well":                        {},
		"a reader behind by few old events":  {`update checkpoints set position = 5 where reader = 'items'`, "", ""},
		"a reader behind by too many":        {`update checkpoints set position = 4 where reader = 'items'`, "projections", "items is 6 events and 1h0m0s behind"},
		"many events, none of them old":      {`alter table events disable trigger append_only; update events set recorded_at = now(); update checkpoints set position = 1 where reader = 'items'`, "", ""},
		"a reader that has not begun":        {`delete from checkpoints where reader = 'users'`, "projections", "users is 10 events and 1h40m0s behind"},
		"a reactor behind by too many":       {`update checkpoints set position = 0 where reader = 'sms'`, "reactors", "sms is 10 events and 1h40m0s behind"},
		"a log that ends before its readers": {`update checkpoints set position = 12 where reader = 'items'`, "log", "it ends at 10, and items has read 12: events were lost"},
		"a migration that is missing":        {`update schema_version set version = version - 1`, "schema", "run foof migrate up"},
		"a migration of the next release":    {`update schema_version set version = version + 1`, "", ""},
		"tables that are missing":            {`drop table parked_streams`, "schema", "run foof migrate up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.do(t, c.change)
			status, header, body := s.ask(t, "/readyz")
			parts, _ := body["parts"].(map[string]any)
			if c.part == "" {
				want := map[string]any{"service": "ok", "database": "ok", "schema": "ok", "log": "ok", "projections": "ok", "reactors": "ok"}
				if diff := cmp.Diff(map[string]any{"status": "success", "parts": want}, body); diff != "" || status != http.StatusOK {
					t.Errorf("status %d:\n%s", status, diff)
				}
				return
			}
			info, _ := body["info"].(string)
			state, _ := parts[c.part].(string)
			if status != http.StatusServiceUnavailable || body["status"] != "failure" || header.Get("Retry-After") == "" ||
				!strings.Contains(state, c.want) || info != c.part+": "+state {
				t.Errorf("status %d, %v, want 503 because of %s: %s", status, body, c.part, c.want)
			}
		})
	}
}

func TestNoRequestsShouldComeToAProcessThatLeaves(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.ready.Leave()
	if status, _, body := s.ask(t, "/readyz"); status != http.StatusServiceUnavailable || body["info"] != "service: shutting down" {
		t.Errorf("%d %v", status, body)
	}
	if status, _, body := s.ask(t, "/healthz"); status != http.StatusOK || body["status"] != "success" {
		t.Errorf("it lives, and says %d %v", status, body)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, `update checkpoints set position = 7 where reader = 'items'`)
	s.do(t, `insert into parked_streams (reader, stream, position, error) values ('items', 'item-1', 3, ''), ('items', 'item-2', 4, ''), ('x', 'item-1', 3, '')`)
	state := s.ready.Watch.Look(t.Context())
	if state.Err != nil || state.Head != 10 || len(state.Projectors) != 2 || len(state.Reactors) != 1 {
		t.Fatalf("%+v", state)
	}
	items := state.Projectors[0]
	if age := items.Age.Round(time.Minute); items.Name != "items" || items.Behind != 3 || age != 30*time.Minute || items.Parked != 2 {
		t.Errorf("%+v", items)
	}
	if users := state.Projectors[1]; users != (Reader{Name: "users"}) {
		t.Errorf("%+v", users)
	}

	blocked, err := s.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer blocked.Rollback(t.Context())
	if _, err := blocked.Exec(t.Context(), `lock table checkpoints in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	s.ready.Watch.at = time.Now().Add(-time.Minute)
	if state := s.ready.Watch.Look(t.Context()); state.Err == nil {
		t.Error("a database that does not answer is waited for")
	}
}
