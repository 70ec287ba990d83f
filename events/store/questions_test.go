package store

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// questions counts what a pool asks of the database.
type questions struct {
	pages atomic.Int64 // reads of the log after a position
	heads atomic.Int64 // looks at the head

	blockWatch bool
	onPage     func(ctx context.Context, n int64) // called before page number n is read
}

// watchBlocked has looks at the head never come back, so that nothing that follows the log can live on them.
func watchBlocked(q *questions) { q.blockWatch = true }

// counted is a service pool that counts.
func (d *database) counted(t *testing.T, change ...func(*questions)) (*pgxpool.Pool, *questions) {
	t.Helper()
	q := &questions{}
	for _, f := range change {
		f(q)
	}
	return d.service(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = q }), q
}

func (q *questions) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	switch {
	case strings.Contains(data.SQL, "where position > $1"):
		if n := q.pages.Add(1); q.onPage != nil {
			q.onPage(ctx, n)
		}
	case strings.HasPrefix(data.SQL, "select position from log_head"):
		q.heads.Add(1)
		if q.blockWatch {
			<-ctx.Done()
		}
	}
	return ctx
}

func (q *questions) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
