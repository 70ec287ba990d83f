package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// streamed is what a stream sends: an event, an id without one, or a sign of life.
type streamed struct {
	id      string
	message chatMessage
	comment bool
}

// stream is a stream of messages as a browser reads it.
type stream struct {
	answer *http.Response
	lines  *bufio.Reader
	last   string // id
}

func (p *person) stream(ctx context.Context, t testing.TB, lastEventID string) *stream {
	t.Helper()
	r := p.request(ctx, http.MethodGet, "/user/chat/stream", "", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+p.token)
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	endless := &http.Client{Transport: p.client.Transport}
	answer, err := endless.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream; charset=utf-8" {
		body, _ := io.ReadAll(answer.Body)
		t.Fatalf("a stream is %d %s: %s", answer.StatusCode, kind, body)
	}
	return &stream{answer: answer, lines: bufio.NewReader(answer.Body), last: lastEventID}
}

// next is what comes next.
func (s *stream) next() (e streamed, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		name, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		v = strings.TrimPrefix(v, " ")
		switch {
		case line == "\n":
			return e, nil
		case name == "":
			e.comment = true
		case name == "id":
			e.id, s.last = v, v
		case name == "data":
			if err := json.Unmarshal([]byte(v), &e.message); err != nil {
				return e, fmt.Errorf("%w: %s", err, v)
			}
		}
	}
}

// message is the next message.
func (s *stream) message() (chatMessage, error) {
	for {
		e, err := s.next()
		if err != nil || e.message.ID != 0 {
			return e.message, err
		}
	}
}

func (s *stream) says(t *testing.T, want ...string) {
	t.Helper()
	for _, text := range want {
		m, err := s.message()
		if err != nil {
			t.Fatalf("waiting for %q: %v", text, err)
		}
		if m.check(t); m.Data != text {
			t.Errorf("the stream says %q, want %q", m.Data, text)
		}
	}
}

// ends waits until the stream does.
func (s *stream) ends(t *testing.T) {
	t.Helper()
	for {
		if _, err := s.next(); err != nil {
			return
		}
	}
}

func TestStream(t *testing.T) { //nolint:tparallel // one step after the other
	t.Parallel()
	s := start(t, setting("FOOF_HEARTBEAT", "100ms"), setting("FOOF_STREAMS_PER_ACCOUNT", "3"))
	ann, bob := s.join(t), s.join(t)
	ann.push(t, bob, "before")

	t.Run("begins with where it is", func(t *testing.T) {
		first, err := bob.stream(patience(t), t, "").next()
		if err != nil || first.id == "" || first.message.ID != 0 {
			t.Errorf("it begins with %+v, %v", first, err)
		}
	})
	t.Run("sends what is new, and what is for the caller only", func(t *testing.T) {
		stream := bob.stream(patience(t), t, "")
		bob.push(t, ann, "from Bob")
		ann.push(t, ann, "to Ann")
		ann.push(t, bob, "one\ntwo\r\nthree\u2028<b>🐟")
		stream.says(t, "one\ntwo\r\nthree\u2028<b>🐟")
		ann.push(t, bob, "next")
		stream.says(t, "next")
	})
	t.Run("counts nothing as fetched", func(t *testing.T) {
		says(t, "new to Bob", bob.fetchNew(t), "before", "one\ntwo\r\nthree\u2028<b>🐟", "next")
	})
	t.Run("goes on after the last event", func(t *testing.T) {
		stream := bob.stream(patience(t), t, "")
		ann.push(t, bob, "a")
		stream.says(t, "a")
		stream.answer.Body.Close()
		ann.push(t, bob, "b")
		ann.push(t, bob, "c")
		stream = bob.stream(patience(t), t, stream.last)
		ann.push(t, bob, "d")
		stream.says(t, "b", "c", "d")
	})
	t.Run("goes on where it was, if nothing had come yet", func(t *testing.T) {
		stream := bob.stream(patience(t), t, "")
		if _, err := stream.next(); err != nil {
			t.Fatal(err)
		}
		stream.answer.Body.Close()
		ann.push(t, bob, "between")
		bob.stream(patience(t), t, stream.last).says(t, "between")
	})
	t.Run("begins with all there is after 0", func(t *testing.T) {
		bob.stream(patience(t), t, "0").says(t, "before")
	})
	t.Run("from beyond the end begins at the end", func(t *testing.T) {
		stream := bob.stream(patience(t), t, "9223372036854775807")
		ann.push(t, bob, "here")
		stream.says(t, "here")
	})
	t.Run("shows that it lives", func(t *testing.T) {
		stream := bob.stream(patience(t), t, "")
		for beats := 0; beats < 3; {
			e, err := stream.next()
			if err != nil {
				t.Fatal(err)
			}
			if e.comment {
				beats++
			}
		}
	})
	t.Run("takes the token in the query, as browsers' EventSource has no headers", func(t *testing.T) {
		r := s.request(patience(t), http.MethodGet, "/user/chat/stream?token="+url.QueryEscape(bob.token), "", http.NoBody)
		answer, err := s.client.Do(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", answer, err)
		}
		answer.Body.Close()
	})
	t.Run("is for those with a token", func(t *testing.T) {
		s.get(t, "/user/chat/stream").forbidden(t)
		s.get(t, "/user/chat/stream?token=x").forbidden(t)
	})
	t.Run("refuses a last event that is none", func(t *testing.T) {
		for _, wrong := range []string{"x", "-1", "1.5", "99999999999999999999"} {
			r := s.request(t.Context(), http.MethodGet, "/user/chat/stream?token="+url.QueryEscape(bob.token), "", http.NoBody)
			r.Header.Set("Last-Event-ID", wrong)
			s.do(t, r).invalid(t, "Last-Event-ID")
		}
	})
	t.Run("is open so many times", func(t *testing.T) {
		eve := s.join(t)
		ctx, cancel := context.WithCancel(patience(t))
		for range 3 {
			eve.stream(ctx, t, "")
		}
		s.get(t, "/user/chat/stream?token="+url.QueryEscape(eve.token)).refused(t, http.StatusTooManyRequests, "too many requests")
		cancel()
		until(t, "the streams were noticed to be gone", func() bool { return s.app.bell.Waiting() == 0 })
		eve.stream(patience(t), t, "")
	})
	t.Run("ends when the caller logs out", func(t *testing.T) {
		eve := s.join(t)
		stream := eve.stream(patience(t), t, "")
		eve.post(t, "/user/logout", fields{}).succeeded(t)
		stream.ends(t)
	})
}

func TestStreamsEndWithTheService(t *testing.T) {
	t.Parallel()
	s := start(t)
	bob := s.join(t)
	stream := bob.stream(patience(t), t, "")
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	stream.ends(t)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStreamHasNoGapsAndNoRepeats follows messages that many send at once, on two services over one database, by a stream that
// breaks off again and again, and goes on at the other service.
func TestStreamHasNoGapsAndNoRepeats(t *testing.T) {
	t.Parallel()
	const count = 400
	services := fleet(t)
	ann, bob := services[0].join(t), services[0].join(t)
	ctx := patience(t)
	reading := bob.stream(ctx, t, "")

	var sending sync.WaitGroup
	for n := range 8 {
		sending.Go(func() {
			for i := range count / 8 {
				ann.via(services[n%2]).push(t, bob, fmt.Sprint(n, " ", i))
			}
		})
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var got []string
	for breaks := 1; len(got) < count; {
		m, err := reading.message()
		if err != nil {
			t.Fatalf("after %d messages: %v", len(got), err)
		}
		got = append(got, m.Data)
		if random.IntN(10) == 0 {
			reading.answer.Body.Close()
			reading = bob.via(services[breaks%2]).stream(ctx, t, reading.last)
			breaks++
		}
	}
	sending.Wait()
	ann.push(t, bob, "the end")
	reading.says(t, "the end")
	slices.Sort(got)
	if unique := slices.Compact(slices.Clone(got)); len(unique) != count {
		t.Errorf("%d messages came %d times: %q", len(unique), len(got), got)
	}
}

// TestStreamOfWhoDoesNotReadIsDropped lets messages come that nobody reads, until the connection holds no more.
func TestStreamOfWhoDoesNotReadIsDropped(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_HEARTBEAT", "300ms"))
	ann, bob := s.join(t), s.join(t)
	connection, _ := rawStream(t, s, bob.token)
	if err := connection.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	until(t, "the stream is open", func() bool { return s.app.bell.Waiting() == 1 })
	texts := slices.Repeat([]string{strings.Repeat("🐟", 65_000)}, 60)
	ann.write(t, bob, texts)
	until(t, "who does not read is dropped", func() bool { return s.app.bell.Waiting() == 0 })
	until(t, "all messages are there, and none was fetched", func() bool { // they were written without waiting for the read model
		return value[int](t, s.db, `select count(*) from messages where fetched_at is null`) == len(texts)
	})
}

// halting is a client of a stream that stops reading at the first message until it is let go.
type halting struct {
	header        http.Header
	halted, letGo chan struct{}
	messages      int
}

func (h *halting) Header() http.Header            { return h.header }
func (*halting) WriteHeader(int)                  {}
func (*halting) Flush()                           {}
func (*halting) SetReadDeadline(time.Time) error  { return nil }
func (*halting) SetWriteDeadline(time.Time) error { return nil }

func (h *halting) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("data: ")) {
		if h.messages++; h.messages == 1 {
			close(h.halted)
			<-h.letGo
		}
	}
	return len(p), nil
}

// TestAStreamThatCatchesUpEndsWithItsToken has a reader of many messages be slow, and log out meanwhile.
func TestAStreamThatCatchesUpEndsWithItsToken(t *testing.T) {
	t.Parallel()
	const count, atOnce = 250, 100
	s := start(t)
	ann, bob := s.join(t), s.join(t)
	ann.write(t, bob, slices.Repeat([]string{"hi"}, count-1))
	ann.push(t, bob, "the last one")
	request := s.request(patience(t), http.MethodGet, "/user/chat/stream", "", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+bob.token)
	request.Header.Set("Last-Event-ID", "0")
	client := &halting{header: http.Header{}, halted: make(chan struct{}), letGo: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.app.handler.ServeHTTP(client, request)
	}()
	<-client.halted
	bob.post(t, "/user/logout", fields{}).succeeded(t)
	close(client.letGo)
	<-ended
	if client.messages > atOnce {
		t.Errorf("%d messages came after the token was revoked", client.messages-atOnce)
	}
}

// rawStream is a stream over a connection of its own.
func rawStream(t testing.TB, s *service, token string) (net.Conn, *bufio.Reader) {
	t.Helper()
	address := strings.TrimPrefix(s.url, "http://")
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if _, err := fmt.Fprintf(connection, "GET /user/chat/stream HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", address, token); err != nil {
		t.Fatal(err)
	}
	return connection, bufio.NewReaderSize(connection, 512)
}

// nextData is the next line of an event's data, in a connection that is read as it is.
func nextData(lines *bufio.Reader) (string, error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "data: ") {
			return line, err
		}
	}
}

// TestFiveThousandStreams has that many open on one service, 20 of each of 250 users, or as many as the machine lets a process
// have, and sends messages to some, by this service and by another one over the same database.
func TestFiveThousandStreams(t *testing.T) {
	t.Parallel()
	const perUser, pushes = 20, 200
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	users := int(min(5000, (limit.Cur-1000)/2) / perUser)
	services := fleet(t)
	s := services[0]
	people := s.crowd(t, users)
	type arrival struct {
		user int
		text string
		at   time.Time
	}
	arrivals := make(chan arrival, perUser*pushes)
	var reading sync.WaitGroup
	for i, p := range people {
		for range perUser {
			connection, lines := rawStream(t, s, p.token)
			t.Cleanup(func() { connection.Close() })
			reading.Go(func() {
				for {
					line, err := nextData(lines)
					if err != nil {
						return
					}
					var m chatMessage
					if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &m); err != nil {
						t.Errorf("%v: %s", err, line)
						return
					}
					arrivals <- arrival{i, m.Data, time.Now()}
				}
			})
		}
	}
	until(t, "all streams are open", func() bool { return s.app.bell.Waiting() == users*perUser })

	var late [2][]time.Duration // by where the message was sent
	for n := range pushes {
		to := n * 7 % users
		text := fmt.Sprint("message ", n)
		people[(to+1)%users].via(services[n%2]).push(t, people[to], text)
		answered := time.Now()
		for range perUser {
			select {
			case a := <-arrivals:
				if a.user != to || a.text != text {
					t.Fatalf("%q came to user %d, and %q was sent to %d", a.text, a.user, text, to)
				}
				late[n%2] = append(late[n%2], max(0, a.at.Sub(answered)))
			case <-patience(t).Done():
				t.Fatalf("%q did not come to all", text)
			}
		}
	}
	for i, where := range []string{"the same", "the other"} {
		slices.Sort(late[i])
		t.Logf("%d streams; messages sent at %s service came, after the push was answered: p50 %s, p99 %s, at most %s",
			users*perUser, where, late[i][len(late[i])/2], late[i][len(late[i])*99/100], late[i][len(late[i])-1])
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	reading.Wait()
}
