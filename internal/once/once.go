// Package once carries a request that comes with an Idempotency-Key out once, and gives its answer again for a day
// (draft-ietf-httpapi-idempotency-key-header).
//
// What a request does is one command, and the log takes a command once, by its id. So each key gets a command id of its own,
// before anything is done; whoever carries the request out again, after a crash between commit and answer or while somebody
// else is still at it, finds in the log what has come of it, and answers the same.
package once

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Sealer keeps requests and answers from those who read the table: they may hold what is personal, and passwords.
type Sealer interface {
	RequestIndex(sum [32]byte) []byte
	SealAnswer(plain []byte, command string) []byte
	OpenAnswer(sealed []byte, command string) ([]byte, error)
}

// Once is safe for concurrent use, in any number of processes.
type Once struct {
	Pool   *pgxpool.Pool
	Auth   *web.Auth
	Sealer Sealer
	Logger *slog.Logger
}

const (
	keyHeader = "Idempotency-Key"

	// takenFor is how long somebody who began to answer is waited for, before it is taken for lost. If it is not, no harm is done.
	takenFor = 2 * time.Second

	mostKept = 256 << 10 // bytes of an answer; a larger one is made anew
	lookMost = 100 * time.Millisecond
)

// revoking are the requests that revoke the token that they come with.
var revoking = []string{"/user/logout", "/user/modify"}

// Handle is a middleware: it takes care of POST requests with a key, and lets others pass.
func (o *Once) Handle(c *gin.Context) {
	if c.Request.Method != http.MethodPost || len(c.Request.Header.Values(keyHeader)) == 0 || c.FullPath() == "" {
		return
	}
	web.Handle(o.handle)(c)
}

func (o *Once) handle(c *gin.Context) error {
	key := strings.Join(c.Request.Header.Values(keyHeader), "\x00")
	if len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(key) == "" {
		return fault.Invalid(keyHeader, "must have 1 to 255 printable ASCII characters")
	}
	f, err := web.Form(c)
	if err != nil {
		return err
	}
	caller, revoked, err := o.Auth.Sender(c, f)
	if err != nil {
		return err
	}
	r := request{caller: caller, key: key, sum: o.Sealer.RequestIndex(f.Sum(c.FullPath(), "token"))}
	ctx := c.Request.Context()
	var mine work
	switch {
	case !revoked:
		mine, err = o.begin(ctx, r)
	case slices.Contains(revoking, c.FullPath()): // it may be this request that did it
		mine, err = o.find(ctx, r)
	}
	if err != nil {
		return err
	}
	if revoked && !mine.answered {
		return nil // who has no other token is answered so
	}
	if mine.answered {
		c.Header("Idempotent-Replayed", "true")
		c.Data(mine.status, mine.kind, mine.body)
		c.Abort()
		return nil
	}
	tee := &tee{ResponseWriter: c.Writer}
	c.Writer = tee
	c.Request = c.Request.WithContext(web.WithCommand(ctx, mine.command))
	defer o.settle(ctx, r, mine.command, tee)
	c.Next()
	tee.whole = len(c.Errors) == 0
	return nil
}

// request is what is to be done once.
type request struct {
	caller events.UserID
	key    string
	sum    []byte
}

// work is what is known of a request: its answer, or that it is ours to carry out, or neither, while somebody else is at it.
type work struct {
	command        uuid.UUID
	ours, answered bool
	status         int
	kind           string
	body           []byte
}

// begin takes a request on, or waits for its answer. It is fault.ErrMismatch if the key was used for another one.
func (o *Once) begin(ctx context.Context, r request) (work, error) {
	const insert = `
		with swept as (delete from answers where begun_at < now() - interval '24 hours')
		insert into answers (caller, key, request, command) values ($1, $2, $3, $4)
		on conflict (caller, key) do nothing`
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, lookMost) {
		command, err := uuid.NewV7()
		if err != nil {
			return work{}, fmt.Errorf("draw a command id: %w", err)
		}
		tag, err := o.Pool.Exec(ctx, insert, r.caller, r.key, r.sum, command)
		if err != nil {
			return work{}, fmt.Errorf("begin an answer: %w", err)
		}
		if tag.RowsAffected() == 1 {
			return work{command: command, ours: true}, nil
		}
		w, err := o.find(ctx, r)
		if err != nil || w.ours || w.answered {
			return w, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return work{}, fault.Unavailable(fmt.Errorf("wait for an answer: %w", ctx.Err()))
		}
	}
}

// find looks at a request that somebody has taken on. It is ours if they seem to be lost.
func (o *Once) find(ctx context.Context, r request) (w work, err error) {
	const (
		look = `
			select request, command, taken_at, taken_at < now() - $3::interval, status, coalesce(type, ''), body
			from answers where caller = $1 and key = $2`
		take = `update answers set taken_at = now() where caller = $1 and key = $2 and taken_at = $3 and status is null`
	)
	var (
		sum    []byte
		taken  time.Time
		lost   bool
		status *int
	)
	err = o.Pool.QueryRow(ctx, look, r.caller, r.key, takenFor).Scan(&sum, &w.command, &taken, &lost, &status, &w.kind, &w.body)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it was swept just now
		return w, nil
	case err != nil:
		return w, fmt.Errorf("find an answer: %w", err)
	case subtle.ConstantTimeCompare(sum, r.sum) == 0:
		return w, fault.ErrMismatch
	case status != nil:
		w.answered, w.status = true, *status
		w.body, err = o.Sealer.OpenAnswer(w.body, w.command.String())
		return w, err
	case !lost:
		return w, nil
	}
	tag, err := o.Pool.Exec(ctx, take, r.caller, r.key, taken)
	if err != nil {
		return w, fmt.Errorf("take an answer over: %w", err)
	}
	w.ours = tag.RowsAffected() == 1
	return w, nil
}

// settle keeps the answer, or lets the request be taken on again if it has none that is worth keeping.
func (o *Once) settle(ctx context.Context, r request, command uuid.UUID, t *tee) {
	const (
		keep    = `update answers set status = $4, type = $5, body = $6 where caller = $1 and key = $2 and command = $3 and status is null`
		release = `update answers set taken_at = 'epoch' where caller = $1 and key = $2 and command = $3 and status is null`
	)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takenFor)
	defer cancel()
	var err error
	if t.worthKeeping() {
		body := o.Sealer.SealAnswer(t.body, command.String())
		_, err = o.Pool.Exec(ctx, keep, r.caller, r.key, command, t.Status(), t.Header().Get("Content-Type"), body)
	} else {
		_, err = o.Pool.Exec(ctx, release, r.caller, r.key, command)
	}
	if err != nil {
		o.Logger.WarnContext(ctx, "answer not kept", slog.String("request", web.RequestID(ctx)), slog.Any("error", err))
	}
}

// tee keeps what is written.
type tee struct {
	gin.ResponseWriter

	body  []byte
	lost  bool // some of it was not kept
	whole bool // it did not break off, by an error or a panic
}

// Unwrap is for http.ResponseController.
func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Write implements io.Writer.
func (t *tee) Write(p []byte) (int, error) {
	n, err := t.ResponseWriter.Write(p)
	t.keep(p, err)
	return n, err
}

// WriteString implements io.StringWriter.
func (t *tee) WriteString(s string) (int, error) {
	n, err := t.ResponseWriter.WriteString(s)
	t.keep([]byte(s), err)
	return n, err
}

func (t *tee) keep(p []byte, err error) {
	t.lost = t.lost || err != nil || len(t.body)+len(p) > mostKept
	if !t.lost {
		t.body = append(t.body, p...)
	}
}

// worthKeeping tells whether the request would be answered the same way another time: not if the service failed, if somebody
// has to wait or to log in, or if nobody was there to be answered.
func (t *tee) worthKeeping() bool {
	status := t.Status()
	return t.Written() && t.whole && !t.lost && status < http.StatusInternalServerError &&
		status != http.StatusTooManyRequests && status != http.StatusForbidden && status != web.StatusClientGone
}
