package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"net"
	"net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"foof/internal/feed"

	gomail "github.com/wneessen/go-mail"
)

// SMTP sends mail through a relay. It is safe for concurrent use.
type SMTP struct {
	// Within is how long one message may take, from the connection to the relay's word that it has it.
	Within time.Duration
	// TLS may be changed before the first message. It demands TLS 1.2 and a certificate of the relay's host.
	TLS *tls.Config

	host, user, password string
	port                 int
	security             security
	from                 *mail.Address
}

type security int

const (
	startTLS security = iota // and nothing is sent without it
	implicitTLS
	plain
)

// NewSMTP makes a sender from a URL and the address that mail comes from, with or without a name. The URL is
//
//	smtp://user:password@host:587             a connection that must become TLS before anything else
//	smtps://user:password@host:465            TLS from the beginning
//	smtp://host:25?tls=none                   no TLS and no password, for a relay on the same machine or network
//
// where the ports shown are the defaults, and user and password, percent-encoded, may be left out. Errors tell nothing of it.
func NewSMTP(address, from string) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return nil, errors.New("not a URL like smtp://user:password@host:587 or smtps://user:password@host:465")
	}
	s := &SMTP{Within: 15 * time.Second, TLS: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}, host: u.Hostname()}
	s.user = u.User.Username()
	s.password, _ = u.User.Password()
	switch {
	case u.Scheme == "smtp" && u.RawQuery == "":
		s.security, s.port = startTLS, 587
	case u.Scheme == "smtps" && u.RawQuery == "":
		s.security, s.port = implicitTLS, 465
	case u.Scheme == "smtp" && u.RawQuery == "tls=none" && u.User == nil:
		s.security, s.port = plain, 25
	case u.Scheme == "smtp" && u.RawQuery == "tls=none":
		return nil, errors.New("a password is not sent without TLS")
	default:
		return nil, errors.New("must begin with smtp:// or smtps://, and have no option but tls=none after smtp://")
	}
	if port := u.Port(); port != "" {
		if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
			return nil, errors.New("the port is none")
		}
	}
	if s.from, err = mail.ParseAddress(from); err != nil {
		return nil, errors.New("the address that mail comes from is none")
	}
	return s, nil
}

// SendMail hands the message to the relay, over a connection of its own.
func (s *SMTP) SendMail(ctx context.Context, m Message) error {
	msg, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("%w: %w", err, feed.ErrPermanent)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Within)
	defer cancel()
	// The connection ends with ctx, whoever waits for what on it: at the latest when this returns.
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if s.security != implicitTLS {
			return conn, nil
		}
		encrypted := tls.Client(conn, s.TLS.Clone())
		if err := encrypted.HandshakeContext(dialing); err != nil {
			return nil, err
		}
		return encrypted, nil
	}
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(s.Within), gomail.WithTLSConfig(s.TLS.Clone()),
		gomail.WithDialContextFunc(dial), gomail.WithoutNoop(),
	}
	switch s.security {
	case startTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case implicitTLS:
		options = append(options, gomail.WithSSL())
	case plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.user != "" { // these are only ever used within TLS
		options = append(options, gomail.WithUsername(s.user), gomail.WithPassword(s.password),
			gomail.WithOpportunisticSMTPAuth(
				gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	// What goes wrong after the relay has taken the message, such as a goodbye, is nobody's loss.
	if err := client.DialAndSendWithContext(ctx, msg); err != nil && !msg.IsDelivered() {
		return describe(ctx, err)
	}
	return nil
}

func (s *SMTP) compose(m Message) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(m.To)
	if err != nil || to.Address != m.To || strings.ContainsFunc(m.To, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("mail: the address is none")
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(to)
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.ID + s.from.Address[strings.LastIndexByte(s.from.Address, '@'):])
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	msg.SetBodyString(gomail.TypeTextPlain, m.Body)
	msg.AddAlternativeString(gomail.TypeTextHTML, asHTML(m))
	return msg, nil
}

// asHTML is the body with the link in it made one.
func asHTML(m Message) string {
	body, link := html.EscapeString(m.Body), html.EscapeString(m.Link)
	if link != "" {
		body = strings.ReplaceAll(body, link, `<a href="`+link+`">`+link+`</a>`)
	}
	return "<!DOCTYPE html>\n<html><body><p>" + strings.ReplaceAll(strings.TrimSpace(body), "\n", "<br>\n") + "</p></body></html>\n"
}

// describe says what went wrong in our own words: the relay's may repeat what is in the message, or how we authenticated.
func describe(ctx context.Context, err error) error {
	doing, code, reason := "beginning", 0, ""
	if refused, ok := errors.AsType[*gomail.SendError](err); ok {
		doing, code, reason = refused.Reason.String(), refused.ErrorCode(), refused.EnhancedStatusCode()
	} else if refused, ok := errors.AsType[*textproto.Error](err); ok {
		code = refused.Code
	}
	switch {
	case code >= 500 && code <= 599:
		return fmt.Errorf("mail: %s: the relay answered %d %s: %w", doing, code, reason, feed.ErrPermanent)
	case code > 0:
		return fmt.Errorf("mail: %s: the relay answered %d %s", doing, code, reason)
	case ctx.Err() != nil:
		return fmt.Errorf("mail: %s: %w", doing, ctx.Err())
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("mail: %s: %w", doing, untrusted)
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("mail: %s: %w", doing, network)
	}
	return fmt.Errorf("mail: %s: the relay hung up, or does not offer the TLS and AUTH that are needed", doing)
}
