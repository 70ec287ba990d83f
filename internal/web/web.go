// Package web is what every route shares: who asks, how an outcome becomes an answer, and what is logged of it.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"foof/internal/fault"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// A Handler answers a request, or returns the fault that is the answer. Any other error is answered as an internal one.
type Handler func(c *gin.Context) error

// Handle makes a Handler one of gin's.
func Handle(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			fail(c, err)
		}
	}
}

// Options say how an engine behaves.
type Options struct {
	Logger         *slog.Logger
	TrustedProxies []string          // addresses or networks whose X-Forwarded-For is believed
	Timeout        time.Duration     // how long a request may take
	PerAddress     *Limiter          // of POST requests
	Around         []gin.HandlerFunc // around all else: metrics, traces
	Within         []gin.HandlerFunc // right around what the routes do
}

// New makes an engine with these routes, which gives each request an id and a time limit, logs its outcome, survives a panic,
// and answers what has no route.
func New(o Options, routes ...func(gin.IRouter)) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	if err := engine.SetTrustedProxies(o.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	methods := map[string][]string{} // of each path that has no parameters
	engine.Use(o.Around...)
	engine.Use(identify, logged(o.Logger), limited(o.Timeout), recovered, shadowed(methods))
	engine.Use(bounded(o.PerAddress))
	engine.Use(o.Within...)
	engine.NoRoute(Handle(func(*gin.Context) error { return fault.ErrNotFound }))
	engine.NoMethod(Handle(func(*gin.Context) error { return fault.ErrNotAllowed }))
	for _, add := range routes {
		add(engine)
	}
	for _, route := range engine.Routes() {
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	return engine, nil
}

// shadowed keeps a route with a parameter from taking what is another route's with the wrong method: where GET /user/:uuid is
// served, GET /user/login is no user, and GET is not among what is allowed there.
func shadowed(methods map[string][]string) gin.HandlerFunc {
	return func(c *gin.Context) {
		path := c.Request.URL.Path
		if served, ok := methods[path]; ok && path != c.FullPath() {
			c.Header("Allow", strings.Join(served, ", "))
			fail(c, fault.ErrNotAllowed)
		}
	}
}

const requestIDHeader = "X-Request-ID"

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

type requestIDKey struct{}

// identify gives the request an id: the client's, if it sent a sound one.
func identify(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !requestIDForm.MatchString(id) {
		id = uuid.NewString()
	}
	c.Header(requestIDHeader, id)
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
}

// RequestID is the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// untimedKey is where gin's context has the request's own, which has no time limit.
const untimedKey = "untimed"

// Untimed is the context of a request that may take as long as it likes. It ends when the client goes away.
func Untimed(c *gin.Context) context.Context {
	ctx, _ := c.MustGet(untimedKey).(context.Context)
	return ctx
}

func limited(timeout time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Set(untimedKey, c.Request.Context())
		ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

func recovered(c *gin.Context) {
	defer func() {
		if p := recover(); p != nil {
			fail(c, &panicked{value: p, stack: debug.Stack()})
		}
	}()
	c.Next()
}

// quietKey is where gin's context says that nothing needs to be said of a request that went well.
const quietKey = "quiet"

// Quiet is for routes that machines ask every few seconds.
func Quiet(c *gin.Context) { c.Set(quietKey, true) }

// logged writes one line per request: the route and never the path or the query, which may hold a secret.
func logged(logger *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		ctx := c.Request.Context()
		attrs := []slog.Attr{
			slog.String("request", RequestID(ctx)),
			slog.String("method", c.Request.Method),
			slog.String("route", c.FullPath()),
			slog.Int("status", c.Writer.Status()),
			slog.Int("bytes", max(0, c.Writer.Size())),
			slog.Duration("took", time.Since(began)),
			slog.String("client", c.ClientIP()),
		}
		if user := c.GetInt64(callerKey); user != 0 {
			attrs = append(attrs, slog.Int64("user", user))
		}
		level := slog.LevelInfo
		if c.Writer.Status() >= http.StatusInternalServerError {
			level = slog.LevelError
		} else if c.GetBool(quietKey) {
			level = slog.LevelDebug
		}
		if err := c.Errors.Last(); err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		logger.LogAttrs(ctx, level, "request", attrs...)
	}
}
