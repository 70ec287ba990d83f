package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// newcomer is a new user's account as the user sees it.
func newcomer(p *person) object {
	return object{
		"uuid": p.id, "username": "新手咸鱼人员", "phonenumner": p.number, "phonenumber": p.number, "idcard": "", "studentid": "0",
		"address": "", "avatarurl": `image\avatar\default.jpg`, "verified": 0, "score": 10, "info": "这家伙很懒，什么都没有写>^<",
	}
}

func TestANewUser(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)

	t.Run("sees the account when logging in", func(t *testing.T) {
		t.Parallel()
		a := s.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password})
		a.is(t, http.StatusOK, object{"status": "success", "info": newcomer(p), "token": a.text(t, "token")})
		if !strings.Contains(a.body, `"image\\avatar\\default.jpg"`) {
			t.Errorf("JSON shows two backslashes where there is one: %s", a.body)
		}
	})
	t.Run("sees the account in me", func(t *testing.T) {
		t.Parallel()
		p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
	})
	t.Run("shows everyone what is not private", func(t *testing.T) {
		t.Parallel()
		s.user(t, p.id).is(t, http.StatusOK, object{
			"uuid": p.id, "username": "新手咸鱼人员", "avatarurl": `image\avatar\default.jpg`, "verified": 0, "score": 10,
			"info": "这家伙很懒，什么都没有写>^<", "status": "success",
		})
	})
	t.Run("has neither published nor finished anything", func(t *testing.T) {
		t.Parallel()
		s.post(t, "/user/published", fields{"uuid": p.id}).is(t, http.StatusOK, `[]`)
		p.post(t, "/user/finished", fields{}).is(t, http.StatusOK, `[]`)
	})
}

func TestAnUnknownUser(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, id := range []string{"0", "999999999", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "-1"} {
		s.get(t, "/user/"+id).none(t)
		s.get(t, "/item/"+id).none(t)
	}
	for _, id := range []string{"abc", "1.5", "0x1", "%00", "%e6%bc%a2", "1%202", "%ff", "1e3", "+1", strings.Repeat("x", 5000)} {
		s.get(t, "/user/"+id).invalid(t, "uuid")
		s.get(t, "/item/"+id).invalid(t, "itemid")
	}
	s.post(t, "/user/published", fields{"uuid": "999999999"}).is(t, http.StatusOK, `[]`)
}

func TestModifyingAnAccount(t *testing.T) {
	t.Parallel()
	s := shared(t)
	me := func(t *testing.T, p *person, want object) {
		t.Helper()
		p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(want, "status", "success"))
	}

	t.Run("fields left out stay as they are", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		want := newcomer(p)
		for _, change := range []struct{ field, to string }{
			{"username", "wakamiyaEve"}, {"idcard", "1"}, {"studentid", "2"}, {"address", "M3c"}, {"info", "no"}, {"idcard", ""}, {"info", ""},
		} {
			p.post(t, "/user/modify", fields{change.field: change.to}).succeeded(t)
			want[change.field] = change.to
			me(t, p, want)
		}
		p.post(t, "/user/modify", fields{}).succeeded(t)
		p.postAs(t, inJSON, "/user/modify", fields{"username": nil, "password": nil, "studentid": nil}).succeeded(t)
		me(t, p, want)
		s.user(t, p.id).is(t, http.StatusOK, object{
			"uuid": p.id, "username": "wakamiyaEve", "avatarurl": `image\avatar\default.jpg`, "verified": 0, "score": 10, "info": "",
			"status": "success",
		})
	})
	t.Run("what says nothing new is no event", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		same := fields{"username": "新手咸鱼人员", "idcard": "", "studentid": "0", "address": "", "info": "这家伙很懒，什么都没有写>^<", "password": ""}
		p.post(t, "/user/modify", same).succeeded(t)
		if n := value[int](t, s.db, `select count(*) from events where stream = $1`, fmt.Sprintf("user-%d", p.id)); n != 1 {
			t.Errorf("the user has %d events, want the registration alone", n)
		}
		p.post(t, "/user/me", fields{}) // the token is good
	})
	t.Run("a changed studentid sets verified back to 0", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		p.post(t, "/user/modify", fields{"studentid": "2019"}).succeeded(t)
		if _, err := s.db.Exec(patience(t), `update users set verified = 1 where id = $1`, p.id); err != nil { // as mail will
			t.Fatal(err)
		}
		p.post(t, "/user/modify", fields{"studentid": "2019", "info": "x"}).succeeded(t)
		me(t, p, with(with(with(newcomer(p), "studentid", "2019"), "verified", 1), "info", "x"))
		p.post(t, "/user/modify", fields{"studentid": "2020"}).succeeded(t)
		me(t, p, with(with(with(newcomer(p), "studentid", "2020"), "verified", 0), "info", "x"))
	})
	t.Run("a studentid fits int(11)", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		p.post(t, "/user/modify", fields{"studentid": "2147483647"}).succeeded(t)
		me(t, p, with(newcomer(p), "studentid", "2147483647"))
		for _, wrong := range []string{"2147483648", "-1", "B2019", "1.0", ""} {
			p.post(t, "/user/modify", fields{"studentid": wrong, "info": "must not be stored"}).invalid(t, "studentid")
		}
		me(t, p, with(newcomer(p), "studentid", "2147483647"))
	})
	t.Run("texts have 255 characters at most, and a username has one at least", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		for _, name := range []string{"username", "info", "idcard", "address"} {
			p.post(t, "/user/modify", fields{name: strings.Repeat("字", 255)}).succeeded(t)
			p.post(t, "/user/modify", fields{name: strings.Repeat("字", 256)}).invalid(t, name)
		}
		p.post(t, "/user/modify", fields{"username": ""}).invalid(t, "username")
	})
	t.Run("the password changes only if it is present and not empty", func(t *testing.T) {
		t.Parallel()
		p := s.register(t)
		p.post(t, "/user/modify", fields{"password": ""}).succeeded(t)
		p.post(t, "/user/modify", fields{"password": "short"}).invalid(t, "password")
		p.post(t, "/user/modify", fields{"password": strings.Repeat("p", 129)}).invalid(t, "password")
		me(t, p, newcomer(p))
		p.login(t)

		p.post(t, "/user/modify", fields{"password": "battery-staple"}).succeeded(t)
		s.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password}).failed(t, "password incorrect")
		p.password = "battery-staple"
		p.login(t)
		me(t, p, newcomer(p))
	})
}

func TestLoggingInFailsAlike(t *testing.T) {
	t.Parallel()
	s := start(t) // of its own, so that no other test's passwords are hashed before these
	p := s.register(t)
	known := fields{"phonenumber": p.number, "password": "wrong-horse"}
	unknown := fields{"phonenumber": newNumber(), "password": "wrong-horse"}
	for _, f := range []fields{
		known, unknown, known.with("password", ""), known.with("password", p.password+" "), unknown.with("password", ""),
		known.with("password", strings.Repeat("p", 1000)), unknown.with("phonenumber", "not a number"), unknown.with("phonenumber", ""),
		known.with("phonenumber", " "+p.number), known.with("phonenumber", p.number+"0"), known.with("phonenumber", "' or 1=1 --"),
	} {
		a := s.post(t, "/user/login", f)
		a.failed(t, "password incorrect")
		if a.body != s.post(t, "/user/login", known).body {
			t.Errorf("%v is answered differently: %s", f, a.body)
		}
	}

	// In turn, so that whatever else the machine does meets both. Looking for the account alone takes less than a tenth.
	const tries = 11
	took := map[string][]time.Duration{}
	for range tries {
		for name, f := range map[string]fields{"known": known, "unknown": unknown} {
			began := time.Now()
			s.post(t, "/user/login", f)
			took[name] = append(took[name], time.Since(began))
		}
	}
	median := func(name string) time.Duration {
		slices.Sort(took[name])
		return took[name][tries/2]
	}
	a, b := median("known"), median("unknown")
	t.Logf("medians: a wrong password %s, an unknown number %s", a, b)
	if a > 2*b || b > 2*a {
		t.Errorf("a wrong password takes %s and an unknown number %s", a, b)
	}
}
