package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	body "foof/internal/form"
	"foof/internal/pgtest"

	"github.com/google/uuid"
)

// postOnce posts with an Idempotency-Key.
func (s *service) postOnce(t testing.TB, key, path string, f fields) answer {
	t.Helper()
	return s.do(t, s.keyed(t, key, path, urlEncoded, f))
}

func (s *service) keyed(t testing.TB, key, path string, e encoding, f fields) *http.Request {
	t.Helper()
	contentType, body := e.encode(f)
	r := s.request(t.Context(), http.MethodPost, path, contentType, bytes.NewReader(body))
	r.Header.Set("Idempotency-Key", key)
	return r
}

func replayed(a answer) bool { return a.header.Get("Idempotent-Replayed") == "true" }

// crash makes of all answers that were kept such as a process leaves behind that dies between commit and answer.
func (s *service) crash(t testing.TB) {
	t.Helper()
	if _, err := s.db.Exec(patience(t), `update answers set status = null, type = null, body = null, taken_at = 'epoch'`); err != nil {
		t.Fatal(err)
	}
}

func TestARequestWithAKeyIsCarriedOutOnce(t *testing.T) { //nolint:tparallel // one step after the other
	t.Parallel()
	s := start(t)
	ann, bob := s.join(t), s.join(t)
	item := powerBank().with("token", ann.token)

	t.Run("and answered alike", func(t *testing.T) {
		key := uuid.NewString()
		first := s.postOnce(t, key, "/item/add", item)
		head := s.head(t)
		second := s.postOnce(t, key, "/item/add", item)
		third := s.do(t, s.keyed(t, key, "/item/add", inJSON, item))
		for _, again := range []answer{second, third} {
			if again.body != first.body || again.status != first.status || !replayed(again) || again.header.Get("Content-Type") != first.header.Get("Content-Type") {
				t.Errorf("first %d %s, then %d %s", first.status, first.body, again.status, again.body)
			}
		}
		if replayed(first) || s.head(t) != head {
			t.Errorf("the first answer is of before: %t; the log went from %d to %d", replayed(first), head, s.head(t))
		}
	})
	t.Run("whoever's token it is later", func(t *testing.T) {
		key := uuid.NewString()
		first := s.postOnce(t, key, "/item/add", item)
		p := *ann
		p.login(t)
		if again := s.postOnce(t, key, "/item/add", item.with("token", p.token)); again.body != first.body {
			t.Errorf("first %s, then %s", first.body, again.body)
		}
		r := s.keyed(t, key, "/item/add", urlEncoded, item.without("token"))
		r.Header.Set("Authorization", "Bearer "+p.token)
		if again := s.do(t, r); again.body != first.body {
			t.Errorf("first %s, then %s", first.body, again.body)
		}
	})
	t.Run("and a key is for one request", func(t *testing.T) {
		key := uuid.NewString()
		s.postOnce(t, key, "/item/add", item).number(t, "itemid")
		const words = "idempotency key was used for another request"
		s.postOnce(t, key, "/item/add", item.with("title", "another")).refused(t, http.StatusUnprocessableEntity, words)
		s.postOnce(t, key, "/item/add", item.without("note")).refused(t, http.StatusUnprocessableEntity, words)
		s.postOnce(t, key, "/item/modify", item).refused(t, http.StatusUnprocessableEntity, words)
	})
	t.Run("and a key is one user's", func(t *testing.T) {
		key := uuid.NewString()
		first := s.postOnce(t, key, "/item/add", item).number(t, "itemid")
		if second := s.postOnce(t, key, "/item/add", item.with("token", bob.token)).number(t, "itemid"); second == first {
			t.Errorf("Bob was told of Ann's item %d", first)
		}
	})
	t.Run("for a day", func(t *testing.T) {
		key := uuid.NewString()
		first := s.postOnce(t, key, "/item/add", item).number(t, "itemid")
		if _, err := s.db.Exec(patience(t), `update answers set begun_at = now() - interval '24 hours 1 second' where key = $1`, key); err != nil {
			t.Fatal(err)
		}
		if second := s.postOnce(t, key, "/item/add", item).number(t, "itemid"); second == first {
			t.Error("after a day the answer is still the first one")
		}
	})
	t.Run("also if it was refused", func(t *testing.T) {
		number := newNumber()
		code := s.code(t, number)
		for range 5 {
			s.postOnce(t, "wrong", "/user/register", fields{"phonenumber": number, "verifycode": another(code), "password": "correct-horse"}).failed(t, invalidRequest)
		}
		s.tryCode(t, number, code).succeeded(t)
	})
	t.Run("but a 400 is one again", func(t *testing.T) {
		for range 2 {
			s.postOnce(t, "bad", "/item/add", item.with("price", "x")).invalid(t, "price")
		}
	})
	t.Run("and not kept where somebody has to log in", func(t *testing.T) {
		for range 2 {
			s.postOnce(t, "stranger", "/item/add", item.without("token")).forbidden(t)
		}
	})
	t.Run("and a revoked token gets and takes nothing", func(t *testing.T) {
		eve := s.register(t)
		old := eve.token
		eve.post(t, "/user/logout", fields{}).succeeded(t)
		eve.login(t)
		s.postOnce(t, "mine", "/user/me", fields{"token": eve.token}).number(t, "uuid")
		s.postOnce(t, "mine", "/user/me", fields{"token": old}).forbidden(t)
		s.postOnce(t, "taken", "/user/me", fields{"token": old}).forbidden(t)
		s.postOnce(t, "taken", "/item/add", item.with("token", eve.token)).number(t, "itemid")
	})
	t.Run("and a key is printable", func(t *testing.T) {
		for _, key := range []string{"", " ", strings.Repeat("k", 256), "é"} {
			s.postOnce(t, key, "/item/add", item).invalid(t, "Idempotency-Key")
		}
		r := s.keyed(t, "one", "/item/add", urlEncoded, item)
		r.Header.Add("Idempotency-Key", "two")
		s.do(t, r).invalid(t, "Idempotency-Key")
		s.postOnce(t, strings.Repeat("~", 255), "/item/add", item).number(t, "itemid")
	})
	t.Run("and what is kept tells nobody anything", func(t *testing.T) {
		s.postOnce(t, uuid.NewString(), "/user/me", fields{"token": ann.token}).number(t, "uuid")
		const sql = `select count(*) from answers where position(convert_to('success', 'UTF8') in body) > 0 or position(convert_to($1, 'UTF8') in body) > 0`
		if n := value[int](t, s.db, sql, ann.number); n > 0 {
			t.Errorf("%d answers can be read", n)
		}
		login := fields{"phonenumber": ann.number, "password": ann.password}
		s.postOnce(t, "login", "/user/login", login).field(t, "info")
		f, err := body.Read(nil, s.keyed(t, "", "/user/login", urlEncoded, login), body.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		guess := f.Sum("/user/login", "token")
		if value[bool](t, s.db, `select exists (select from answers where request = $1)`, guess[:]) {
			t.Error("whoever reads the table can try passwords, by a hash that is quick to make")
		}
	})
}

// TestAnAnswerThatGotLostIsFoundAgain has each command carried out, loses its answer as a crash does that comes after the commit,
// and sends the request again.
func TestAnAnswerThatGotLostIsFoundAgain(t *testing.T) { //nolint:tparallel // one step after the other
	t.Parallel()
	s := start(t)
	ann, bob := s.register(t), s.join(t)
	mine, bobs := ann.add(t, powerBank()), bob.add(t, powerBank())
	for range 3 {
		bob.push(t, ann, "hi")
	}
	fresh := newNumber()
	code := s.code(t, fresh)
	for _, c := range []struct {
		path string
		f    fields
	}{
		{"/item/add", powerBank()},
		{"/item/modify", fields{"itemid": mine, "title": "cheaper", "price": 1}},
		{"/item/trade", fields{"itemid": bobs}},
		{"/fav/add", fields{"data": fmt.Sprintf("[%d,%d]", mine, bobs)}},
		{"/fav/delete", fields{"data": fmt.Sprintf("[%d]", mine)}},
		{"/user/chat/push", fields{"to": bob.id, "data": "hi"}},
		{"/user/chat/fetchnew", fields{}},
		{"/user/requirecode", fields{"phonenumber": newNumber()}},
		{"/user/register", fields{"phonenumber": fresh, "verifycode": code, "password": "correct-horse"}},
		{"/user/modify", fields{"username": "Ann"}},
		{"/item/image", fields{"file": aPicture, "other": aPicture}},
		{"/user/avatar", fields{"file": aPicture}},
		{"/user/mail/verify", fields{"mail": "ann@campus.example"}},
		{"/user/logout", fields{}},
	} {
		f, key := c.f.with("token", ann.token), uuid.NewString()
		before := s.head(t)
		first := s.do(t, s.keyed(t, key, c.path, multiPart, f))
		head := s.head(t)
		if first.status != http.StatusOK || head == before {
			t.Fatalf("%s: %d %s, and the log is at %d as before", c.path, first.status, first.body, head)
		}
		if c.path == "/user/logout" {
			continue // whose token it was, its second request cannot show
		}
		s.crash(t)
		if again := s.do(t, s.keyed(t, key, c.path, multiPart, f)); again.body != first.body || replayed(again) || s.head(t) != head {
			t.Errorf("%s: first %s, then %s, and the log went from %d to %d", c.path, first.body, again.body, head, s.head(t))
		}
	}
	t.Run("of logging out, it is the kept one that says so", func(t *testing.T) {
		bobs := fields{"token": bob.token}
		s.postOnce(t, "out", "/user/logout", bobs).succeeded(t)
		s.postOnce(t, "out", "/user/logout", bobs).succeeded(t)
		s.postOnce(t, "out again", "/user/logout", bobs).forbidden(t)
	})
}

func TestTheSameKeyAtOnceIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	services := fleet(t)
	ann := services[0].join(t)
	bob := services[0].join(t)
	for _, c := range []struct {
		path string
		f    fields
	}{
		{"/item/add", powerBank().with("token", ann.token)},
		{"/user/chat/push", fields{"to": bob.id, "data": "hi", "token": ann.token}},
		{"/user/requirecode", fields{"phonenumber": newNumber()}},
	} {
		before, key := services[0].head(t), uuid.NewString()
		answers := atOnce(30, func(i int) answer { return services[i%2].postOnce(t, key, c.path, c.f) })
		for _, a := range answers {
			if a.status != http.StatusOK || a.body != answers[0].body {
				t.Errorf("%s: %d %s, and %s", c.path, a.status, a.body, answers[0].body)
			}
		}
		if after := services[0].head(t); after != before+1 {
			t.Errorf("%s: the log went from %d to %d", c.path, before, after)
		}
	}
}

// TestKilledBetweenCommitAndAnswer kills the program again and again, at moments from a seed that it prints, while people
// publish, write and fetch with keys; they send each request again, until it is answered. Each was carried out once.
func TestKilledBetweenCommitAndAnswer(t *testing.T) {
	t.Parallel()
	const (
		kills    = 6
		people   = 6
		patience = 2 * time.Minute
	)
	dsn := pgtest.DSN(t)
	setup := start(t, over(dsn))
	ann, bob := setup.register(t), setup.register(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))

	environment := map[string]string{
		"DATABASE_URL": dsn, "FOOF_ADDR": "127.0.0.1:0", "FOOF_JWT_SECRETS": testSecret, "FOOF_MASTER_KEY": testMaster,
		"FOOF_SMS_WEBHOOK": "http://127.0.0.1:1", "FOOF_SMS_WEBHOOK_SECRET": "none",
	}
	var (
		mu      sync.Mutex
		address string
		done    = make(chan struct{})
		fetched = map[int64]int{}
		all     sync.WaitGroup
		titles  []string
		texts   []string
	)
	boot := func() *program {
		p := foof(t, environment, "serve")
		at := p.err.await(t, `"msg":"serving","addr":"`, `"`)
		mu.Lock()
		defer mu.Unlock()
		address = "http://" + at
		return p
	}
	// insist sends a request with one key until it is answered.
	insist := func(p *person, path string, f fields) answer {
		key := uuid.NewString()
		deadline := time.After(patience)
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for {
			mu.Lock()
			at := *p.service
			at.url = address
			mu.Unlock()
			if a, err := at.try(at.keyed(t, key, path, urlEncoded, f.with("token", p.token))); err == nil && a.status == http.StatusOK {
				return a
			}
			select {
			case <-pause.C:
			case <-deadline:
				t.Errorf("%s was not answered", path)
				return answer{}
			}
		}
	}
	running := boot()
	for n := range people {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				title := fmt.Sprint("item ", n, " ", i)
				insist(ann, "/item/add", powerBank().with("title", title)).number(t, "itemid")
				insist(ann, "/user/chat/push", fields{"to": bob.id, "data": title}).succeeded(t)
				var got struct {
					Data []chatMessage `json:"data"`
				}
				if err := json.Unmarshal([]byte(insist(bob, "/user/chat/fetchnew", fields{}).body), &got); err != nil {
					t.Error(err)
				}
				mu.Lock()
				titles, texts = append(titles, title), append(texts, title)
				for _, m := range got.Data {
					fetched[m.ID]++
				}
				mu.Unlock()
			}
		})
	}
	for range kills {
		timer := time.NewTimer(time.Duration(300+random.IntN(900)) * time.Millisecond)
		<-timer.C
		running.interrupt(t, syscall.SIGKILL)
		running = boot()
	}
	close(done)
	all.Wait()
	if code := running.interrupt(t, syscall.SIGTERM); code != 0 {
		t.Errorf("foof ended with code %d", code)
	}

	for _, m := range bob.fetchNew(t) {
		fetched[m.ID]++
	}
	if n := value[int](t, setup.db, `select count(*) from items where title like 'item %'`); n != len(titles) {
		t.Errorf("%d items were published for %d requests", n, len(titles))
	}
	if n := setup.count(t, "message.sent"); n != len(texts) || len(fetched) != n {
		t.Errorf("%d messages were sent for %d requests, and %d were fetched", n, len(texts), len(fetched))
	}
	for id, n := range fetched {
		if n != 1 {
			t.Errorf("message %d was fetched %d times", id, n)
		}
	}
	t.Logf("%d rounds, %d kills", len(titles), kills)
}
