package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"foof/internal/pgtest"

	"go.uber.org/goleak"
)

// gated is a body whose second half waits for a gate.
type gated struct {
	gate          <-chan struct{}
	first, second *strings.Reader
}

func (g *gated) Read(p []byte) (int, error) {
	if g.first.Len() > 0 {
		return g.first.Read(p)
	}
	<-g.gate
	return g.second.Read(p)
}

// TestShuttingDown is not parallel: it looks at all goroutines of the process.
func TestShuttingDown(t *testing.T) { //nolint:paralleltest // see above
	dsn := pgtest.DSN(t)
	db := owner(t, dsn)
	if err := db.Ping(patience(t)); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	s := start(t, over(dsn), func(s *setup) { s.db = db })
	p := s.join(t)
	const inFlight = 50
	var (
		gate    = make(chan struct{})
		reading sync.WaitGroup // until the service reads the body of each
		titles  = make([]string, inFlight)
		answers = make([]answer, inFlight)
		done    sync.WaitGroup
	)
	transport := &http.Transport{ExpectContinueTimeout: time.Minute, MaxIdleConnsPerHost: inFlight}
	client := &http.Client{Transport: transport}
	reading.Add(inFlight)
	for i := range inFlight {
		titles[i] = "in flight " + newNumber()
		body := url.Values{"token": {p.token}, "title": {titles[i]}, "type": {"1"}, "price": {"1"}, "sold": {"1"}}.Encode()
		done.Go(func() {
			r := s.request(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: reading.Done}), http.MethodPost, "/item/add",
				string(urlEncoded), &gated{gate: gate, first: strings.NewReader(body[:20]), second: strings.NewReader(body[20:])})
			r.Header.Set("Expect", "100-continue")
			r.ContentLength = int64(len(body))
			answers[i] = s.full(t, client, r)
		})
	}
	reading.Wait() // 50 handlers wait for the rest of their forms

	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	until(t, "nobody is let in any more", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")) //nolint:noctx // on this machine
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	select {
	case err := <-stopped:
		t.Fatalf("Run returned while 50 requests were in flight: %v", err)
	default:
	}
	close(gate)
	done.Wait()
	select {
	case err := <-stopped:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Run has not returned 10 s after the last answer")
	}

	for i, a := range answers {
		id := a.number(t, "itemid")
		a.is(t, http.StatusOK, object{"status": "success", "itemid": id})
		if n := value[int](t, s.db, `select count(*) from events where type = 'item.published' and data ->> 'title' = $1`, titles[i]); n != 1 {
			t.Errorf("%s was answered with %s and is in the log %d times", titles[i], a.body, n)
		}
	}
	verifyLog(t, s.db)
	transport.CloseIdleConnections()
	if err := goleak.Find(before, pgtest.IgnoreServer()); err != nil {
		t.Error(err)
	}
}

// full makes a request whose answer must come, and come whole.
func (s *service) full(t *testing.T, client *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Errorf("in flight when the service was told to stop: %v", err)
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("an answer was cut: %v", err)
	}
	return answer{response.StatusCode, response.Header, string(body), "POST " + r.URL.Path}
}

// TestShuttingDownUnderLoad stops the service while people keep coming: whoever got an answer finds it in the log, and whoever
// got none does not.
func TestShuttingDownUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.join(t)
	const comers, each = 10, 20
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // each comes by a connection of its own
	told := make(chan struct{}, comers*each)
	type outcome struct {
		title    string
		status   int
		answered bool
	}
	go func() {
		for range comers {
			<-told
		}
		_ = s.stop()
	}()
	all := atOnce(comers, func(int) []outcome {
		var got []outcome
		for range each {
			o := outcome{title: "under load " + newNumber()}
			contentType, body := urlEncoded.encode(powerBank().with("title", o.title).with("token", p.token))
			response, err := client.Do(s.request(t.Context(), http.MethodPost, "/item/add", contentType, strings.NewReader(string(body))))
			if err == nil {
				_, err = io.ReadAll(response.Body)
				_ = response.Body.Close()
				o.answered, o.status = true, response.StatusCode
				if err != nil {
					t.Errorf("an answer was cut: %v", err)
				}
			}
			got = append(got, o)
			told <- struct{}{}
		}
		return got
	})
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	answered, refused := 0, 0
	for _, outcomes := range all {
		for _, o := range outcomes {
			n := value[int](t, s.db, `select count(*) from events where type = 'item.published' and data ->> 'title' = $1`, o.title)
			switch {
			case o.answered && o.status == http.StatusOK && n == 1:
				answered++
			case !o.answered && n == 0:
				refused++
			default:
				t.Errorf("answered %t with %d, and %d times in the log", o.answered, o.status, n)
			}
		}
	}
	t.Logf("%d were answered, %d refused", answered, refused)
}
