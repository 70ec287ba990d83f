package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"foof/internal/localpg"
)

// dev starts foof dev on a data folder and waits until it is up.
func dev(t *testing.T, data string) (*program, *service) {
	t.Helper()
	began := time.Now()
	p := foof(t, nil, "dev", "--addr", "127.0.0.1:0", "--data", data)
	s := &service{url: p.out.await(t, "FOOF is up at ", " "), client: &http.Client{Timeout: time.Minute}}
	t.Logf("dev is up after %s", time.Since(began).Round(time.Millisecond))
	return p, s
}

// dataFolder is a folder that every user may pass through, as PostgreSQL's must.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "foof-dev-test-") //nolint:usetesting // t.TempDir lets nobody but us in
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	t.Cleanup(func() {
		if err := localpg.Remove(context.Background(), filepath.Join(data, "postgres")); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return data
}

// inhabitants are the processes that work in a folder, where the system tells.
func inhabitants(folder string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, folder) {
			found = append(found, strings.Split(link, "/")[2])
		}
	}
	return found
}

func TestDev(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	first, s := dev(t, data)
	ann := s.register(t)
	id := ann.add(t, powerBank().with("price", 1))

	t.Log("a second one on the same data is refused")
	second := foof(t, nil, "dev", "--addr", "127.0.0.1:0", "--data", data)
	if code := second.code(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if said := second.err.String(); !strings.Contains(said, "another foof dev runs on "+data) || !strings.Contains(said, "--data") {
		t.Errorf("it said %q", said)
	}
	third := foof(t, nil, "dev", "--addr", strings.TrimPrefix(s.url, "http://"), "--data", data+"2")
	if code := third.code(t); code != 1 || !strings.Contains(third.err.String(), "cannot listen on") || !strings.Contains(third.err.String(), "--addr") {
		t.Errorf("on the same address: exit code %d, %s", code, third.err)
	}
	ann.showing(t, id, powerBank().with("price", 1))

	t.Log("Ctrl-C stops all of it")
	if len(inhabitants(data)) == 0 {
		t.Log("this system does not tell who works in a folder")
	}
	if code := first.interrupt(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if left := inhabitants(data); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}

	t.Log("it starts again with what it had")
	fourth, s := dev(t, data)
	ann = ann.via(s)
	ann.showing(t, id, powerBank().with("price", 1))
	ann.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(ann), "status", "success")) // with the token of before
	ann.login(t)
	bob := s.register(t)
	bob.trade(t, id).succeeded(t)

	t.Log("killed under load, it starts again, and nothing that was acknowledged is lost")
	acknowledged := underLoad(t, ann, 25, func() { fourth.interrupt(t, syscall.SIGKILL) })
	fifth, s := dev(t, data)
	ann = ann.via(s)
	for id, title := range acknowledged {
		if got := s.item(t, id).text(t, "title"); got != title {
			t.Errorf("item %d is %q, want %q", id, got, title)
		}
	}
	if to := s.item(t, id).number(t, "to"); to != bob.id {
		t.Errorf("the item went to %d, want %d", to, bob.id)
	}
	ann.add(t, powerBank())
	s.register(t)
	t.Logf("%d acknowledged before the kill", len(acknowledged))
	if code := fifth.interrupt(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if left := inhabitants(data); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// underLoad publishes from several sides, does something in the middle of it, and gives what was acknowledged.
func underLoad(t *testing.T, p *person, enough int64, then func()) map[int64]string {
	t.Helper()
	var (
		mu    sync.Mutex
		known = map[int64]string{}
		done  atomic.Int64
		over  = make(chan struct{})
		all   sync.WaitGroup
	)
	for range 4 {
		all.Go(func() {
			for {
				title := "under load " + newNumber()
				contentType, body := urlEncoded.encode(powerBank().with("title", title).with("token", p.token))
				a, err := p.try(p.request(t.Context(), http.MethodPost, "/item/add", contentType, strings.NewReader(string(body))))
				if err != nil {
					return // it is gone
				}
				id := a.number(t, "itemid")
				mu.Lock()
				known[id] = title
				mu.Unlock()
				if done.Add(1) == enough {
					close(over)
				}
			}
		})
	}
	<-over
	then()
	all.Wait()
	return known
}

// TestDevSaysWhenItsPostgreSQLEnds kills the postmaster.
func TestDevSaysWhenItsPostgreSQLEnds(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	p, _ := dev(t, data)
	text, err := os.ReadFile(filepath.Join(data, "postgres", "pg", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	kill(t, pid)
	if code := p.code(t); code != 1 || !strings.Contains(p.err.String(), "PostgreSQL ended; its log is "+filepath.Join(data, "postgres", "postgres.log")) {
		t.Errorf("exit code %d: %s", code, p.err)
	}
	if left := inhabitants(data); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}
