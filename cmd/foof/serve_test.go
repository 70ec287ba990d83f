package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"foof/internal/pgtest"
)

func TestServeRefusesInWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"what is not configured": {nil, "DATABASE_URL is not set\nFOOF_JWT_SECRETS is not set\nFOOF_MASTER_KEY is not set"},
		"a database that was not migrated": {
			map[string]string{"DATABASE_URL": emptied(t)}, "the database is at migration 0 and this foof needs ",
		},
		"a database that is away": {map[string]string{"DATABASE_URL": "postgres://foof:" + hiddenPassword + "@127.0.0.1:1/foof"}, "connect to PostgreSQL"},
		"an address that is none": {map[string]string{"DATABASE_URL": pgtest.DSN(t), "FOOF_ADDR": "192.0.2.1:80"}, "cannot listen on 192.0.2.1:80"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{}
			if c.environment != nil {
				environment = rightEnvironment()
			}
			maps.Copy(environment, c.environment)
			p := foof(t, environment, "serve")
			if code := p.code(t); code != 1 || !strings.Contains(p.err.String(), c.want) || p.out.String() != "" {
				t.Errorf("exit code %d, want 1 and %q:\n%s", code, c.want, p.err)
			}
			if strings.Contains(p.err.String(), hiddenPassword) {
				t.Errorf("the database's password is in %s", p.err)
			}
			if strings.Contains(name, "migrated") && !strings.Contains(p.err.String(), "run foof migrate up") {
				t.Errorf("it does not name the command to run: %s", p.err)
			}
		})
	}
}

func TestServeRefusesAnotherMasterKey(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	start(t, over(dsn)).join(t)
	environment := rightEnvironment()
	environment["DATABASE_URL"] = dsn
	environment["FOOF_MASTER_KEY"] = strings.Repeat("ab", 32)
	p := foof(t, environment, "serve")
	if code := p.code(t); code != 1 || !strings.Contains(p.err.String(), "the master key is not the one that this database was written with") {
		t.Errorf("exit code %d: %s", code, p.err)
	}
}

// TestServe goes the whole way against the program in production: codes come by a webhook, and nothing that is secret or
// personal is in what it logs.
func TestServe(t *testing.T) {
	t.Parallel()
	codes := make(chan string, 1)
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		stamp, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Foof-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(hiddenWebhook))
		mac.Write([]byte(stamp + "." + string(body)))
		if hex.EncodeToString(mac.Sum(nil)) != signature {
			t.Errorf("the message is signed %q", r.Header.Get("Foof-Signature"))
		}
		var sent struct {
			To   string    `json:"to"`
			Body string    `json:"body"`
			At   time.Time `json:"at"`
		}
		if err := json.Unmarshal(body, &sent); err != nil || time.Since(sent.At).Abs() > time.Minute {
			t.Errorf("%v in %s", err, body)
		}
		codes <- sent.To + ":" + regexp.MustCompile(`[0-9]{6}`).FindString(sent.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(webhook.Close)

	dsn := pgtest.DSN(t)
	environment := rightEnvironment()
	environment["DATABASE_URL"], environment["FOOF_ADDR"], environment["FOOF_SMS_WEBHOOK"] = dsn, "127.0.0.1:0", webhook.URL
	p := foof(t, environment, "serve")
	s := &service{url: "http://" + p.err.await(t, `"msg":"serving","addr":"`, `"`), client: &http.Client{Timeout: time.Minute}, db: owner(t, dsn)}

	number := newNumber()
	s.post(t, "/user/requirecode", fields{"phonenumber": number}).succeeded(t)
	to, code, _ := strings.Cut(<-codes, ":")
	if to != number {
		t.Errorf("the code went to %s, want %s", to, number)
	}
	s.tryCode(t, number, code).succeeded(t)
	someone := &person{service: s, number: number, password: "correct-horse"}
	someone.login(t)
	someone.post(t, "/user/modify", fields{"idcard": "110101199003078515", "address": "宿舍楼 7 号"}).succeeded(t)
	id := someone.add(t, powerBank().with("price", 299.9))
	someone.showing(t, id, powerBank().with("price", 299.9))
	s.get(t, "/dev/outbox").refused(t, http.StatusNotFound, "not found")
	s.post(t, "/user/me", fields{"token": "x"}).forbidden(t)
	s.get(t, "/user/9"+code+"?token="+someone.token).none(t) // what should not be in a URL may be
	verifyLog(t, s.db)

	if code := p.interrupt(t, syscall.SIGTERM); code != 0 || p.out.String() != "" {
		t.Errorf("exit code %d after SIGTERM, and printed %q", code, p.out)
	}
	log := p.err.String()
	database, _ := url.Parse(dsn)
	password, _ := database.User.Password()
	for what, hidden := range map[string]string{
		"the token secret": testSecret, "the master key": testMaster, "the webhook's secret": hiddenWebhook, "the database's password": password,
		"a phone number": number, "a token": someone.token, "a password": someone.password, "an id card": "110101199003078515",
		"an address": "宿舍楼", "a signature": strings.Split(someone.token, ".")[2],
	} {
		if strings.Contains(log, hidden) {
			t.Errorf("the log has %s in it:\n%s", what, log)
		}
	}
	if regexp.MustCompile(`[^0-9]9?` + code + `[^0-9]`).MatchString(log) { // not as a part of some time
		t.Errorf("the log has a code in it:\n%s", log)
	}
	for line := range strings.Lines(log) {
		entry, err := literally(strings.TrimSpace(line))
		if level := entry.(object)["level"]; err != nil || level != "INFO" {
			t.Errorf("%v: %s", err, line)
		}
	}
}
