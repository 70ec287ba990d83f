//go:build deploy

// These tests put a real nginx, with the configuration of deploy/nginx as it stands, before real processes of foof serve. nginx is
// nothing that Go could fetch, so that they stand apart: go test ./... works on a machine with nothing but Go, and .ci/run, which
// installs nginx, runs these with -tags deploy.

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"foof/internal/pgtest"
)

// deployment is foof as it runs in production: two processes behind nginx.
type deployment struct {
	*service // by way of nginx; and, for /dev/outbox alone, of the test

	processes []*program
	direct    []string // their own addresses
	nginx     string   // its address
}

// texts are the text messages that the webhook was given, as foof dev shows them.
type texts struct {
	mu  sync.Mutex
	all []map[string]string
}

func (o *texts) take(r *http.Request) {
	var sent struct {
		To   string `json:"to"`
		Body string `json:"body"`
	}
	_ = json.NewDecoder(r.Body).Decode(&sent)
	o.mu.Lock()
	defer o.mu.Unlock()
	code := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, sent.Body)
	o.all = append([]map[string]string{{"to": sent.To, "code": code[:min(6, len(code))]}}, o.all...)
}

func (o *texts) to(number string) []map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := []map[string]string{}
	for _, text := range o.all {
		if text["to"] == number {
			found = append(found, text)
		}
	}
	return found
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	outbox := &texts{}
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { outbox.take(r) }))
	t.Cleanup(webhook.Close)

	dsn := pgtest.DSN(t)
	environment := rightEnvironment()
	maps.Copy(environment, map[string]string{
		"DATABASE_URL": dsn, "FOOF_ADDR": "127.0.0.1:0", "FOOF_ADMIN_ADDR": "127.0.0.1:0", "FOOF_SMS_WEBHOOK": webhook.URL,
		"FOOF_TRUSTED_PROXIES": "127.0.0.1", "FOOF_IMAGES": t.TempDir(), "FOOF_REQUEST_TIMEOUT": "25s",
	})
	d := &deployment{}
	for range 2 {
		p := foof(t, environment, "serve")
		d.processes = append(d.processes, p)
		d.direct = append(d.direct, p.err.await(t, `"msg":"serving","addr":"`, `"`))
	}
	d.nginx = startNginx(t, d.direct)

	// What foof dev has and production has not is between the client and nginx.
	front := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.nginx})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/dev/outbox" {
			front.ServeHTTP(w, r)
			return
		}
		number := r.URL.Query().Get("to")
		until(t, "the code has come", func() bool { return len(outbox.to(number)) > 0 })
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("X-Request-ID", r.Header.Get("X-Request-ID"))
		_ = json.NewEncoder(w).Encode(outbox.to(number))
	}))
	t.Cleanup(server.Close)
	d.service = &service{url: server.URL, client: &http.Client{Timeout: time.Minute}, db: owner(t, dsn)}
	return d
}

// at is the same service without the outbox, at some address.
func (d *deployment) at(address string) *service {
	other := *d.service
	other.url = "http://" + address
	return &other
}

// startNginx runs nginx until the test ends, and gives its address.
func startNginx(t *testing.T, upstreams []string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not in the PATH of everybody
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()

	dir := t.TempDir()
	text, err := os.ReadFile("../../deploy/nginx/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("../../deploy/nginx/foof-upstream.conf")
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(template), "server 127.0.0.1:8081 ")
	options, after, ended := strings.Cut(after, ";")
	if !found || !ended {
		t.Fatalf("there is no server in %s", template)
	}
	for _, upstream := range upstreams {
		before += "server " + upstream + " " + options + ";\n"
	}
	for name, content := range map[string]string{
		"nginx.conf": string(text), "foof-listen.conf": "listen " + address + ";", "foof-upstream.conf": before + after,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-c", filepath.Join(dir, "nginx.conf"), "-p", dir + "/"}
	if os.Geteuid() == 0 {
		args = append(args, "-g", "user root;") // the folder is ours alone
	}
	said := newTranscript()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Stdout, command.Stderr = said, said
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	if err := command.Start(); err != nil {
		t.Fatalf("%v: is nginx installed?", err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("nginx said:\n%s", said)
		}
	})
	until(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address) //nolint:noctx // on this machine
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return address
}

func TestDeployed(t *testing.T) { //nolint:tparallel // one after the other, on one deployment
	t.Parallel()
	d := deploy(t)
	walkReadme(t, d.url) // first, as it counts items from 1
	p := d.register(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *deployment, *person)
	}{
		{"what is served, and to whom", testDeployedRoutes},
		{"bodies have bounds", testDeployedBounds},
		{"who asks is known", testDeployedClients},
		{"answers are compressed", testDeployedGzip},
		{"images are kept", testDeployedImages},
		{"messages come at once", testDeployedStream},
		{"nothing secret is in the log", testDeployedSilence},
		{"a process that ends is not missed, and if all do nginx says so", testDeployedOutage}, // and so the last
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, d, p) })
	}
}

func testDeployedRoutes(t *testing.T, d *deployment, p *person) {
	t.Helper()
	s := d.at(d.nginx)
	q := *p
	q.service = s
	id := q.add(t, powerBank())
	q.showing(t, id, powerBank().with("price", 299.9))
	for _, path := range []string{"/nothing", "/metrics", "/%6detrics", "//metrics", "/readyz", "/debug/pprof/"} {
		s.get(t, path).refused(t, http.StatusNotFound, "not found")
	}
	s.get(t, "/item/trade").refused(t, http.StatusMethodNotAllowed, "method not allowed")
	trace := s.do(t, s.request(t.Context(), http.MethodTrace, "/item/1", "", http.NoBody))
	trace.refused(t, http.StatusMethodNotAllowed, "method not allowed")
	if trace.header.Get("Allow") == "" {
		t.Error("nginx does not say what is allowed")
	}
	s.post(t, "/user/me", fields{"token": "x"}).forbidden(t)
	s.get(t, "/item/x").invalid(t, "itemid")
	a := s.get(t, "/item/999999")
	a.none(t)
	if server := a.header.Get("Server"); server != "nginx" {
		t.Errorf("Server: %s", server)
	}
	for name, request := range map[string]string{
		"no HTTP":         "HELLO\r\n\r\n",
		"a bad host":      "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		"a large header":  "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n",
		"a path too long": "GET /" + strings.Repeat("x", 20_000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		if a := raw(t, d.nginx, request); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		} else {
			a.json(t)
		}
	}
}

// raw sends a request as it stands, and reads the answer to it.
func raw(t *testing.T, address, request string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", address) //nolint:noctx // on this machine
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body), request[:min(20, len(request))]}
}

func testDeployedBounds(t *testing.T, d *deployment, p *person) {
	t.Helper()
	body := func(size int) *bytes.Reader {
		text := "token=" + p.token + "&a=" + strings.Repeat("a", 500_000) + "&b=" + strings.Repeat("b", 500_000) + "&c="
		return bytes.NewReader([]byte(text + strings.Repeat("c", size-len(text))))
	}
	for name, s := range map[string]*service{"nginx": d.at(d.nginx), "foof": d.at(d.direct[0])} {
		if a := s.postRaw(t, "/user/me", string(urlEncoded), body(1<<20)); a.status != http.StatusOK {
			t.Errorf("1 MiB, to %s: %d %s", name, a.status, a.body)
		}
		s.postRaw(t, "/user/me", string(urlEncoded), body(1<<20+1)).tooLarge(t)
		s.postRaw(t, "/user/me", string(urlEncoded), io.MultiReader(body(1<<20+1))).tooLarge(t) // chunked
	}
	// It is answered without waiting for the rest.
	raw(t, d.nginx, "POST /user/me HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\na").tooLarge(t)
}

func testDeployedClients(t *testing.T, d *deployment, _ *person) {
	t.Helper()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	s := d.at(d.nginx)
	s.client = &http.Client{Transport: &http.Transport{DialContext: from.DialContext}}
	defer s.client.CloseIdleConnections()
	r := s.request(t.Context(), http.MethodGet, "/item/1", "", http.NoBody)
	r.Header.Set("X-Forwarded-For", "192.0.2.66") // a lie
	r.Header.Set("X-Request-ID", "who-asks")
	s.do(t, r)
	until(t, "the service has logged it", func() bool { return d.logged(`"request":"who-asks"`) != "" })
	if line := d.logged(`"request":"who-asks"`); !strings.Contains(line, `"client":"127.0.0.2"`) {
		t.Errorf("the service takes the client for another: %s", line)
	}
}

// logged is the line of a process's log that has this in it.
func (d *deployment) logged(text string) string {
	for _, p := range d.processes {
		for line := range strings.Lines(p.err.String()) {
			if strings.Contains(line, text) {
				return line
			}
		}
	}
	return ""
}

func testDeployedGzip(t *testing.T, d *deployment, p *person) {
	t.Helper()
	q := *p
	q.service = d.at(d.nginx)
	id := q.add(t, powerBank().with("note", strings.Repeat("一块钱四个", 1000)))
	r := q.request(t.Context(), http.MethodGet, fmt.Sprintf("/item/%d", id), "", http.NoBody)
	r.Header.Set("Accept-Encoding", "gzip")
	a, err := q.try(r)
	if err != nil || a.header.Get("Content-Encoding") != "gzip" || len(a.body) > 2000 {
		t.Fatalf("%v, %d bytes, %v", err, len(a.body), a.header)
	}
	plain, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil || !strings.Contains(string(text), "一块钱四个") {
		t.Errorf("%v in %s", err, text)
	}
}

// testDeployedImages uploads an image and asks for it in each spelling.
func testDeployedImages(t *testing.T, d *deployment, p *person) {
	t.Helper()
	s := d.at(d.nginx)
	picture := image.NewRGBA(image.Rect(0, 0, 300, 300))
	for i := range picture.Pix {
		picture.Pix[i] = byte(rand.N(256))
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField("token", p.token)
	part, _ := w.CreateFormFile("file0", "noise.png")
	_ = png.Encode(part, picture)
	_ = w.Close()
	uploaded := s.postRaw(t, "/item/image", w.FormDataContentType(), &body)
	var stored struct {
		ImgURL []string `json:"imgurl"`
	}
	if err := json.Unmarshal([]byte(uploaded.body), &stored); err != nil || len(stored.ImgURL) != 1 {
		t.Fatalf("%v in %s", err, uploaded.body)
	}
	path := "/" + stored.ImgURL[0]
	originals := map[string]string{}
	for _, spelled := range []string{path, strings.ReplaceAll(path, `\`, "/"), strings.ReplaceAll(path, `\`, "%5C"), strings.ReplaceAll(path, `\`, "%5c")} {
		for _, query := range []string{"", "?w=200"} {
			for _, cached := range []string{"MISS", "HIT"} {
				a := raw(t, d.nginx, "GET "+spelled+query+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-ID: "+cached+"\r\n\r\n")
				if a.status != http.StatusOK || a.header.Get("X-Cache") != cached || a.header.Get("X-Request-ID") != cached {
					t.Errorf("%s: %d from the cache: %s, %v", a.asked, a.status, a.header.Get("X-Cache"), a.header)
				}
				if kind := a.header.Get("Content-Type"); kind != "image/png" && query == "" || !strings.HasPrefix(kind, "image/") {
					t.Errorf("%s is %s", a.asked, kind)
				}
				if !strings.Contains(a.header.Get("Cache-Control"), "immutable") || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("ETag") == "" {
					t.Errorf("%s: %v", a.asked, a.header)
				}
				if before, ok := originals[query]; ok && before != a.body {
					t.Errorf("%s%s is another image than in other spellings", spelled, query)
				}
				originals[query] = a.body
			}
		}
	}
	if len(originals["?w=200"]) >= len(originals[""]) {
		t.Error("the thumbnail is no smaller than the image")
	}
	// Other queries make no other image, and a bad path is not kept.
	if a := raw(t, d.nginx, "GET "+path+"?W=200&x=y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); a.header.Get("X-Cache") != "HIT" || a.body != originals[""] {
		t.Errorf("with a query that means nothing: %d, from the cache: %s", a.status, a.header.Get("X-Cache"))
	}
	for range 2 {
		if a := s.get(t, "/image/item/0.1.jpg"); a.status != http.StatusNotFound || a.header.Get("X-Cache") != "MISS" {
			t.Errorf("what there is not: %d, from the cache: %s", a.status, a.header.Get("X-Cache"))
		}
	}
}

// testDeployedStream listens, and has a message come while the answer goes on.
func testDeployedStream(t *testing.T, d *deployment, p *person) {
	t.Helper()
	s := d.at(d.nginx)
	r := s.request(patience(t), http.MethodGet, "/user/chat/stream", "", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+p.token)
	response, err := (&http.Client{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("%d %s", response.StatusCode, kind)
	}
	sender := d.register(t)
	for i := range 3 { // one after the other: each has come before the next is sent
		text := fmt.Sprintf("message %d", i)
		sender.post(t, "/user/chat/push", fields{"to": p.id, "data": text}).succeeded(t)
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() && !strings.Contains(lines.Text(), text) {
			continue
		}
		if !strings.Contains(lines.Text(), text) {
			t.Fatalf("%s has not come: %v", text, lines.Err())
		}
	}
}

func testDeployedSilence(t *testing.T, d *deployment, p *person) {
	t.Helper()
	s := d.at(d.nginx)
	s.get(t, "/user/chat/"+p.token+"?token="+p.token)
	for _, process := range d.processes {
		if log := process.err.String(); strings.Contains(log, p.token) || strings.Contains(log, p.number) {
			t.Error("a log has a token or a phone number in it")
		}
	}
}

func testDeployedOutage(t *testing.T, d *deployment, _ *person) {
	t.Helper()
	s := d.at(d.nginx)
	if code := d.processes[0].interrupt(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for range 20 {
		s.get(t, "/item/1").number(t, "itemid")
		s.post(t, "/user/published", fields{"uuid": 1}).json(t)
	}
	d.processes[1].interrupt(t, syscall.SIGTERM)
	s.down = true
	s.get(t, "/item/1").isDown(t)
	s.post(t, "/user/published", fields{"uuid": 1}).isDown(t)
}

// TestComposesNginxUnderstandsItsConfiguration checks the one file that differs there.
func TestComposesNginxUnderstandsItsConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for from, to := range map[string]string{
		"nginx.conf": "nginx.conf", "foof-listen.conf": "foof-listen.conf", "foof-upstream.compose.conf": "foof-upstream.conf",
	} {
		text, err := os.ReadFile("../../deploy/nginx/" + from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	out, err := exec.CommandContext(t.Context(), program, "-t", "-c", filepath.Join(dir, "nginx.conf"), "-p", dir+"/").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "test is successful") {
		t.Errorf("%v: %s", err, out)
	}
}
