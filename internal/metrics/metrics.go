// Package metrics is what the service tells Prometheus about itself. docs/operate.md says what each metric means, and what to
// do when it is bad.
package metrics

import (
	"time"

	"foof/events/store"
	"foof/internal/feed"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics has a registry of its own: no two services in one process share anything. To add a metric, make it and Register it.
type Metrics struct {
	registry *prometheus.Registry
	requests requests
	appends  appends
	reactors reactors
}

// New makes the metrics of one service.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests(), appends: newAppends(), reactors: newReactors()}
	m.Register(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Register(m.requests.total, m.requests.took, m.requests.running)
	m.Register(m.appends.took, m.appends.size, m.appends.events, m.appends.conflicts, m.appends.failures, m.appends.retries)
	m.Register(m.reactors.attempts, m.reactors.took, m.reactors.gaveUp)
	return m
}

// Register adds metrics. It panics if there is one of that name already, as that is a mistake in the program.
func (m *Metrics) Register(all ...prometheus.Collector) { m.registry.MustRegister(all...) }

// Gauge adds a metric whose value is asked for when somebody looks.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Routes adds /metrics.
func (m *Metrics) Routes(r gin.IRouter) {
	handler := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	r.GET("/metrics", web.Quiet, gin.WrapH(handler))
}

// appends are what the log's writer does.
type appends struct {
	took, size, events           prometheus.Histogram
	conflicts, failures, retries prometheus.Counter
}

func newAppends() appends {
	return appends{
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foof_log_batch_duration_seconds", Help: "How long a batch of appends took to become durable.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16), // 0.25 ms to 8 s
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foof_log_batch_appends", Help: "How many appends became durable together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		events: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "foof_log_batch_events", Help: "How many events a batch of appends added.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		conflicts: counter("foof_log_append_conflicts_total", "Appends that somebody else was faster than: their commands decide anew."),
		failures:  counter("foof_log_append_failures_total", "Appends given up because the database was away."),
		retries:   counter("foof_log_batch_retries_total", "How often a batch was sent again because the database was away."),
	}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// Settled is for the log's observer.
func (m *Metrics) Settled(b store.Batch) {
	m.appends.took.Observe(b.Took.Seconds())
	m.appends.size.Observe(float64(b.Appends))
	m.appends.events.Observe(float64(b.Events))
	m.appends.conflicts.Add(float64(b.Conflicts))
	m.appends.failures.Add(float64(b.Failed))
	m.appends.retries.Add(float64(b.Retries))
}

// reactors are what happens outside because of the log.
type reactors struct {
	attempts *prometheus.CounterVec
	took     *prometheus.HistogramVec
	gaveUp   *prometheus.CounterVec
}

func newReactors() reactors {
	return reactors{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foof_reactor_attempts_total",
			Help: "Attempts of a reactor at an event: each that failed is followed by another, or by giving up.",
		}, []string{"reactor", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "foof_reactor_attempt_duration_seconds", Help: "How long an attempt took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"reactor"}),
		gaveUp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foof_reactor_given_up_total", Help: "Events that a reactor could not handle, however often it tried.",
		}, []string{"reactor"}),
	}
}

// expect has what these reactors have not done yet show as 0.
func (r *reactors) expect(names []string) {
	for _, name := range names {
		r.attempts.WithLabelValues(name, "done")
		r.attempts.WithLabelValues(name, "failed")
		r.gaveUp.WithLabelValues(name)
	}
}

// Reactors counts what reactors do.
func (m *Metrics) Reactors() feed.Observer {
	return feed.Observer{
		Attempted: func(reactor string, took time.Duration, err error) {
			outcome := "done"
			if err != nil {
				outcome = "failed"
			}
			m.reactors.attempts.WithLabelValues(reactor, outcome).Inc()
			m.reactors.took.WithLabelValues(reactor).Observe(took.Seconds())
		},
		GaveUp: func(reactor string) { m.reactors.gaveUp.WithLabelValues(reactor).Inc() },
	}
}
