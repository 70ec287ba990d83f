package health

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"foof/events"
	"foof/internal/web"
	"foof/migrations"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgconn"
)

// Ready decides whether requests should come to this process.
type Ready struct {
	Watch *Watch
	// A reader of the log is out of reach when it is further behind than both: neither a burst of events nor one that a
	// reactor tries again for a while takes a whole fleet out of service.
	MostEvents int64
	MostAge    time.Duration

	leaving atomic.Bool
}

// Leave says, from now on, that no more requests should come.
func (r *Ready) Leave() { r.leaving.Store(true) }

// Routes adds /healthz, which says that the process lives and asks nobody, and /readyz.
func (r *Ready) Routes(router gin.IRouter) {
	router.GET("/healthz", web.Quiet, web.Handle(func(c *gin.Context) error {
		web.Success(c)
		return nil
	}))
	router.GET("/readyz", web.Quiet, web.Handle(r.readyz))
}

// parts are what the service stands on, each with "ok" or what is wrong with it.
type parts struct {
	Service     string `json:"service"`
	Database    string `json:"database"`
	Schema      string `json:"schema"`
	Log         string `json:"log"`
	Projections string `json:"projections"`
	Reactors    string `json:"reactors"`
}

const (
	ok      = "ok"
	unknown = "unknown"
	again   = 5 * time.Second // when to ask once more
)

func (r *Ready) readyz(c *gin.Context) error {
	p := r.parts(r.Watch.Look(c.Request.Context()))
	wrong := p.wrong()
	if len(wrong) == 0 {
		web.Answer(c, struct {
			web.Outcome

			Parts parts `json:"parts"`
		}{web.Succeeded(), p})
		return nil
	}
	info := strings.Join(wrong, "; ")
	_ = c.Error(errors.New(info)) // for the log
	c.Header("Retry-After", strconv.Itoa(int(again/time.Second)))
	c.PureJSON(http.StatusServiceUnavailable, struct {
		web.Outcome

		Info  string `json:"info"`
		Parts parts  `json:"parts"`
	}{web.Outcome{Status: "failure"}, info, p})
	return nil
}

func (r *Ready) parts(s State) parts {
	p := parts{Service: ok, Database: ok, Schema: ok, Log: ok}
	if r.leaving.Load() {
		p.Service = "shutting down"
	}
	if s.Err != nil {
		p.Database, p.Schema, p.Log, p.Projections, p.Reactors = "not reachable", unknown, unknown, unknown, unknown
		if refusal, is := errors.AsType[*pgconn.PgError](s.Err); is && refusal.Code[:2] == "42" { // of syntax and access rules
			p.Database, p.Schema = ok, "not what this program needs: run foof migrate up"
		}
		return p
	}
	// A newer one is fine: it came with the next release, whose processes are about to take over.
	if latest := migrations.Latest(); s.Schema < latest {
		p.Schema = fmt.Sprintf("at migration %d, and this program needs %d: run foof migrate up", s.Schema, latest)
	}
	for _, reader := range slices.Concat(s.Projectors, s.Reactors) {
		if reader.Behind < 0 {
			read := s.Head - events.Position(reader.Behind)
			p.Log = fmt.Sprintf("it ends at %d, and %s has read %d: events were lost", s.Head, reader.Name, read)
		}
	}
	p.Projections, p.Reactors = r.reach(s.Projectors), r.reach(s.Reactors)
	return p
}

// reach says which of these readers are too far behind.
func (r *Ready) reach(readers []Reader) string {
	var late []string
	for _, reader := range readers {
		if reader.Behind > r.MostEvents && reader.Age > r.MostAge {
			late = append(late, fmt.Sprintf("%s is %d events and %s behind", reader.Name, reader.Behind, reader.Age.Round(time.Second)))
		}
	}
	if len(late) == 0 {
		return ok
	}
	return strings.Join(late, ", ")
}

// wrong names the parts that are not ready, and what is wrong with them.
func (p parts) wrong() []string {
	var wrong []string
	for _, part := range []struct{ name, state string }{
		{"service", p.Service},
		{"database", p.Database},
		{"schema", p.Schema},
		{"log", p.Log},
		{"projections", p.Projections},
		{"reactors", p.Reactors},
	} {
		if part.state != ok && part.state != unknown {
			wrong = append(wrong, part.name+": "+part.state)
		}
	}
	return wrong
}
