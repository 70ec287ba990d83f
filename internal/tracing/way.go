package tracing

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"foof/events"
	"foof/events/store"
	"foof/internal/fault"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// probes are asked every few seconds, and there is nothing to follow.
var probes = []string{"/healthz", "/readyz", "/metrics"}

// Requests is the middleware that makes a span of each request, within the trace of whoever asks if they say that they have one.
// (otelgin would note the path, which may have a token in it, and the address.)
func (t *Tracing) Requests(c *gin.Context) {
	route := c.FullPath()
	if slices.Contains(probes, route) {
		return
	}
	name := "request without a route"
	if route != "" {
		name = c.Request.Method + " " + route
	}
	ctx := propagation.TraceContext{}.Extract(c.Request.Context(), propagation.HeaderCarrier(c.Request.Header))
	ctx, span := t.tracer.Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.route", route)))
	c.Request = c.Request.WithContext(ctx)
	c.Next()
	status := c.Writer.Status()
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= 500 {
		end(span, "server error")
		return
	}
	end(span, "")
}

// Command makes a span of a command. That one is refused is not an error.
func (t *Tracing) Command(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := t.tracer.Start(ctx, "command "+name) //nolint:spancheck // what is returned ends it
	return ctx, func(err error) {                     //nolint:spancheck // as above
		if err == nil {
			end(span, "")
			return
		}
		kind := fault.Of(err).Kind
		span.SetAttributes(attribute.String("foof.fault", kind.String()))
		if kind == fault.KindInternal || kind == fault.KindUnavailable {
			end(span, kind.String())
			return
		}
		end(span, "")
	}
}

// Log is what commands need of the log.
type Log interface {
	Load(ctx context.Context, streams ...string) ([]events.Recorded, error)
	Append(ctx context.Context, a store.Append) (store.Receipt, error)
	Appended(ctx context.Context, command uuid.UUID) ([]events.Recorded, error)
}

// Appending makes a span of each append, which begins before it waits for its batch, and leaves the trace in what is appended.
func (t *Tracing) Appending(log Log) Log { return &appending{log, t} }

type appending struct {
	Log

	tracing *Tracing
}

func (a *appending) Append(ctx context.Context, add store.Append) (store.Receipt, error) {
	ctx, span := a.tracing.tracer.Start(ctx, "append", trace.WithAttributes(attribute.Int("foof.events", len(add.Events))))
	if span.SpanContext().IsSampled() {
		add.Meta.Trace = traceparent(ctx)
	}
	receipt, err := a.Log.Append(ctx, add)
	if conflict, is := errors.AsType[*store.ConflictError](err); is && conflict != nil {
		span.SetAttributes(attribute.Bool("foof.conflict", true)) // its command decides anew
		end(span, "")
		return receipt, err
	}
	span.SetAttributes(attribute.Int64("foof.position", int64(receipt.Position)))
	ended(span)(err)
	return receipt, err
}

// Batch makes a span of a batch of appends on its way to the database.
func (t *Tracing) Batch(ctx context.Context, appends []string) (context.Context, func()) {
	ctx, span := t.after(ctx, "append batch", appends, attribute.Int("foof.appends", len(appends)))
	return ctx, func() { end(span, "") }
}

// Projection makes a span of a page of events that a projector takes up, if there is a trace that it belongs to.
func (t *Tracing) Projection(ctx context.Context, projector string, page []events.Recorded) (context.Context, func(error)) {
	ctx, span := t.after(ctx, "project "+projector, appendsOf(page),
		attribute.Int("foof.events", len(page)), attribute.Int64("foof.position", int64(page[len(page)-1].Position)))
	return ctx, ended(span)
}

// appendsOf are the appends that a page is of, as traceparents: no more than a span names.
func appendsOf(page []events.Recorded) []string {
	var found []string
	for i := range page {
		if !bytes.Contains(page[i].Meta, []byte(`"trace":`)) { // as hardly any has: no need to decode it
			continue
		}
		meta, err := page[i].Metadata()
		if err != nil || meta.Trace == "" || slices.Contains(found, meta.Trace) {
			continue
		}
		if found = append(found, meta.Trace); len(found) == mostLinks {
			break
		}
	}
	return found
}

// Reaction makes a span of a reactor's attempt at an event that belongs to a trace.
func (t *Tracing) Reaction(ctx context.Context, reactor, traceparent string) (context.Context, func(error)) {
	var appends []string
	if traceparent != "" {
		appends = []string{traceparent}
	}
	ctx, span := t.after(ctx, "react "+reactor, appends)
	return ctx, ended(span)
}
