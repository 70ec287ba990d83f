package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const noCampusMail = "no student id and no campus mail"

// askLink asks for a link, to an address or, without one, to that of the student number.
func (p *person) askLink(t testing.TB, mail ...string) answer {
	t.Helper()
	f := fields{}
	if len(mail) > 0 {
		f["mail"] = mail[0]
	}
	return p.post(t, "/user/mail/verify", f)
}

// mailed are the links that were mailed to an address, newest first.
func (s *service) mailed(t testing.TB, address string) (links []string) {
	t.Helper()
	messages, _ := s.get(t, "/dev/outbox?to="+url.QueryEscape(address)).json(t).([]any)
	for _, m := range messages {
		link, _ := m.(object)["link"].(string)
		links = append(links, link)
	}
	return links
}

// follow follows a link, which leads to where the service is said to be.
func (s *service) follow(t testing.TB, link string) answer {
	t.Helper()
	path, ok := strings.CutPrefix(link, "https://foof.example/user/")
	if !ok {
		t.Errorf("the link is %q", link)
	}
	return s.get(t, "/user/"+path)
}

// verified wants what everybody and the user themselves see.
func (p *person) verified(t testing.TB, want int64) {
	t.Helper()
	if n := p.user(t, p.id).number(t, "verified"); n != want {
		t.Errorf("others see verified %d, want %d", n, want)
	}
	if n := p.post(t, "/user/me", fields{}).number(t, "verified"); n != want {
		t.Errorf("they themselves see verified %d, want %d", n, want)
	}
}

// student opens an account with a student number of its own, and gives the address on the campus that it has.
func (s *service) student(t testing.TB) (p *person, address string) {
	t.Helper()
	p = s.join(t)
	id := strings.TrimPrefix(newNumber(), "13")
	p.post(t, "/user/modify", fields{"studentid": id}).succeeded(t)
	id = strings.TrimLeft(id, "0")
	return p, id + "@campus.example"
}

func TestVerifyingCampusMail(t *testing.T) {
	t.Parallel()
	s := shared(t)

	t.Run("is asking for a link and following it", func(t *testing.T) {
		t.Parallel()
		p, address := s.student(t)
		p.verified(t, 0)
		p.askLink(t).succeeded(t)
		sent := s.get(t, "/dev/outbox?to="+address)
		m := sent.json(t).([]any)[0].(object)
		link, body := fmt.Sprint(m["link"]), fmt.Sprint(m["body"])
		sent.is(t, http.StatusOK, []any{object{"to": address, "channel": "mail", "body": body, "code": "", "link": link, "at": m["at"]}})
		if at, err := time.Parse(time.RFC3339, fmt.Sprint(m["at"])); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("sent at %v (%v)", m["at"], err)
		}
		if !strings.Contains(body, "\n"+link+"\n") {
			t.Errorf("the link is not in the mail %q", body)
		}
		p.verified(t, 0)
		a := s.follow(t, link)
		a.succeeded(t)
		if cache := a.header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("Cache-Control: %q", cache)
		}
		p.verified(t, 1)
	})
	t.Run("takes each link once, and several links", func(t *testing.T) {
		t.Parallel()
		p, address := s.student(t)
		p.askLink(t).succeeded(t)
		p.askLink(t).succeeded(t)
		links := s.mailed(t, address)
		if len(links) != 2 || links[0] == links[1] {
			t.Fatalf("mailed were %v", links)
		}
		for _, link := range links {
			s.follow(t, link).succeeded(t)
			s.follow(t, link).failed(t, invalidRequest)
		}
		p.verified(t, 1)
	})
	t.Run("goes to the address given, if it is on the campus", func(t *testing.T) {
		t.Parallel()
		p := s.join(t)
		name := "ada." + newNumber()
		p.askLink(t, name+"@CAMPUS.example").succeeded(t)
		s.follow(t, s.mailed(t, name+"@campus.example")[0]).succeeded(t)
		p.verified(t, 1)
	})
	t.Run("goes to the student number's address, if that given is anywhere else or none", func(t *testing.T) {
		t.Parallel()
		for i, wrong := range []string{
			"ada@evil.example", "", "ada", "ada@campus.example\r\nBcc: eve@evil.example", "Ada <ada@campus.example>", "ada@campus.example@evil.example",
			"阿达@campus.example",
		} {
			p, address := s.student(t)
			p.postAs(t, []encoding{urlEncoded, multiPart, inJSON}[i%3], "/user/mail/verify", fields{"mail": wrong}).succeeded(t)
			if links := s.mailed(t, address); len(links) != 1 {
				t.Errorf("%q: %s got %d mails", wrong, address, len(links))
			}
		}
	})
	t.Run("without a student number or a campus address is refused", func(t *testing.T) {
		t.Parallel()
		p := s.join(t)
		before := s.count(t, "user.mail_requested", "user-"+strconv.FormatInt(p.id, 10))
		p.askLink(t).failed(t, noCampusMail)
		p.askLink(t, "ada@evil.example").failed(t, noCampusMail)
		p.post(t, "/user/modify", fields{"studentid": 7}).succeeded(t)
		p.post(t, "/user/modify", fields{"studentid": 0}).succeeded(t)
		p.askLink(t).failed(t, noCampusMail)
		if after := s.count(t, "user.mail_requested", "user-"+strconv.FormatInt(p.id, 10)); after != before {
			t.Errorf("%d requests are in the log", after-before)
		}
	})
	t.Run("with an address that is too long, or no text, is bad input", func(t *testing.T) {
		t.Parallel()
		p, _ := s.student(t)
		p.askLink(t, strings.Repeat("x", 250)+"@campus.example").invalid(t, "mail")
		p.postAs(t, inJSON, "/user/mail/verify", fields{"mail": []string{"ada@campus.example"}}).invalid(t, "mail")
	})
	t.Run("with a changed student number begins anew", func(t *testing.T) {
		t.Parallel()
		p, address := s.student(t)
		p.askLink(t).succeeded(t)
		p.askLink(t).succeeded(t)
		links := s.mailed(t, address)
		s.follow(t, links[0]).succeeded(t)
		p.verified(t, 1)
		p.post(t, "/user/modify", fields{"username": "Ada"}).succeeded(t)
		p.verified(t, 1)
		p.post(t, "/user/modify", fields{"studentid": "1" + strings.TrimSuffix(address, "@campus.example")[1:]}).succeeded(t)
		p.verified(t, 0)
		s.follow(t, links[1]).failed(t, invalidRequest)
		p.verified(t, 0)
		p.askLink(t).succeeded(t)
		again := p.post(t, "/user/me", fields{}).text(t, "studentid") + "@campus.example"
		s.follow(t, s.mailed(t, again)[0]).succeeded(t)
		p.verified(t, 1)
	})
	t.Run("of nobody with a junk token is the same failure", func(t *testing.T) {
		t.Parallel()
		p, address := s.student(t)
		p.askLink(t).succeeded(t)
		link := s.mailed(t, address)[0]
		token := link[strings.LastIndexByte(link, '/')+1:]
		for _, junk := range []string{
			"x", "0", "-1", "null", "%00", "%ff%fe", "%0d%0aX:%20y", "'%20or%20true", "%F0%9F%90%9F", "%E6%BC%A2", "%C0%80", "%25", "%25s", "%3F",
			strings.ToLower(token), token[1:], token + "A", "%20" + token, token + "%00", token + "%20", token + "=", "{token}", ":token",
			strings.Repeat("A", 26), strings.Repeat("A", 30_000), strings.Repeat("%00", 10_000), p.token,
		} {
			s.get(t, "/user/mail/verify/"+junk).failed(t, invalidRequest)
		}
		for _, none := range []string{"/user/mail/verify/", "/user/mail/verify/a/b", "/user/mail/verify/a%2Fb", "/user/mail/verify/" + token + "/"} {
			s.get(t, none).refused(t, http.StatusNotFound, "not found")
		}
		if a := s.get(t, "/user/mail/verify"); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
			t.Errorf("without a token: %d, Allow: %s", a.status, a.header.Get("Allow"))
		}
		s.follow(t, link+"?x=y").succeeded(t) // as some mail readers mark links
	})
	t.Run("by many at once with one link is one fact", func(t *testing.T) {
		t.Parallel()
		p, address := s.student(t)
		p.askLink(t).succeeded(t)
		link := s.mailed(t, address)[0]
		var (
			all     sync.WaitGroup
			answers = make([]answer, 20)
		)
		for i := range answers {
			all.Go(func() { answers[i] = s.follow(t, link) })
		}
		all.Wait()
		won := 0
		for _, a := range answers {
			if strings.Contains(a.body, "success") {
				a.succeeded(t)
				won++
			} else {
				a.failed(t, invalidRequest)
			}
		}
		if n := s.count(t, "user.verified", "user-"+strconv.FormatInt(p.id, 10)); won != 1 || n != 1 {
			t.Errorf("%d were told success, and %d are in the log", won, n)
		}
		p.verified(t, 1)
	})
	t.Run("is limited per account, and nobody else's", func(t *testing.T) {
		t.Parallel()
		p, address := s.student(t)
		for range 5 {
			p.askLink(t).succeeded(t)
		}
		for _, mail := range [][]string{nil, {"ada." + newNumber() + "@campus.example"}} {
			a := p.askLink(t, mail...)
			a.refused(t, http.StatusTooManyRequests, "too many requests")
			if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 800 || wait > 900 {
				t.Errorf("Retry-After: %q, want about 900", a.header.Get("Retry-After"))
			}
		}
		if links := s.mailed(t, address); len(links) != 5 {
			t.Errorf("%d were mailed", len(links))
		}
		other, _ := s.student(t)
		other.askLink(t).succeeded(t)
	})
}

func TestALinkIsGoodForADay(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, timed(now))
	p, address := s.student(t)
	p.askLink(t).succeeded(t)
	p.askLink(t).succeeded(t)
	links := s.mailed(t, address)
	now.pass(24*time.Hour - time.Millisecond)
	s.follow(t, links[0]).succeeded(t)
	now.pass(time.Millisecond)
	s.follow(t, links[1]).failed(t, invalidRequest)
	p.login(t)
	p.verified(t, 1)
	p.askLink(t).succeeded(t)
	s.follow(t, s.mailed(t, address)[0]).succeeded(t)
}

func TestLinksAreLimitedPerAccountOverTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, timed(now), setting("FOOF_MAILS_PER_QUARTER_HOUR", "2"), setting("FOOF_MAILS_PER_DAY", "3"))
	p, _ := s.student(t)
	p.askLink(t).succeeded(t)
	p.askLink(t).succeeded(t)
	p.askLink(t).refused(t, http.StatusTooManyRequests, "too many requests")
	now.pass(15 * time.Minute)
	p.askLink(t).succeeded(t)
	now.pass(15 * time.Minute)
	a := p.askLink(t)
	a.refused(t, http.StatusTooManyRequests, "too many requests")
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait != 84_600 {
		t.Errorf("Retry-After: %q, want what is left of the day", a.header.Get("Retry-After"))
	}
}

func TestWithoutMailNobodyIsToldToComeBackSoon(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *setup) { s.mailless = true })
	s.down = true
	p := s.crowd(t, 1)[0]
	before := s.head(t)
	p.post(t, "/user/mail/verify", fields{"mail": "ada@campus.example"}).refused(t, http.StatusServiceUnavailable, "mail is not set up here")
	s.post(t, "/user/mail/verify", fields{"token": "x"}).forbidden(t)
	s.get(t, "/user/mail/verify/x").failed(t, invalidRequest)
	if s.head(t) != before {
		t.Error("that changed something")
	}
}
