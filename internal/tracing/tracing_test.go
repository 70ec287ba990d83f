package tracing

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"foof/events"
	"foof/events/store"
	"foof/internal/fault"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// recorded is tracing into memory.
func recorded() (*Tracing, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
	return &Tracing{provider: provider, tracer: provider.Tracer("test")}, recorder
}

// appended is an event as the log has it, of the append that its trace names; 0 for none.
func appended(by int) events.Recorded {
	meta := events.Metadata{Command: "c"}
	if by > 0 {
		meta.Trace = fmt.Sprintf("00-%032x-%016x-01", by, by)
	}
	encoded, err := events.EncodeMetadata(meta)
	if err != nil {
		panic(err)
	}
	return events.Recorded{Position: 1, Meta: encoded}
}

func TestAProjectionBelongsToWhatItProjects(t *testing.T) {
	t.Parallel()
	pages := func(appends ...int) (page []events.Recorded) {
		for _, n := range appends {
			page = append(page, appended(n))
		}
		return page
	}
	var hundred []int
	for n := range 100 {
		hundred = append(hundred, n+1)
	}
	for name, c := range map[string]struct {
		page  []events.Recorded
		trace string
		links int
	}{
		"of nothing that is traced there is no span":           {pages(0, 0), "", 0},
		"of one append it is a child":                          {pages(7), fmt.Sprintf("%032x", 7), 0},
		"of one append with two events, too":                   {pages(7, 7), fmt.Sprintf("%032x", 7), 0},
		"of one among many it is a child":                      {pages(0, 7, 0), fmt.Sprintf("%032x", 7), 0},
		"of several it is linked to each":                      {pages(7, 0, 8, 8, 9), fmt.Sprintf("%032x", 7), 3},
		"of a hundred it is linked to as many as are bearable": {pages(hundred...), fmt.Sprintf("%032x", 1), 32},
		"of what is no trace there is none": {
			[]events.Recorded{{Position: 1, Meta: []byte(`{"command":"\"trace\":"}`)}, {Position: 2, Meta: []byte(`{`)}}, "", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracing, spans := recorded()
			_, done := tracing.Projection(t.Context(), "items", c.page)
			done(nil)
			if c.trace == "" {
				if n := len(spans.Ended()); n != 0 {
					t.Errorf("%d spans", n)
				}
				return
			}
			if len(spans.Ended()) != 1 {
				t.Fatalf("%d spans", len(spans.Ended()))
			}
			span := spans.Ended()[0]
			if id := span.SpanContext().TraceID().String(); id != c.trace || !span.Parent().IsRemote() || span.Name() != "project items" {
				t.Errorf("%s in trace %s, want %s", span.Name(), id, c.trace)
			}
			if len(span.Links()) != c.links {
				t.Errorf("%d links, want %d", len(span.Links()), c.links)
			}
		})
	}
}

func TestWhatIsRefusedIsNoError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"nothing went wrong":      {nil, codes.Unset},
		"the rules say no":        {fault.Refused("no"), codes.Unset},
		"the store is away":       {fault.Unavailable(errors.New("x")), codes.Error},
		"the program is at fault": {errors.New("secret"), codes.Error},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracing, spans := recorded()
			_, done := tracing.Command(t.Context(), "TradeItem")
			done(c.err)
			status := spans.Ended()[0].Status()
			if status.Code != c.want || status.Description == "secret" {
				t.Errorf("%+v", status)
			}
		})
	}
}

// log is one that answers as it is told.
type log struct {
	Log

	appended store.Append
	err      error
}

func (l *log) Append(_ context.Context, a store.Append) (store.Receipt, error) {
	l.appended = a
	return store.Receipt{}, l.err
}

func TestAnAppendLeavesItsTrace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"durable":     {nil, codes.Unset},
		"in conflict": {&store.ConflictError{Stream: "user-1"}, codes.Unset},
		"in doubt":    {store.ErrInDoubt, codes.Error},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracing, spans := recorded()
			l := &log{err: c.err}
			if _, err := tracing.Appending(l).Append(t.Context(), store.Append{}); !errors.Is(err, c.err) {
				t.Error(err)
			}
			span := spans.Ended()[0]
			if span.Status().Code != c.want {
				t.Errorf("%+v", span.Status())
			}
			if got := parent(l.appended.Meta.Trace); got.SpanID() != span.SpanContext().SpanID() || !got.IsSampled() {
				t.Errorf("the trace is %q", l.appended.Meta.Trace)
			}
		})
	}
}
