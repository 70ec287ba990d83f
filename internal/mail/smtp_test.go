package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"foof/internal/feed"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
)

const (
	from     = "咸鱼 FOOF <noreply@foof.example>"
	to       = "ada@campus.example"
	sender   = "foof@relay"
	password = "p@ss:word/%?#"
	link     = "https://foof.example/user/mail/verify/SECRETTOKENSECRETTOKEN2345"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func linkMessage() Message {
	return Message{ID: "41-6f9619ff", To: to, Subject: "校园邮箱验证 Verify", Body: "请打开 <以下> 链接\nOpen this:\n\n" + link + "\n", Link: link, At: noon}
}

// client makes a sender to a server, which trusts it.
func (r *relay) client(t *testing.T, how security, change ...func(*SMTP)) *SMTP {
	t.Helper()
	scheme, user, option := "smtp", url.UserPassword(sender, password).String()+"@", ""
	switch how {
	case startTLS:
	case implicitTLS:
		scheme = "smtps"
	case plain:
		user, option = "", "?tls=none"
	}
	s, err := NewSMTP(scheme+"://"+user+r.address+option, from)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS.RootCAs, s.Within = r.trust, time.Minute
	for _, f := range change {
		f(s)
	}
	return s
}

// silent checks that an error tells nothing that is secret.
func silent(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, hidden := range []string{to, "ada", "SECRET", password, sender, url.QueryEscape(password)} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("the error tells %s: %v", hidden, err)
		}
	}
}

func TestSMTPHandsMailToARelay(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]security{"by STARTTLS": startTLS, "within TLS": implicitTLS, "in plain, if that was wanted": plain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, how)
			if err := r.client(t, how).SendMail(t.Context(), linkMessage()); err != nil {
				t.Fatal(err)
			}
			got := <-r.got
			data := got.data
			got.data = ""
			want := received{from: "noreply@foof.example", to: to, tls: true, user: sender}
			if how == plain {
				want.tls, want.user = false, ""
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(received{})); diff != "" {
				t.Errorf("the server got (-want +got):\n%s", diff)
			}
			looksRight(t, data)
		})
	}
	t.Run("that takes passwords by LOGIN only", func(t *testing.T) {
		t.Parallel()
		r := newRelay(t, startTLS, func(s *smtp.Server) {
			backend := s.Backend
			s.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
				inner, err := backend.NewSession(c)
				return loginOnly{inner.(*session)}, err
			})
		})
		if err := r.client(t, startTLS).SendMail(t.Context(), linkMessage()); err != nil {
			t.Fatal(err)
		}
		if got := <-r.got; got.user != sender {
			t.Errorf("it authenticated as %q", got.user)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		r := newRelay(t, startTLS)
		s := r.client(t, startTLS)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := s.SendMail(t.Context(), linkMessage()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(r.got) != 20 {
			t.Errorf("%d came", len(r.got))
		}
	})
}

// loginOnly is a session that knows one way to authenticate.
type loginOnly struct{ *session }

func (loginOnly) AuthMechanisms() []string { return []string{sasl.Login} }

// looksRight reads a mail as a reader of mail does.
func looksRight(t *testing.T, data string) {
	t.Helper()
	for i, b := range []byte(data) {
		if b > '~' {
			t.Fatalf("byte %d is not ASCII: a relay may not take it", i)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	decoder := mime.WordDecoder{}
	header := map[string]string{}
	for _, name := range []string{"Subject", "To", "Message-Id", "Auto-Submitted", "Mime-Version", "Bcc", "Cc", "X-Mailer", "User-Agent"} {
		value, err := decoder.DecodeHeader(m.Header.Get(name))
		if err != nil {
			t.Error(err)
		}
		header[name] = value
	}
	want := map[string]string{
		"Subject": "校园邮箱验证 Verify", "To": "<" + to + ">", "Message-Id": "<41-6f9619ff@foof.example>", "Auto-Submitted": "auto-generated",
		"Mime-Version": "1.0", "Bcc": "", "Cc": "", "X-Mailer": "", "User-Agent": "",
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	sender, err := mail.ParseAddress(m.Header.Get("From"))
	if err != nil || sender.Name != "咸鱼 FOOF" || sender.Address != "noreply@foof.example" {
		t.Errorf("it is from %v, %v", sender, err)
	}
	if at, err := m.Header.Date(); err != nil || !at.Equal(noon) {
		t.Errorf("it is of %s, %v", at, err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("it is %s, %v", kind, err)
	}
	var got []string
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if how := part.Header.Get("Content-Transfer-Encoding"); how != "quoted-printable" {
			t.Errorf("a part is in %s", how)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part.Header.Get("Content-Type")+"\n"+strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
	wanted := []string{
		"text/plain; charset=UTF-8\n请打开 <以下> 链接\nOpen this:\n\n" + link + "\n",
		"text/html; charset=UTF-8\n<!DOCTYPE html>\n<html><body><p>请打开 &lt;以下&gt; 链接<br>\nOpen this:<br>\n<br>\n<a href=\"" + link + `">` + link + "</a></p></body></html>\n",
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestSMTPSendsNothingWithoutTheTLSThatWasWanted(t *testing.T) {
	t.Parallel()
	_, others := selfMade(t, "127.0.0.1")
	for name, c := range map[string]struct {
		server, client security
		change         func(*SMTP)
	}{
		"to a server without STARTTLS":                      {plain, startTLS, nil},
		"by STARTTLS, with a certificate of somebody else":  {startTLS, startTLS, func(s *SMTP) { s.TLS.RootCAs = others }},
		"by STARTTLS, with a certificate of no authority":   {startTLS, startTLS, func(s *SMTP) { s.TLS.RootCAs = nil }},
		"by STARTTLS, with a certificate for another host":  {startTLS, startTLS, func(s *SMTP) { s.TLS.ServerName = "relay.example" }},
		"within TLS, with a certificate of somebody else":   {implicitTLS, implicitTLS, func(s *SMTP) { s.TLS.RootCAs = others }},
		"within TLS, with a certificate of no authority":    {implicitTLS, implicitTLS, func(s *SMTP) { s.TLS.RootCAs = nil }},
		"within TLS, with a certificate for another host":   {implicitTLS, implicitTLS, func(s *SMTP) { s.TLS.ServerName = "relay.example" }},
		"within TLS, to a server that does not begin so":    {startTLS, implicitTLS, func(s *SMTP) { s.Within = time.Second }},
		"by STARTTLS, to a server that has begun with TLS":  {implicitTLS, startTLS, func(s *SMTP) { s.Within = time.Second }},
		"in plain, to a server that has begun with TLS too": {implicitTLS, plain, func(s *SMTP) { s.Within = time.Second }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, c.server)
			s := r.client(t, c.client)
			if c.change != nil {
				c.change(s)
			}
			err := s.SendMail(t.Context(), linkMessage())
			if err == nil || len(r.got) > 0 || errors.Is(err, feed.ErrPermanent) {
				t.Errorf("it is %v, and %d came", err, len(r.got))
			}
			if strings.Contains(name, "certificate") && !strings.Contains(err.Error(), "certificate") {
				t.Errorf("it does not say what is wrong: %v", err)
			}
			silent(t, err)
		})
	}
}

func TestSMTPThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"connect", "auth", "mail", "rcpt", "data", "end"} {
		for _, code := range []int{421, 450, 451, 452, 550, 552, 554} {
			t.Run(fmt.Sprintf("%s with %d", stage, code), func(t *testing.T) {
				t.Parallel()
				r := newRelay(t, startTLS).refuses(stage, code)
				s := r.client(t, startTLS)
				err := s.SendMail(t.Context(), linkMessage())
				if err == nil || !strings.Contains(err.Error(), fmt.Sprint("the relay answered ", code)) || len(r.got) > 0 {
					t.Errorf("it is %v, and %d came", err, len(r.got))
				}
				if errors.Is(err, feed.ErrPermanent) != (code >= 500) {
					t.Errorf("whether it is for good: %v", err)
				}
				silent(t, err)
				r.refuses(stage, 0)
				if err := s.SendMail(t.Context(), linkMessage()); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		}
	}
	t.Run("with another password", func(t *testing.T) {
		t.Parallel()
		r := newRelay(t, startTLS)
		err := r.client(t, startTLS, func(s *SMTP) { s.password += "x" }).SendMail(t.Context(), linkMessage())
		if err == nil || !strings.Contains(err.Error(), "535") {
			t.Errorf("it is %v", err)
		}
		silent(t, err)
	})
	for name, greeting := range map[string]string{
		"by what is no SMTP": "SSH-2.0-OpenSSH_9.9\r\n", "by what only repeats": "220 hello\r\n", "by a web server": "HTTP/1.1 400 Bad Request\r\n\r\n",
		"by an empty line": "\r\n", "by half a reply": "220-", "by a reply that does not end": "220-" + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewSMTP("smtp://"+talkative(t, greeting)+"?tls=none", from)
			if err != nil {
				t.Fatal(err)
			}
			s.Within = time.Second
			err = s.SendMail(t.Context(), linkMessage())
			if err == nil {
				t.Error("it was not")
			}
			silent(t, err)
		})
	}
	t.Run("by nobody at all", func(t *testing.T) {
		t.Parallel()
		s, err := NewSMTP("smtp://127.0.0.1:1?tls=none", from)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SendMail(t.Context(), linkMessage()); err == nil || errors.Is(err, feed.ErrPermanent) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("it is %v", err)
		}
	})
}

// The relay's replies are: a greeting, and to EHLO, MAIL, RCPT, DATA, the end of the data, RSET and QUIT.
func TestSMTPThatIsCut(t *testing.T) {
	t.Parallel()
	for _, hang := range []bool{false, true} {
		for n := range 9 {
			t.Run(fmt.Sprintf("after %d replies, hanging %t", n, hang), func(t *testing.T) {
				t.Parallel()
				r := newRelay(t, plain)
				server := r.address
				r.address = cutting{through: replies(n), hang: hang}.between(t, server)
				s := r.client(t, plain)
				if hang {
					s.Within = 300 * time.Millisecond
				}
				err := s.SendMail(t.Context(), linkMessage())
				if (err == nil) != (n >= 6) || errors.Is(err, feed.ErrPermanent) {
					t.Errorf("it is %v", err)
				}
				silent(t, err)
				r.address = server
				if err := r.client(t, plain).SendMail(t.Context(), linkMessage()); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		}
	}
	for name, how := range map[string]security{"STARTTLS": startTLS, "TLS": implicitTLS} {
		for n := int64(0); n < 3000; n += 150 {
			t.Run(fmt.Sprintf("%s after %d bytes", name, n), func(t *testing.T) {
				t.Parallel()
				r := newRelay(t, how)
				r.address = cutting{through: bytesOf(n)}.between(t, r.address)
				err := r.client(t, how).SendMail(t.Context(), linkMessage())
				if err == nil && len(r.got) == 0 || errors.Is(err, feed.ErrPermanent) {
					t.Errorf("it is %v, and %d came", err, len(r.got))
				}
				silent(t, err)
			})
		}
	}
	t.Run("by its own context", func(t *testing.T) {
		t.Parallel()
		r := newRelay(t, plain)
		r.address = cutting{through: replies(3), hang: true}.between(t, r.address)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.client(t, plain).SendMail(ctx, linkMessage()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it is %v", err)
		}
	})
}

func TestSMTPTakesNoAddressThatIsMore(t *testing.T) {
	t.Parallel()
	r := newRelay(t, startTLS)
	s := r.client(t, startTLS)
	for _, address := range []string{
		"", "ada", "@campus.example", "ada@", to + "\r\nBcc: eve@evil.example", to + "\nRCPT TO:<eve@evil.example>", "\r\n" + to, to + "\r\n", to + "\x00",
		"Ada <" + to + ">", "<" + to + ">", to + ", eve@evil.example", to + " (Ada)", "ada @campus.example", "\"ada\r\n\"@campus.example", "阿达@campus.example",
		"ada@campus.example>\r\nDATA", " " + to, "undisclosed: " + to + ";",
	} {
		m := linkMessage()
		m.To = address
		err := s.SendMail(t.Context(), m)
		if !errors.Is(err, feed.ErrPermanent) || err.Error() != "mail: the address is none: "+feed.ErrPermanent.Error() {
			t.Errorf("%q: it is %v", address, err)
		}
	}
	if len(r.got) > 0 {
		t.Errorf("%d came", len(r.got))
	}

	t.Log("and nothing else of a message becomes a header, either")
	m := linkMessage()
	m.Subject, m.ID = "a\r\nBcc: eve@evil.example\r\n\r\nbody", "1\r\nBcc: eve@evil.example"
	if err := s.SendMail(t.Context(), m); err != nil {
		silent(t, err)
		return
	}
	got := <-r.got
	read, err := mail.ReadMessage(strings.NewReader(got.data))
	if err != nil || read.Header.Get("Bcc") != "" || got.to != to {
		t.Errorf("it went to %s: %v\n%s", got.to, err, got.data)
	}
}

func TestNewSMTP(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]SMTP{
		"smtp://relay":                     {host: "relay", port: 587, security: startTLS},
		"smtp://relay:2525/":               {host: "relay", port: 2525, security: startTLS},
		"smtps://relay":                    {host: "relay", port: 465, security: implicitTLS},
		"smtp://relay?tls=none":            {host: "relay", port: 25, security: plain},
		"smtp://[::1]:1?tls=none":          {host: "::1", port: 1, security: plain},
		"smtps://a%40b:p%3A%2F%40@relay:7": {host: "relay", port: 7, security: implicitTLS, user: "a@b", password: "p:/@"},
	} {
		got, err := NewSMTP(address, "FOOF <a@b>")
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got.host != want.host || got.port != want.port || got.security != want.security || got.user != want.user || got.password != want.password {
			t.Errorf("%s is %+v", address, got)
		}
	}
	for _, address := range []string{
		"", "relay", "relay:587", "http://relay", "smtp:relay", "smtp://", "smtp://:25", "smtp://relay:0", "smtp://relay:65536", "smtp://relay:x", "smtp://relay/path",
		"smtp://relay?tls=no", "smtp://relay?tls=none&x=y", "smtps://relay?tls=none", "smtp://user:hunter2@relay?tls=none", "smtp://user@relay?tls=none",
		"smtp://user:hunter2@relay#x", "smtp://user:hunter2%@relay", "smtp://relay?", "%zz",
	} {
		if address == "smtp://relay?" { // says nothing, which is as good as not there
			continue
		}
		s, err := NewSMTP(address, "a@b")
		if err == nil {
			t.Errorf("%q is %+v", address, s)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	for _, address := range []string{"", "FOOF", "a@", "a@b, c@d", "a@b\r\nBcc: c@d"} {
		if _, err := NewSMTP("smtp://relay", address); err == nil {
			t.Errorf("mail may come from %q", address)
		}
	}
}
