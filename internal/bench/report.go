package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// LogReport is what Log found: medians of the rounds, with the least and the most.
type LogReport struct {
	Machine   Machine   `json:"machine"`
	Server    Server    `json:"server"`
	Rounds    int       `json:"rounds"`
	Seconds   float64   `json:"seconds"`    // of one measurement of appends
	DataBytes int       `json:"data_bytes"` // of an event, on average
	Events    int       `json:"events"`     // in the log that was replayed
	Appends   []Appends `json:"appends"`
	Replay    []Replay  `json:"replay"`
	Targets   []Target  `json:"targets"`
}

// Machine is where the bench ran.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Go    string `json:"go"`
}

// Server is the PostgreSQL that was measured on, in its own words.
type Server struct {
	PostgreSQL        string   `json:"postgresql"`
	Fsync             string   `json:"fsync"`
	SynchronousCommit string   `json:"synchronous_commit"`
	FullPageWrites    string   `json:"full_page_writes"`
	WALSyncMethod     string   `json:"wal_sync_method"`
	SharedBuffers     string   `json:"shared_buffers"`
	SyncMillis        float64  `json:"sync_ms,omitzero"` // what the disk takes to make 8 kB durable; unknown of a server that is not ours
	Warnings          []string `json:"warnings,omitempty"`
}

// Kind names what was measured.
type Kind string

// What is measured.
const (
	LogAppend     Kind = "foof"
	LogConflicts  Kind = "foof, 1% in conflict"
	BareInsert    Kind = "bare INSERT"
	BareCopy      Kind = "COPY, 512 a commit"
	LogReplay     Kind = "foof, decoded"
	LogReplayRaw  Kind = "foof, undecoded"
	BareSelect    Kind = "bare SELECT, decoded"
	BareSelectRaw Kind = "bare SELECT, undecoded"
)

// Appends is what so many clients at once could append. Latencies are of what one client waits for: an append, a commit.
type Appends struct {
	Kind      Kind   `json:"kind"`
	Clients   int    `json:"clients"`
	PerSecond Spread `json:"events_per_second"` // events that went in
	P50Millis Spread `json:"p50_ms"`
	P99Millis Spread `json:"p99_ms"`
}

// Replay is how fast the log was read.
type Replay struct {
	Kind      Kind   `json:"kind"`
	PerSecond Spread `json:"events_per_second"`
}

// Spread is the median of the rounds, and the least and the most.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	rounds []float64
}

// Target is what was expected of a ratio. Ratio.Median is the ratio of the medians; the least and the most are those of
// the rounds' own ratios.
type Target struct {
	Name    string  `json:"name"`
	AtMost  float64 `json:"at_most,omitzero"` // either this
	AtLeast float64 `json:"at_least,omitzero"`
	Ratio   Spread  `json:"ratio"`
	Reached bool    `json:"reached"`
}

func newAppends(s subject, found []sample) Appends {
	var rates, p50, p99 []float64
	for _, one := range found {
		rates = append(rates, one.rate)
		p50 = append(p50, millis(one.p50))
		p99 = append(p99, millis(one.p99))
	}
	return Appends{
		Kind: s.kind, Clients: s.clients,
		PerSecond: spreadOf(rates), P50Millis: spreadOf(p50), P99Millis: spreadOf(p99),
	}
}

func spreadOf(rounds []float64) Spread {
	sorted := slices.Sorted(slices.Values(rounds))
	n := len(sorted)
	return Spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1],
		rounds: rounds,
	}
}

// targets are those of the expectations that the report has both sides of.
func targets(r LogReport) []Target {
	var found []Target
	add := func(name string, ours, theirs Spread, t Target) {
		if ours.rounds == nil || theirs.rounds == nil || theirs.Median == 0 {
			return
		}
		t.Name = name
		t.Ratio = ratioOf(ours, theirs)
		t.Reached = (t.AtMost == 0 || t.Ratio.Median <= t.AtMost) && t.Ratio.Median >= t.AtLeast
		found = append(found, t)
	}
	add("p50 of 1 appender to that of 1 bare INSERT",
		r.appends(LogAppend, 1).P50Millis, r.appends(BareInsert, 1).P50Millis, Target{AtMost: 1.2})
	add("32 appenders to 32 bare INSERTs", r.appends(LogAppend, 32).PerSecond, r.appends(BareInsert, 32).PerSecond, Target{AtLeast: 2.2})
	add("256 appenders to 32 bare INSERTs", r.appends(LogAppend, 256).PerSecond, r.appends(BareInsert, 32).PerSecond, Target{AtLeast: 4})
	for _, a := range r.Appends {
		if a.Kind == LogConflicts {
			add(strconv.Itoa(a.Clients)+" appenders with 1% in conflict to those without",
				a.PerSecond, r.appends(LogAppend, a.Clients).PerSecond, Target{AtLeast: 0.9})
		}
	}
	add("replay with decoding to a bare SELECT with it",
		r.replay(LogReplay).PerSecond, r.replay(BareSelect).PerSecond, Target{AtLeast: 0.8})
	return found
}

func ratioOf(ours, theirs Spread) Spread {
	rounds := make([]float64, len(ours.rounds))
	for i := range rounds {
		rounds[i] = ours.rounds[i] / theirs.rounds[i]
	}
	s := spreadOf(rounds)
	s.Median = ours.Median / theirs.Median
	return s
}

func (r LogReport) appends(kind Kind, clients int) Appends {
	for _, a := range r.Appends {
		if a.Kind == kind && a.Clients == clients {
			return a
		}
	}
	return Appends{}
}

func (r LogReport) replay(kind Kind) Replay {
	for _, one := range r.Replay {
		if one.Kind == kind {
			return one
		}
	}
	return Replay{}
}

// WriteTable writes the report for people.
func (r LogReport) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r.writeFacts(t)
	fmt.Fprintf(t, "\nappends\tat once\tevents/s\t\tp50 ms\t\tp99 ms\t\n")
	for _, a := range r.Appends {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", a.Kind, a.Clients, a.PerSecond.cells(0), a.P50Millis.cells(2), a.P99Millis.cells(2))
	}
	fmt.Fprintf(t, "\nreplay\t\tevents/s\t\n")
	for _, one := range r.Replay {
		fmt.Fprintf(t, "%s\t\t%s\n", one.Kind, one.PerSecond.cells(0))
	}
	fmt.Fprintf(t, "\ntarget\t\tratio\t\texpected\t\n")
	for _, one := range r.Targets {
		fmt.Fprintf(t, "%s\t\t%s\t%s\n", one.Name, one.Ratio.cells(2), one.verdict())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (r LogReport) writeFacts(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, %s, %s, PostgreSQL %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Go, r.Server.PostgreSQL)
	fmt.Fprintf(w, "fsync %s by %s, synchronous_commit %s, full_page_writes %s, shared_buffers %s",
		r.Server.Fsync, r.Server.WALSyncMethod, r.Server.SynchronousCommit, r.Server.FullPageWrites, r.Server.SharedBuffers)
	if r.Server.SyncMillis > 0 {
		fmt.Fprintf(w, "; the disk syncs 8 kB in %.2f ms", r.Server.SyncMillis)
	}
	fmt.Fprintf(w, "\n%d rounds; %g s for each measurement of appends; %d events replayed; %d bytes of data an event\n",
		r.Rounds, r.Seconds, r.Events, r.DataBytes)
	fmt.Fprintf(w, "medians of the rounds (least to most)\n")
	for _, warning := range r.Server.Warnings {
		fmt.Fprintf(w, "WARNING: %s\n", warning)
	}
}

// cells are two cells of a table: the median, and in parentheses the least and the most.
func (s Spread) cells(decimals int) string {
	return number(s.Median, decimals) + "\t(" + number(s.Min, decimals) + "–" + number(s.Max, decimals) + ")"
}

func (t Target) verdict() string {
	bound := "≥ " + strconv.FormatFloat(t.AtLeast, 'g', -1, 64)
	if t.AtMost > 0 {
		bound = "≤ " + strconv.FormatFloat(t.AtMost, 'g', -1, 64)
	}
	if t.Reached {
		return bound + "\treached"
	}
	return bound + "\tNOT REACHED"
}

// number writes thousands apart: 12,345.
func number(f float64, decimals int) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(f, 'f', decimals, 64), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole
}
