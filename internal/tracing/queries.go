package tracing

import (
	"context"
	"errors"
	"log/slog"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/trace"
)

// Queries makes a span of each query that is part of a trace: what the service asks by itself, such as every few milliseconds
// for the head of the log, makes none. Statements are shown with $1 for what they are about.
func (t *Tracing) Queries() pgx.QueryTracer {
	return &queries{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableConnectionDetailsInAttributes(), otelpgx.WithDisableAcquireTracer())}
}

// queries keeps the texts of errors, which may quote a value, out of spans.
type queries struct{ tracer *otelpgx.Tracer }

func (q *queries) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return q.tracer.TraceQueryStart(ctx, conn, data)
}

func (q *queries) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if data.Err != nil && !errors.Is(data.Err, pgx.ErrNoRows) {
		why := errors.New("failed")
		if refusal, is := errors.AsType[*pgconn.PgError](data.Err); is {
			why = errors.New("SQLSTATE " + refusal.Code)
		}
		data.Err = why
	}
	q.tracer.TraceQueryEnd(ctx, conn, data)
}

// Logs adds to each line of a log the trace that it belongs to.
func Logs(lines slog.Handler) slog.Handler { return traced{lines} }

type traced struct{ slog.Handler }

func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }

func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
