package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/commands"
	"foof/events"
)

// chatMessage is a message as an answer has it.
type chatMessage struct {
	ID        int64  `json:"id"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Data      string `json:"data"`
	Fetched   bool   `json:"fetched"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
}

var chatTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func (m chatMessage) check(t testing.TB) {
	t.Helper()
	created, err1 := time.Parse(time.RFC3339, m.CreatedAt)
	updated, err2 := time.Parse(time.RFC3339, m.UpdatedAt)
	if !chatTime.MatchString(m.CreatedAt) || !chatTime.MatchString(m.UpdatedAt) || err1 != nil || err2 != nil || updated.Before(created) || m.ID < 1 {
		t.Errorf("a message is %+v", m)
	}
	if !m.Fetched && m.CreatedAt != m.UpdatedAt {
		t.Errorf("a message that was not fetched is %+v", m)
	}
}

func (p *person) push(t testing.TB, to *person, text string) {
	t.Helper()
	p.post(t, "/user/chat/push", fields{"to": to.id, "data": text}).succeeded(t)
}

func (a answer) messages(t testing.TB) []chatMessage {
	t.Helper()
	var got struct {
		Status string        `json:"status"`
		Data   []chatMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || got.Status != "success" || got.Data == nil {
		t.Fatalf("%s: %d %v: %.300s", a.asked, a.status, err, a.body)
	}
	last := int64(0)
	for _, m := range got.Data {
		m.check(t)
		if m.ID <= last {
			t.Errorf("%s: message %d after %d", a.asked, m.ID, last)
		}
		last = m.ID
	}
	return got.Data
}

func (p *person) fetchNew(t testing.TB) []chatMessage {
	t.Helper()
	found := p.post(t, "/user/chat/fetchnew", fields{}).messages(t)
	for _, m := range found {
		if m.Fetched || m.To != p.id {
			t.Errorf("user %d was handed %+v", p.id, m)
		}
	}
	return found
}

func (p *person) fetchAll(t testing.TB, f fields) []chatMessage {
	t.Helper()
	return p.post(t, "/user/chat/fetchall", f).messages(t)
}

// said is what messages say.
func said(messages []chatMessage) []string {
	texts := []string{}
	for _, m := range messages {
		texts = append(texts, m.Data)
	}
	return texts
}

func says(t testing.TB, what string, messages []chatMessage, want ...string) {
	t.Helper()
	if got := said(messages); !slices.Equal(got, want) {
		t.Errorf("%s: %.300q, want %.300q", what, got, want)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s := shared(t)
	ann, bob, eve := s.join(t), s.join(t), s.join(t)

	bob.post(t, "/user/chat/fetchnew", fields{}).is(t, http.StatusOK, `{"status":"success","data":[]}`)
	bob.post(t, "/user/chat/fetchall", fields{}).is(t, http.StatusOK, `{"status":"success","data":[]}`)
	ann.push(t, bob, "one")
	ann.push(t, bob, "two")
	bob.push(t, ann, "three")

	got := bob.fetchNew(t)
	says(t, "Bob fetches what is new", got, "one", "two")
	if got[0].From != ann.id || got[0].To != bob.id {
		t.Errorf("it is from %d to %d", got[0].From, got[0].To)
	}
	says(t, "and again", bob.fetchNew(t))
	says(t, "Eve fetches what is new", eve.fetchNew(t))
	says(t, "Eve fetches all", eve.fetchAll(t, fields{}))

	all := bob.fetchAll(t, fields{})
	says(t, "Bob fetches all", all, "one", "two", "three")
	if !all[0].Fetched || !all[1].Fetched || all[2].Fetched {
		t.Errorf("Bob has fetched the first two, and Ann not the third: %+v", all)
	}
	says(t, "Bob's fetching left Ann's for her", ann.fetchNew(t), "three")

	ann.push(t, bob, "four")
	all = bob.fetchAll(t, fields{"after": all[1].ID})
	says(t, "Bob fetches what follows", all, "three", "four")
	if !all[0].Fetched || all[1].Fetched {
		t.Errorf("as it was before the call: %+v", all)
	}
	says(t, "what was among all is not new", bob.fetchNew(t))
	if again := bob.fetchAll(t, fields{"after": all[0].ID}); len(again) != 1 || !again[0].Fetched || again[0].UpdatedAt < again[0].CreatedAt {
		t.Errorf("then it is fetched: %+v", again)
	}

	ann.push(t, bob, "five")
	ann.push(t, bob, "six")
	says(t, "Bob fetches the first ones", bob.fetchAll(t, fields{"limit": 2}), "one", "two")
	says(t, "that did not touch the last ones", bob.fetchNew(t), "five", "six")
	says(t, "Bob fetches page by page", bob.fetchAll(t, fields{"limit": 3, "after": all[0].ID}), "four", "five", "six")

	ann.push(t, ann, "to myself")
	says(t, "Ann writes to herself", ann.fetchNew(t), "to myself")
	if all := ann.fetchAll(t, fields{}); len(all) != 7 {
		t.Errorf("Ann has %q", said(all))
	}

	ann.post(t, "/user/chat/push", fields{"to": 999_999_999, "data": "hi"}).failed(t, "no such user")
}

func TestMessagesAreKeptAsSent(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for name, e := range encodings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.join(t), s.join(t)
			texts := []string{
				"hi, world.", "你好，咸鱼 🐟", `"quotes" \ 'and' <b>markup</b> & more`, "line\r\nends\u2028\u2029\t\x01\x7f", " ", "a+b%20c",
				strings.Repeat("🐟", 65_536), strings.Repeat("\x01", 65_536),
			}
			for _, text := range texts {
				ann.postAs(t, e, "/user/chat/push", fields{"to": bob.id, "data": text}).succeeded(t)
			}
			says(t, name, bob.fetchNew(t), texts...)
		})
	}
}

// TestAnAnswerOfNewMessagesHasAtMost2MiB has a mailbox of 7 MiB in messages of several sizes, of which none is split.
func TestAnAnswerOfNewMessagesHasAtMost2MiB(t *testing.T) {
	t.Parallel()
	s := shared(t)
	ann, bob := s.join(t), s.join(t)
	var want []string
	for n := range 6 {
		for _, text := range []string{strings.Repeat("鱼", 65_530), strings.Repeat("x", 60_000), strings.Repeat("\x01", 50_000), "short"} {
			want = append(want, fmt.Sprint(n)+text)
			ann.push(t, bob, fmt.Sprint(n)+text)
		}
	}
	var got []string
	sizes := []int{}
	for {
		a := bob.post(t, "/user/chat/fetchnew", fields{})
		messages := a.messages(t)
		if len(messages) == 0 {
			break
		}
		if len(a.body) > 2<<20 {
			t.Errorf("an answer has %d bytes", len(a.body))
		}
		sizes = append(sizes, len(a.body))
		got = append(got, said(messages)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d messages were sent, and %d came, or in another order", len(want), len(got))
	}
	for _, size := range sizes[:len(sizes)-1] {
		if size < 1<<20 {
			t.Errorf("answers of %v bytes", sizes)
		}
	}
	if all := ann.fetchAll(t, fields{}); !slices.Equal(said(all), want) {
		t.Errorf("all of them are %d, want %d", len(all), len(want))
	}
}

// write sends many messages by the commands themselves.
func (p *person) write(t *testing.T, to *person, texts []string) {
	t.Helper()
	ctx := patience(t)
	engine := p.engine(t)
	var next atomic.Int64
	atOnce(64, func(int) struct{} {
		for i := next.Add(1) - 1; i < int64(len(texts)); i = next.Add(1) - 1 {
			id, err := p.app.log.NextMessage(ctx)
			if err != nil {
				t.Error(err)
				return struct{}{}
			}
			_, _, err = commands.Execute(ctx, engine, commands.Origin{}, commands.SendMessage{
				Message: id, From: events.UserID(p.id), To: events.UserID(to.id), Text: texts[i], At: time.Now(),
			})
			if err != nil {
				t.Error(err)
			}
		}
		return struct{}{}
	})
}

// TestEachMessageIsFetchedOnce lets 50 readers race over 10,000 messages on two services over one database, while the last of
// them are still being sent.
func TestEachMessageIsFetchedOnce(t *testing.T) {
	t.Parallel()
	const (
		count   = 10_000
		early   = 9_500
		readers = 50
		writers = 5
	)
	services := fleet(t)
	ann, bob := services[0].join(t), services[0].join(t)
	texts := make([]string, count)
	for i := range texts {
		texts[i] = fmt.Sprint(i, strings.Repeat(".", 3000)) // so that it takes many fetches
	}
	ann.write(t, bob, texts[:early])

	var (
		sending, reading sync.WaitGroup
		sent             atomic.Int64
		mu               sync.Mutex
		times            = map[string]int{}
		fetches          int
		left             = make(chan struct{})
	)
	sent.Store(early - 1)
	for n := range writers {
		sending.Go(func() {
			me := ann.via(services[n%2])
			for i := sent.Add(1); i < count; i = sent.Add(1) {
				me.push(t, bob, texts[i])
			}
		})
	}
	for n := range readers {
		reading.Go(func() {
			me := bob.via(services[n%2])
			for last := false; ; {
				select {
				case <-left:
					last = true
				default:
				}
				found := me.fetchNew(t)
				mu.Lock()
				fetches++
				for _, m := range found {
					times[m.Data]++
				}
				mu.Unlock()
				if last && len(found) == 0 || t.Failed() {
					return
				}
			}
		})
	}
	sending.Wait()
	close(left)
	reading.Wait()
	if len(times) != count {
		t.Errorf("%d messages of %d were fetched", len(times), count)
	}
	for text, n := range times {
		if n != 1 {
			t.Errorf("message %.20s was fetched %d times", text, n)
		}
	}
	t.Logf("%d messages in %d fetches", count, fetches)
}
