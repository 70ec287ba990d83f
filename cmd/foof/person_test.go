package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"foof/commands"
	"foof/events"
	"foof/internal/token"
	"foof/internal/vault"
)

// person is somebody with an account. What they post has their token in it.
type person struct {
	*service

	id                      int64
	number, password, token string
}

// code asks for a verification code and reads it from the outbox.
func (s *service) code(t testing.TB, number string) string {
	t.Helper()
	s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
	return s.lastCode(t, number)
}

func (s *service) lastCode(t testing.TB, number string) string {
	t.Helper()
	messages, _ := s.get(t, "/dev/outbox?to="+url.QueryEscape(number)).json(t).([]any)
	if len(messages) == 0 {
		t.Fatalf("no message for %s", number)
	}
	newest, _ := messages[0].(object)
	code, _ := newest["code"].(string)
	return code
}

// another is a code that is not this one.
func another(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// register opens an account for a number, by default a new one, and logs in.
func (s *service) register(t testing.TB, number ...string) *person {
	t.Helper()
	p := &person{service: s, password: "correct-horse"}
	if len(number) > 0 {
		p.number = number[0]
	} else {
		p.number = newNumber()
	}
	code := s.code(t, p.number)
	s.post(t, "/user/register", fields{"phonenumber": p.number, "verifycode": code, "password": p.password}).succeeded(t)
	p.login(t)
	return p
}

// join opens an account for a new number, without logging in: hashing a password once is dear enough.
func (s *service) join(t testing.TB) *person {
	t.Helper()
	p := &person{service: s, number: newNumber(), password: "correct-horse"}
	s.tryCode(t, p.number, s.code(t, p.number)).succeeded(t)
	p.id = value[int64](t, s.db, `select id from users where phone = $1`, p.number)
	p.sign(t)
	return p
}

// crowd opens that many accounts by the commands themselves, which share one password: to hash each under the race detector
// takes longer than all that they then do.
func (s *service) crowd(t *testing.T, n int) []*person {
	t.Helper()
	ctx, secrets, engine := patience(t), s.vault(t), s.engine(t)
	shared, err := secrets.NewPassword(ctx, "correct-horse")
	if err != nil {
		t.Fatal(err)
	}
	register := func() (*person, error) {
		p := &person{service: s, number: newNumber(), password: "correct-horse"}
		phone, now := secrets.PhoneIndex(p.number), time.Now()
		code, err := secrets.NewCode(ctx, phone, p.number)
		if err != nil {
			return nil, err
		}
		user, err := s.app.log.NextUser(ctx)
		if err != nil {
			return nil, err
		}
		_, _, err = commands.Execute(ctx, engine, commands.Origin{}, commands.RequestCode{Phone: phone, Code: code, At: now})
		if err := errors.Join(err, secrets.NewUserKey(ctx, user)); err != nil {
			return nil, err
		}
		p.id = int64(user)
		_, _, err = commands.Execute(ctx, engine, commands.Origin{}, commands.RegisterUser{
			User: user, Number: p.number, Phone: phone, Codes: []string{code}, Password: shared, At: now,
		})
		return p, err
	}
	people := make([]*person, n)
	for i := range people {
		if people[i], err = register(); err != nil {
			t.Fatal(err)
		}
		people[i].sign(t)
	}
	until(t, "the crowd is there", func() bool {
		return value[int](t, s.db, `select count(*) from users where id = $1`, people[n-1].id) == 1
	})
	return people
}

// vault is the service's, opened once more.
func (s *service) vault(t *testing.T) *vault.Vault {
	t.Helper()
	master, err := s.app.config.masterKey()
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := vault.Open(patience(t), s.app.pool, master)
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

// engine carries commands out without a request.
func (s *service) engine(t *testing.T) *commands.Engine {
	t.Helper()
	return commands.NewEngine(s.app.log, events.NewCodec(events.Types, s.vault(t)))
}

// sign makes a token as logging in does.
func (p *person) sign(t testing.TB) {
	t.Helper()
	signer, err := token.NewSigner([][]byte{[]byte(testSecret)}, time.Hour, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if p.token, err = signer.Sign(events.UserID(p.id), 0); err != nil {
		t.Fatal(err)
	}
}

// login gets a new token.
func (p *person) login(t testing.TB) {
	t.Helper()
	a := p.service.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password})
	var in struct {
		Info struct {
			UUID int64 `json:"uuid"`
		} `json:"info"`
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(a.body), &in); err != nil || in.Token == "" {
		t.Errorf("%s: no token in %s", a.asked, a.body)
	}
	p.id, p.token = in.Info.UUID, in.Token
}

func (p *person) post(t testing.TB, path string, f fields) answer {
	t.Helper()
	return p.postAs(t, urlEncoded, path, f)
}

func (p *person) postAs(t testing.TB, e encoding, path string, f fields) answer {
	t.Helper()
	return p.service.postAs(t, e, path, f.with("token", p.token))
}

// via is the same person at another service over the same database.
func (p *person) via(s *service) *person {
	other := *p
	other.service = s
	return &other
}

// powerBank is an item to publish.
func powerBank() fields {
	return fields{
		"title": "小米充电宝", "type": 2, "price": "299.9", "imgurl": `["image\\item\\0.35113526938054584.jpg"]`,
		"depreciation": 98, "note": "一块钱四个", "sold": 1,
	}
}

// shown is an item as an answer has it: the fields that were sent, and what the service adds.
func shown(id int64, owner *person, f fields) object {
	o := object{"itemid": id, "uuid": owner.id, "to": nil}
	maps.Copy(o, f)
	return o
}

// add publishes an item and returns its number.
func (p *person) add(t testing.TB, f fields) int64 {
	t.Helper()
	a := p.post(t, "/item/add", f)
	id := a.number(t, "itemid")
	a.is(t, http.StatusOK, object{"status": "success", "itemid": id})
	return id
}

func (s *service) item(t testing.TB, id int64) answer {
	t.Helper()
	return s.get(t, fmt.Sprintf("/item/%d", id))
}

func (s *service) user(t testing.TB, id int64) answer {
	t.Helper()
	return s.get(t, fmt.Sprintf("/user/%d", id))
}

func (p *person) trade(t testing.TB, id int64) answer {
	t.Helper()
	return p.post(t, "/item/trade", fields{"itemid": id})
}
