package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"mime/quotedprintable"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"foof/internal/pgtest"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// relay is a real SMTP server that wants TLS and a password.
type relay struct {
	address, certificate string // the latter a file
	mails                chan [2]string
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{certificate: filepath.Join(t.TempDir(), "relay.pem"), mails: make(chan [2]string, 10)}
	if err := os.WriteFile(r.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &relayed{relay: r}, nil }))
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// relayed is a connection to the server.
type relayed struct {
	relay *relay
	known bool
	to    string
}

func (*relayed) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *relayed) Auth(string) (sasl.Server, error) { //nolint:unparam // the interface has it
	return sasl.NewPlainServer(func(_, user, password string) error {
		if s.known = user == "foof" && password == hiddenRelay; !s.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *relayed) Mail(string, *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *relayed) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + "> is unknown here"}
	}
	return nil
}

func (s *relayed) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.relay.mails <- [2]string{s.to, string(data)}
	return nil
}

func (*relayed) Reset()        {}
func (*relayed) Logout() error { return nil }

// TestServeSendsMail goes the way of a link with the program in production, over STARTTLS.
func TestServeSendsMail(t *testing.T) {
	t.Parallel()
	r, sent := newRelay(t), newProvider(t)
	dsn := pgtest.DSN(t)
	environment := rightEnvironment()
	maps.Copy(environment, rightMail())
	maps.Copy(environment, map[string]string{
		"DATABASE_URL": dsn, "FOOF_ADDR": "127.0.0.1:0", "FOOF_SMS_WEBHOOK": sent.URL,
		"FOOF_SMTP_URL": "smtp://foof:" + hiddenRelay + "@" + r.address, "SSL_CERT_FILE": r.certificate,
	})
	p := foof(t, environment, "serve")
	s := &service{url: "http://" + p.err.await(t, `"msg":"serving","addr":"`, `"`), client: &http.Client{Timeout: time.Minute}, db: owner(t, dsn)}
	number := newNumber()
	s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
	s.tryCode(t, number, sent.next(t).code()).succeeded(t)
	ada := &person{service: s, number: number, password: "correct-horse"}
	ada.login(t)

	ada.askLink(t, "nobody@campus.example").succeeded(t) // whom the relay does not know
	ada.askLink(t, "ada@campus.example").succeeded(t)
	var mailed [2]string
	select {
	case mailed = <-r.mails:
	case <-patience(t).Done():
		t.Fatal("no mail came")
	}
	if mailed[0] != "ada@campus.example" {
		t.Errorf("it went to %s", mailed[0])
	}
	_, body, _ := strings.Cut(mailed[1], "\r\n\r\n")
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // the lines between the parts are in no encoding
		t.Log(err)
	}
	link := regexp.MustCompile(`https://foof\.example/user/mail/verify/[A-Z2-7]+`).FindString(string(text))
	s.follow(t, link).succeeded(t)
	ada.verified(t, 1)

	gaveUp := func() reactorState { return states(t, dsn)["mail"] }
	until(t, "the other one is poisoned", func() bool { return len(gaveUp().Poisoned) == 1 })
	told := gaveUp().Poisoned[0]
	if told.Type != "user.mail_requested" || told.Attempts != 1 || told.Error != "mail: sending SMTP RCPT TO command: the relay answered 550 5.1.1: trying again is of no use" {
		t.Errorf("poisoned is %+v", told)
	}
	if _, _, err := ran(t, "reactors", "discard", "mail", "--all", "--database-url", dsn); err != nil {
		t.Error(err)
	}
	verifyLog(t, s.db)
	if code := p.interrupt(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	for what, hidden := range map[string]string{
		"the relay's password": hiddenRelay, "an address": "ada@", "another address": "nobody", "a token": link[len(link)-26:], "a phone number": number,
	} {
		if log := p.err.String(); strings.Contains(log, hidden) {
			t.Errorf("the log has %s in it:\n%s", what, log)
		}
	}
	if n := strings.Count(p.err.String(), `"msg":"event poisoned"`); n != 1 {
		t.Errorf("%d lines say that something was poisoned", n)
	}
}
