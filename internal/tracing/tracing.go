// Package tracing follows what somebody asked for through the whole service, by OpenTelemetry: the request, the command, the
// append, and then, in whichever process and long after the answer, the projection of what was appended. An event's metadata
// carries the trace from one side of the log to the other.
//
// Spans tell what was done and how it ended, and nothing of whom it was about: no paths, addresses, ids or texts of errors.
package tracing

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing makes spans and sends them to a collector. Its methods may be used concurrently. Where tracing is off there is none,
// and nothing that it would be hooked into does anything.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Start makes spans go to a collector at this URL, by OTLP over HTTP. Everything else is as the OTEL_ variables have it that
// OpenTelemetry's SDK reads: headers, sampler, resource, batches. The service's name is foof unless they have another.
func Start(ctx context.Context, url string, logger *slog.Logger) (*Tracing, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "foof")), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(&complaining{exporter, logger}), sdk.WithResource(about))
	return &Tracing{provider: provider, tracer: provider.Tracer("foof")}, nil
}

// Stop sends what has not been sent, for as long as ctx lasts.
func (t *Tracing) Stop(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	return nil
}

// complaining is an exporter that says in our log what it could not deliver. The SDK would print it.
type complaining struct {
	sdk.SpanExporter

	logger *slog.Logger
}

func (c *complaining) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := c.SpanExporter.ExportSpans(ctx, spans); err != nil {
		c.logger.WarnContext(ctx, "traces not delivered", slog.Int("spans", len(spans)), slog.Any("error", err))
	}
	return nil
}

// mostLinks bounds how many appends a span names.
const mostLinks = 32

const header = "traceparent"

// parent is the context that a traceparent names; invalid if it names none.
func parent(traceparent string) trace.SpanContext {
	carrier := propagation.MapCarrier{header: traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

func traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}

// after starts a span of what was done because of these appends. Its parent is the first of them, so that it is sampled if that
// was; where there are several, it is linked to each, up to a bound.
func (t *Tracing) after(
	ctx context.Context, name string, appends []string, attributes ...attribute.KeyValue,
) (context.Context, trace.Span) {
	if len(appends) == 0 {
		return ctx, trace.SpanFromContext(context.Background()) // which does nothing
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, parent(appends[0]))
	options := []trace.SpanStartOption{trace.WithAttributes(attributes...)}
	if len(appends) > 1 {
		links := make([]trace.Link, 0, mostLinks)
		for _, one := range appends[:min(len(appends), mostLinks)] {
			links = append(links, trace.Link{SpanContext: parent(one)})
		}
		options = append(options, trace.WithLinks(links...))
	}
	return t.tracer.Start(ctx, name, options...) //nolint:spancheck // the caller ends it
}

// end ends a span; outcome says in one word why it failed, "" if it did not.
func end(span trace.Span, outcome string) {
	if outcome != "" {
		span.SetStatus(codes.Error, outcome)
	}
	span.End()
}

// ended is for those who tell how it went by an error, the text of which belongs into the log and nowhere else.
func ended(span trace.Span) func(error) {
	return func(err error) {
		if err != nil {
			end(span, "failed")
			return
		}
		end(span, "")
	}
}
