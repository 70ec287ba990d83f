package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"
	"time"

	"foof/commands"
	"foof/events"
	"foof/internal/feed"
	"foof/internal/health"
	"foof/internal/metrics"
	"foof/internal/tracing"
	"foof/internal/web"
	"foof/projections"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// operation is what those who run the service see of it.
type operation struct {
	metrics *metrics.Metrics
	ready   *health.Ready
	tracing *tracing.Tracing // nil: off
}

// startTracing begins to trace, if a collector is configured. Then the logger, which it returns, tells of traces.
func (o *operation) startTracing(ctx context.Context, c config, logger *slog.Logger) (*slog.Logger, error) {
	collector := c.collector()
	if collector == "" {
		return logger, nil
	}
	var err error
	if o.tracing, err = tracing.Start(ctx, collector, logger); err != nil {
		return nil, err
	}
	return slog.New(tracing.Logs(logger.Handler())), nil
}

// watch begins to look at the database, and at how far those are who read the log.
func (o *operation) watch(c config, pool *pgxpool.Pool, reactors []string) {
	watch := &health.Watch{Pool: pool, Projectors: projections.Names(), Reactors: reactors}
	o.ready = &health.Ready{Watch: watch, MostEvents: c.ReadyEvents, MostAge: c.ReadyTime}
	o.metrics.Watch(watch)
	o.metrics.Pool(pool)
}

// count adds what is counted elsewhere.
func (a *app) count() {
	a.metrics.Gauge("foof_chat_streams", "Streams of messages that are open.", func() float64 { return float64(a.bell.Waiting()) })
}

// around is what stands around each request.
func (o *operation) around() []gin.HandlerFunc {
	if o.tracing == nil {
		return []gin.HandlerFunc{o.metrics.Requests}
	}
	return []gin.HandlerFunc{o.metrics.Requests, o.tracing.Requests}
}

func (o *operation) queries() pgx.QueryTracer {
	if o.tracing == nil {
		return nil
	}
	return o.tracing.Queries()
}

// engine makes an engine for commands over the log.
func (a *app) engine(codec *events.Codec) *commands.Engine {
	a.log.Observer.Settled = a.metrics.Settled
	if a.tracing == nil {
		return commands.NewEngine(a.log, codec)
	}
	a.log.Observer.Trace = a.tracing.Batch
	engine := commands.NewEngine(a.tracing.Appending(a.log), codec)
	engine.Trace = a.tracing.Command
	return engine
}

// observer is for the reactors.
func (o *operation) observer() feed.Observer {
	observer := o.metrics.Reactors()
	if o.tracing != nil {
		observer.Trace = o.tracing.Reaction
	}
	return observer
}

// routes are what operators ask: at the address of all others, unless they have their own.
func (o *operation) routes(r gin.IRouter) {
	o.ready.Routes(r)
	o.metrics.Routes(r)
}

// serveOperators serves FOOF_ADMIN_ADDR until ctx ends, if there is one.
func (a *app) serveOperators(ctx context.Context) error {
	if a.config.AdminAddr == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.AdminAddr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; FOOF_ADMIN_ADDR takes another address", a.config.AdminAddr, err)
	}
	options := web.Options{Logger: a.logger, Timeout: a.config.RequestTimeout}
	engine, err := web.New(options, a.routes) //nolint:contextcheck // requests have their own
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux() // and not the default one, where pprof registers itself
	mux.Handle("/", engine)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug),
	}
	a.logger.InfoContext(ctx, "serving operators", slog.String("addr", listener.Addr().String()))
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // who asks now is no user
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operators: %w", err)
	}
	return nil
}

// drain gives those who send requests the time to see that the service is about to go.
func (a *app) drain(ctx context.Context) {
	timer := time.NewTimer(a.config.Drain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stopTracing sends the last spans.
func (o *operation) stopTracing(ctx context.Context, logger *slog.Logger) {
	if o.tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := o.tracing.Stop(ctx); err != nil {
		logger.WarnContext(ctx, "the last traces were not delivered", slog.Any("error", err))
	}
}

// collector is the URL that spans go to, as the OTEL_ variables have it; "" for none.
func (c config) collector() string {
	switch {
	case c.TracesCollector != "":
		return c.TracesCollector
	case c.Collector != "":
		return strings.TrimSuffix(c.Collector, "/") + "/v1/traces"
	}
	return ""
}

// checkOperation finds what is wrong with the settings of all this.
func (c config) checkOperation(bad *badSettings) {
	for _, s := range []struct {
		name  string
		below bool
	}{{"FOOF_DRAIN", c.Drain < 0}, {"FOOF_READY_LAG_TIME", c.ReadyTime < 0}, {"FOOF_READY_LAG_EVENTS", c.ReadyEvents < 0}} {
		if s.below {
			bad.addf(s.name, "must not be less than nothing")
		}
	}
	for _, s := range []struct{ name, url string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", c.Collector}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.TracesCollector},
	} {
		if u, err := url.Parse(s.url); s.url != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			bad.addf(s.name, "must be a URL, with http or https before it")
		}
	}
}
