package main

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
)

// slow is a client that takes nothing of an answer until it is let go.
type slow struct {
	header       http.Header
	begun, letGo chan struct{}
}

func (s *slow) Header() http.Header { return s.header }
func (s *slow) WriteHeader(int)     { close(s.begun) }

func (s *slow) Write(p []byte) (int, error) {
	<-s.letGo
	return len(p), nil
}

// TestWhoIsSlowToReadKeepsNobodyWaiting has one who takes nothing of an answer of new messages: whoever asks next is answered all
// the same.
func TestWhoIsSlowToReadKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_REQUEST_TIMEOUT", "5s"))
	ann, bob := s.join(t), s.join(t)
	ann.push(t, bob, "hi")
	client := &slow{header: http.Header{}, begun: make(chan struct{}), letGo: make(chan struct{})}
	contentType, body := urlEncoded.encode(fields{"token": bob.token})
	request := s.request(patience(t), http.MethodPost, "/user/chat/fetchnew", contentType, bytes.NewReader(body))
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.app.handler.ServeHTTP(client, request)
	}()
	<-client.begun
	if n := len(bob.fetchNew(t)); n != 0 {
		t.Errorf("%d messages came twice", n)
	}
	close(client.letGo)
	<-served
}

// TestAMessageThatTheReadModelShowsForEverIsNobodysLoop has the read model of one message parked before it was fetched: it seems to
// be new for ever, and the log knows better.
func TestAMessageThatTheReadModelShowsForEverIsNobodysLoop(t *testing.T) {
	t.Parallel()
	s := start(t, setting("FOOF_REQUEST_TIMEOUT", "5s"))
	ann, bob := s.join(t), s.join(t)
	ann.push(t, bob, "hi")
	if n := len(bob.fetchNew(t)); n != 1 {
		t.Fatalf("%d messages", n)
	}
	if _, err := s.db.Exec(patience(t), `update messages set fetched_at = null`); err != nil {
		t.Fatal(err)
	}
	bob.post(t, "/user/chat/fetchnew", fields{}).is(t, http.StatusOK, `{"status":"success","data":[]}`)
	ann.push(t, bob, "again")
	if got := said(bob.fetchNew(t)); !slices.Equal(got, []string{"again"}) {
		t.Errorf("then came %q", got)
	}
	if _, err := s.db.Exec(patience(t), `update messages set fetched_at = created_at where fetched_at is null`); err != nil {
		t.Fatal(err)
	}
}
