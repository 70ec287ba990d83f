package readapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/inbox"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
)

// awaitWithin is how long a stream waits for the read models before it shows that it lives.
const awaitWithin = 5 * time.Second

// stream sends each new message to the caller as a server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html),
// whose id is the message's position in the log: with it as Last-Event-ID a stream goes on where another ended, without gap or
// repeat. Nothing is kept for a reader: when there is something new it is read from the read model, as much as was taken, and
// a reader who takes nothing from one heartbeat to the next is dropped.
func (a *API) stream(c *gin.Context) error {
	ctx := web.Untimed(c)
	user, err := a.Auth.Query(c.Request.Context(), c)
	if err != nil {
		return err
	}
	wait, err := a.Bell.Wait(user)
	switch {
	case errors.Is(err, inbox.ErrTooMany):
		return fault.TooMany(time.Minute)
	case err != nil:
		return fault.Unavailable(err)
	}
	defer wait.Stop()
	head, err := a.Log.Head(c.Request.Context()) // what comes after it is rung for
	if err != nil {
		return err
	}
	from := head
	if last := c.GetHeader("Last-Event-ID"); last != "" {
		position, err := strconv.ParseInt(last, 10, 64)
		if err != nil || position < 0 {
			return fault.Invalid("Last-Event-ID", "must be the id of an event of this stream")
		}
		from = min(from, events.Position(position))
	}
	allowed := func() error {
		_, err := a.Auth.Query(ctx, c)
		return err
	}
	s := &stream{
		API: a, user: user, allowed: allowed, from: from, to: head, out: c.Writer, control: http.NewResponseController(c.Writer),
	}
	if err := s.begin(c.Writer.Header()); err != nil {
		return nil // nobody is there any more
	}
	return s.run(ctx, wait)
}

// stream is one on its way.
type stream struct {
	*API

	user     events.UserID
	allowed  func() error    // or the reader may not read any more
	from, to events.Position // everything up to from was sent; there may be more, until to
	out      gin.ResponseWriter
	control  *http.ResponseController
}

func (s *stream) begin(header http.Header) error {
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx
	s.out.WriteHeader(http.StatusOK)
	if err := s.control.SetReadDeadline(time.Time{}); err != nil { // the server's own is for requests
		return err
	}
	// An id without data is no event, but where to go on from if the connection is lost before there is one.
	return s.send(fmt.Appendf(nil, "retry: 1000\nid: %d\n\n", s.from))
}

// run sends what there is until the reader goes away, does not read, or may not read any more, or the service ends.
func (s *stream) run(ctx context.Context, wait *inbox.Wait) error {
	heartbeat := time.NewTicker(s.Heartbeat)
	defer heartbeat.Stop()
	for {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		select {
		case _, open := <-wait.Rung:
			if !open {
				return nil
			}
			s.to = wait.Position()
		case <-heartbeat.C:
			if s.send([]byte(": still here\n\n")) != nil {
				return nil
			}
			end, _ := s.Log.Looked()
			s.to = max(s.to, end) // in case that a ring was not heard
		case <-ctx.Done():
			return nil
		}
		if s.allowed() != nil {
			return nil
		}
	}
}

// catchUp sends what was rung for. If the read models are not there yet, there is a next time.
func (s *stream) catchUp(ctx context.Context) error {
	if s.from >= s.to {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, awaitWithin)
	defer cancel()
	if err := s.Await(waiting, s.to); err != nil {
		return nil // it is tried again with the next heartbeat
	}
	for {
		if err := s.allowed(); err != nil { // who reads slowly may be at it for long
			return err
		}
		messages, err := s.Inbox.Since(ctx, s.user, s.from)
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			s.from = max(s.from, s.to) // what came meanwhile may have been among them
			return nil
		}
		for _, message := range messages {
			if err := s.sendMessage(message); err != nil {
				return err
			}
			s.from = message.Position
		}
	}
}

func (s *stream) sendMessage(message inbox.Message) error {
	data, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return s.send(fmt.Appendf(nil, "id: %d\ndata: %s\n\n", message.Position, data))
}

func (s *stream) send(piece []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.Heartbeat)); err != nil {
		return err
	}
	if _, err := s.out.Write(piece); err != nil {
		return err
	}
	return s.control.Flush()
}
