package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

// requests are what comes over HTTP. Their labels are routes, never paths: those have no end, and may hold a secret.
type requests struct {
	total   *prometheus.CounterVec
	took    *prometheus.HistogramVec
	running prometheus.Gauge
}

func newRequests() requests {
	return requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foof_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "foof_http_request_duration_seconds",
			Help:    "How long requests took, but for streams, which last as long as somebody listens.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"route", "method"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "foof_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
	}
}

// Requests is the middleware that counts them.
func (m *Metrics) Requests(c *gin.Context) {
	began := time.Now()
	m.requests.running.Inc()
	defer m.requests.running.Dec()
	c.Next()
	route, method := c.FullPath(), method(c.Request.Method)
	if route == "" {
		route = "none"
	}
	m.requests.total.WithLabelValues(route, method, strconv.Itoa(c.Writer.Status())).Inc()
	if !strings.HasPrefix(c.Writer.Header().Get("Content-Type"), "text/event-stream") {
		m.requests.took.WithLabelValues(route, method).Observe(time.Since(began).Seconds())
	}
}

// method is a method that there is, as anybody can make one up.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
