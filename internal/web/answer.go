package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"foof/internal/fault"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgconn"
)

// Outcome is the status that every answer but a list has.
type Outcome struct {
	Status string `json:"status"`
}

// Succeeded is the outcome of what went well.
func Succeeded() Outcome { return Outcome{Status: "success"} }

// Success is the answer to what was done and has nothing more to say.
func Success(c *gin.Context) { Answer(c, Succeeded()) }

// Answer answers with status 200 and a JSON body, text as it is.
func Answer(c *gin.Context, body any) { c.PureJSON(http.StatusOK, body) }

// StatusClientGone is for the log alone, as nginx writes it: nobody is there to read an answer.
const StatusClientGone = 499

// answers is how each kind of fault is answered.
var answers = map[fault.Kind]struct {
	status int
	shape  func(c *gin.Context, status int, info string)
}{
	fault.KindInternal:    {http.StatusInternalServerError, asFailure},
	fault.KindInvalid:     {http.StatusBadRequest, asFailure},
	fault.KindForbidden:   {http.StatusForbidden, asText},
	fault.KindRefused:     {http.StatusOK, asFailure},
	fault.KindNone:        {http.StatusOK, asNone},
	fault.KindTooLarge:    {http.StatusRequestEntityTooLarge, asText},
	fault.KindTooMany:     {http.StatusTooManyRequests, asFailure},
	fault.KindUnavailable: {http.StatusServiceUnavailable, asFailure},
	fault.KindMismatch:    {http.StatusUnprocessableEntity, asFailure},
	fault.KindNotFound:    {http.StatusNotFound, asFailure},
	fault.KindNotAllowed:  {http.StatusMethodNotAllowed, asFailure},
}

func asText(c *gin.Context, status int, info string) { c.String(status, "%s", info) }

func asNone(c *gin.Context, status int, _ string) { c.PureJSON(status, Outcome{Status: "none"}) }

func asFailure(c *gin.Context, status int, info string) {
	c.PureJSON(status, struct {
		Outcome

		Info string `json:"info"`
	}{Outcome{Status: "failure"}, info})
}

func fail(c *gin.Context, err error) {
	f := fault.Of(err)
	if f.Kind == fault.KindInternal && unavailable(err) {
		f = fault.Unavailable(err)
	}
	if f.Kind == fault.KindInternal || f.Kind == fault.KindUnavailable {
		_ = c.Error(err) // for the log
	}
	if c.Writer.Written() {
		return // too late to say anything
	}
	if errors.Is(err, context.Canceled) && c.Request.Context().Err() != nil {
		c.AbortWithStatus(StatusClientGone)
		return
	}
	if f.RetryAfter > 0 {
		seconds := (f.RetryAfter + time.Second - 1) / time.Second
		c.Header("Retry-After", strconv.Itoa(int(seconds)))
	}
	how := answers[f.Kind]
	how.shape(c, how.status, f.Info)
	c.Abort()
}

// unavailable tells whether something that the service depends on is away or too slow.
func unavailable(err error) bool {
	var (
		connect *pgconn.ConnectError
		network net.Error
		refusal *pgconn.PgError
	)
	if errors.As(err, &refusal) {
		class := refusal.Code[:2]
		return class == "08" || class == "53" || class == "57" // connection, resources, intervention
	}
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// panicked is a panic on its way into the log.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }
