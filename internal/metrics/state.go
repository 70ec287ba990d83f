package metrics

import (
	"context"

	"foof/internal/health"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Watch adds how far the log and its readers are, as the database has it. While the database is away, that is missing.
func (m *Metrics) Watch(watch *health.Watch) {
	m.reactors.expect(watch.Reactors)
	m.Register(&state{
		watch: watch,
		up:    describe("foof_database_up", "Whether the database answers."),
		head:  describe("foof_log_head_position", "The position of the newest event in the log."),
		projectors: reader{
			events:  describe("foof_projector_lag_events", "Events that a read model does not show yet.", "projector"),
			seconds: describe("foof_projector_lag_seconds", "The age of the oldest event that a read model does not show yet.", "projector"),
			parked:  describe("foof_projector_parked_streams", "Streams that a projector could not go on with and passes over.", "projector"),
		},
		reactors: reader{
			events:  describe("foof_reactor_lag_events", "Events that a reactor has not come to yet.", "reactor"),
			seconds: describe("foof_reactor_lag_seconds", "The age of the oldest event that a reactor has not come to yet.", "reactor"),
		},
	})
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// state is a collector that asks the database.
type state struct {
	watch                *health.Watch
	up, head             *prometheus.Desc
	projectors, reactors reader
}

type reader struct {
	events, seconds *prometheus.Desc
	parked          *prometheus.Desc // nil: it has none
}

// Describe implements prometheus.Collector.
func (s *state) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.up, s.head, s.projectors.events, s.projectors.seconds, s.projectors.parked, s.reactors.events, s.reactors.seconds,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *state) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now := s.watch.Look(context.Background()) // bounded; Prometheus gives no context
	if now.Err != nil {
		gauge(s.up, 0)
		return
	}
	gauge(s.up, 1)
	gauge(s.head, float64(now.Head))
	report := func(readers []health.Reader, d reader) {
		for _, r := range readers {
			gauge(d.events, float64(r.Behind), r.Name)
			gauge(d.seconds, r.Age.Seconds(), r.Name)
			if d.parked != nil {
				gauge(d.parked, float64(r.Parked), r.Name)
			}
		}
	}
	report(now.Projectors, s.projectors)
	report(now.Reactors, s.reactors)
}

// Pool adds how the connections to the database are used.
func (m *Metrics) Pool(pool *pgxpool.Pool) {
	for _, g := range []struct {
		name, help string
		value      func(*pgxpool.Stat) float64
	}{
		{"foof_database_connections", "Connections that are open.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) }},
		{"foof_database_connections_in_use", "Connections at work.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }},
		{"foof_database_connections_max", "Connections that there may be.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }},
	} {
		m.Gauge(g.name, g.help, func() float64 { return g.value(pool.Stat()) })
	}
	for _, c := range []struct {
		name, help string
		value      func(*pgxpool.Stat) float64
	}{
		{"foof_database_acquires_total", "How often a connection was taken.", func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) }},
		{"foof_database_waits_total", "How often one had to wait for a connection.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }},
		{"foof_database_wait_seconds_total", "How long, together.", func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() }},
		{"foof_database_given_up_waits_total", "How often one gave up waiting for a connection.", func(s *pgxpool.Stat) float64 { return float64(s.CanceledAcquireCount()) }},
	} {
		m.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help}, func() float64 { return c.value(pool.Stat()) }))
	}
}
