package mail

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// relay is a real SMTP server.
type relay struct {
	address string // host and port
	trust   *x509.CertPool
	got     chan received

	mu     sync.Mutex
	refuse map[string]error // by stage
}

// received is a mail as the server gets it.
type received struct {
	from, to string
	tls      bool
	user     string
	data     string
}

// newRelay starts a server until the test ends: with TLS from the beginning, or on demand, or without.
func newRelay(t *testing.T, how security, change ...func(*smtp.Server)) *relay {
	t.Helper()
	certificate, trust := selfMade(t, "127.0.0.1")
	r := &relay{trust: trust, got: make(chan received, 100), refuse: map[string]error{}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		if err := r.refusal("connect"); err != nil {
			return nil, err
		}
		return &session{relay: r, conn: c}, nil
	}))
	server.Domain, server.ErrorLog = "relay.example", slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	switch how {
	case startTLS:
		server.TLSConfig = config
	case implicitTLS:
		listener = tls.NewListener(listener, config)
	case plain:
		server.AllowInsecureAuth = true
	}
	for _, f := range change {
		f(server)
	}
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

// selfMade is a certificate of its own for a host, and who trusts it.
func selfMade(t *testing.T, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, trust
}

func (r *relay) refusal(stage string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refuse[stage]
}

func (r *relay) refuses(stage string, code int) *relay {
	r.mu.Lock()
	defer r.mu.Unlock()
	if code == 0 {
		delete(r.refuse, stage)
		return r
	}
	// In words that repeat what was sent, as many do.
	r.refuse[stage] = &smtp.SMTPError{
		Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: fmt.Sprintf("<%s> %s %s: no", to, password, link),
	}
	return r
}

// session is one connection to the server.
type session struct {
	relay *relay
	conn  *smtp.Conn
	mail  received
	user  string
}

func (*session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if err := s.relay.refusal("auth"); err != nil {
		return nil, err
	}
	check := func(user, given string) error {
		if user != sender || given != password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}
	if mechanism == sasl.Login {
		return &login{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, given string) error { return check(user, given) }), nil
}

// login is AUTH LOGIN: it asks for a name and then for a password.
type login struct {
	check func(user, given string) error
	asked int
	user  string
}

func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.asked++
	}
	switch l.asked {
	case 0:
		return []byte("Username:"), false, nil
	case 1:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, encrypted := s.conn.TLSConnectionState()
	s.mail = received{from: from, tls: encrypted, user: s.user}
	return s.relay.refusal("mail")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to += to
	return s.relay.refusal("rcpt")
}

func (s *session) Data(r io.Reader) error {
	if err := s.relay.refusal("data"); err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.relay.refusal("end"); err != nil {
		return err
	}
	s.mail.data = string(data)
	s.relay.got <- s.mail
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

// cutting passes connections on to a server until some of what that says has come through; then it hangs, or hangs up.
type cutting struct {
	through func(said *bufio.Reader, to io.Writer) error // what is passed on, until it returns
	hang    bool
}

// replies passes that many replies on.
func replies(n int) func(*bufio.Reader, io.Writer) error {
	return func(said *bufio.Reader, to io.Writer) error {
		for n := n; n > 0; {
			line, err := said.ReadString('\n')
			if err != nil {
				return err
			}
			if _, err := io.WriteString(to, line); err != nil {
				return err
			}
			if len(line) > 3 && line[3] == ' ' { // the last line of a reply
				n--
			}
		}
		return nil
	}
}

// bytesOf passes that many bytes on.
func bytesOf(n int64) func(*bufio.Reader, io.Writer) error {
	return func(said *bufio.Reader, to io.Writer) error {
		_, err := io.CopyN(to, said, n)
		return err
	}
}

// between starts it before a server, and gives its address.
func (c cutting) between(t *testing.T, server string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	over := make(chan struct{})
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer client.Close()
				upstream, err := net.Dial("tcp", server) //nolint:noctx // on this machine
				if err != nil {
					return
				}
				defer upstream.Close()
				go func() { _, _ = io.Copy(upstream, client) }() // ends with the two
				if err := c.through(bufio.NewReader(upstream), client); err == nil && c.hang {
					<-over
				}
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// talkative is a server that is none of SMTP, and says what it was sent.
func talkative(t *testing.T, greeting string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, greeting)
				buffer := make([]byte, 4096)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					_, _ = conn.Write(bytes.ToUpper(buffer[:n]))
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}
