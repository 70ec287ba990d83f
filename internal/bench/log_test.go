package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"foof/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { pgtest.Main(m, nil) }

func quick(url string) LogOptions {
	return LogOptions{DatabaseURL: url, Duration: 50 * time.Millisecond, Rounds: 3, Events: 2500, Appenders: []int{1, 32, 256}}
}

func TestLogReportsAllThatItIsFor(t *testing.T) {
	t.Parallel()
	url := pgtest.DSN(t)
	var told []string
	report, err := Log(t.Context(), quick(url), func(what string) { told = append(told, what) })
	if err != nil {
		t.Fatal(err)
	}
	checkAppends(t, report.Appends)
	checkReplay(t, report.Replay)
	checkTargets(t, report)
	if report.DataBytes < 400 || report.DataBytes > 425 {
		t.Errorf("an event has %d bytes of data, and the expected figures are for 411", report.DataBytes)
	}
	if report.Machine.Cores < 1 || report.Server.PostgreSQL == "" {
		t.Errorf("on %+v, %+v", report.Machine, report.Server)
	}
	if report.Server.Fsync != "off" || len(report.Server.Warnings) != 1 || !strings.Contains(told[0], "not durable") {
		t.Errorf("that the server is not durable is told as %q and reported as %+v", told[0], report.Server)
	}
}

func checkAppends(t *testing.T, appends []Appends) {
	t.Helper()
	var got []subject
	for _, a := range appends {
		got = append(got, subject{kind: a.Kind, clients: a.Clients})
		for what, s := range map[string]Spread{"rate": a.PerSecond, "p50": a.P50Millis, "p99": a.P99Millis} {
			checkSpread(t, string(a.Kind)+" "+what, s)
		}
		if a.P50Millis.Median > a.P99Millis.Median {
			t.Errorf("%s, %d at once: p50 is above p99", a.Kind, a.Clients)
		}
	}
	want := []subject{
		{kind: BareInsert, clients: 1},
		{kind: LogAppend, clients: 1},
		{kind: LogConflicts, clients: 1},
		{kind: BareInsert, clients: 8},
		{kind: BareInsert, clients: 32},
		{kind: LogAppend, clients: 32},
		{kind: LogConflicts, clients: 32},
		{kind: LogAppend, clients: 256},
		{kind: LogConflicts, clients: 256},
		{kind: BareCopy, clients: 1},
	}
	same := func(a, b subject) bool { return a.kind == b.kind && a.clients == b.clients }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("measured %v, want %v", got, want)
	}
}

func checkReplay(t *testing.T, replay []Replay) {
	t.Helper()
	var kinds []Kind
	for _, r := range replay {
		kinds = append(kinds, r.Kind)
		checkSpread(t, string(r.Kind), r.PerSecond)
	}
	if want := []Kind{LogReplay, BareSelect, LogReplayRaw, BareSelectRaw}; !slices.Equal(kinds, want) {
		t.Errorf("replayed %v, want %v", kinds, want)
	}
}

func checkSpread(t *testing.T, what string, s Spread) {
	t.Helper()
	if s.Min <= 0 || s.Median < s.Min || s.Max < s.Median || len(s.rounds) != 3 {
		t.Errorf("%s: %+v", what, s)
	}
}

func checkTargets(t *testing.T, report LogReport) {
	t.Helper()
	if len(report.Targets) != 7 {
		t.Errorf("%d targets, want p50, 32, 256, conflicts three times, replay", len(report.Targets))
	}
	for _, target := range report.Targets {
		checkRatio(t, target)
	}
	var table, plain bytes.Buffer
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	lines := len(report.Appends) + len(report.Replay) + len(report.Targets)
	if got := strings.Count(table.String(), "\n"); got < lines+6 {
		t.Errorf("the table has %d lines for %d results:\n%s", got, lines, table.String())
	}
	if err := json.NewEncoder(&plain).Encode(report); err != nil {
		t.Fatal(err)
	}
	var again LogReport
	if err := json.Unmarshal(plain.Bytes(), &again); err != nil || len(again.Targets) != len(report.Targets) {
		t.Errorf("in JSON it is %s (%v)", plain.Bytes(), err)
	}
}

func checkRatio(t *testing.T, target Target) {
	t.Helper()
	if target.Ratio.Median <= 0 || target.Ratio.Min > target.Ratio.Max || (target.AtMost > 0) == (target.AtLeast > 0) {
		t.Errorf("%+v", target)
	}
	kept := target.Ratio.Median >= target.AtLeast && (target.AtMost == 0 || target.Ratio.Median <= target.AtMost)
	if target.Reached != kept {
		t.Errorf("reached is %v for %+v", target.Reached, target)
	}
}

func TestLogLeavesNothingBehindWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	url := pgtest.Server(t, nil).DSN("")
	for _, at := range []string{"making a log", "bare SELECT, decoded", "foof, 32 at once", "COPY"} {
		ctx, cancel := context.WithCancel(t.Context())
		report, err := Log(ctx, quick(url), func(what string) {
			if strings.Contains(what, at) {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) || report.Appends != nil {
			t.Errorf("at %q it returns %+v, %v", at, report, err)
		}
		if left := databases(t, url); len(left) > 0 {
			t.Errorf("at %q it leaves %v behind", at, left)
		}
	}
}

func TestLogRefusesWhatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]LogOptions{
		"no appenders":        {Appenders: []int{1, 0}},
		"a negative duration": {Duration: -time.Second},
		"negative rounds":     {Rounds: -1},
		"negative events":     {Events: -1},
	} {
		if _, err := Log(t.Context(), o, func(what string) { t.Errorf("%s: %s", name, what) }); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// databases are those that a bench made beside this one.
func databases(t *testing.T, url string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `select datname from pg_database where datname like 'foof_bench_%'`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		took []time.Duration
		p    int
		want time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{9, 1, 5}, 50, 5},
		{[]time.Duration{9, 1}, 50, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
	} {
		if got := percentile(c.took, c.p); got != c.want {
			t.Errorf("percentile %d of %v is %v, want %v", c.p, c.took, got, c.want)
		}
	}
}
