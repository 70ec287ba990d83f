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
			events:  describe("foof_projector_lag_events", "Events that a read model lacks.", "projector"),
			seconds: describe("foof_projector_lag_seconds", "The age of the oldest event that a read model lacks.", "projector"),
			parked:  describe("foof_projector_parked_streams", "Streams that a projector passes over, as it could not go on.", "projector"),
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
	gauge := func(name, help string, value func(*pgxpool.Stat) float64) {
		m.Gauge("foof_database_"+name, help, func() float64 { return value(pool.Stat()) })
	}
	gauge("connections", "Connections that are open.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) })
	gauge("connections_in_use", "Connections at work.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) })
	gauge("connections_max", "Connections that there may be.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) })

	counter := func(name, help string, value func(*pgxpool.Stat) float64) {
		options := prometheus.CounterOpts{Name: "foof_database_" + name, Help: help}
		m.Register(prometheus.NewCounterFunc(options, func() float64 { return value(pool.Stat()) }))
	}
	counter("acquires_total", "How often a connection was taken.",
		func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) })
	counter("waits_total", "How often one had to wait for a connection.",
		func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) })
	counter("wait_seconds_total", "How long one has waited for connections.",
		func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() })
	counter("given_up_waits_total", "How often one gave up waiting for a connection.",
		func(s *pgxpool.Stat) float64 { return float64(s.CanceledAcquireCount()) })
}
