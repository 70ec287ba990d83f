package main

import (
	"bufio"
	"bytes"
	"fmt"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"foof/internal/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dial opens a connection to the service.
func (s *service) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")) //nolint:noctx // on this machine
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// raw sends text over a connection of its own and reads what is answered.
func (s *service) raw(t testing.TB, text string) (*http.Response, []byte) {
	t.Helper()
	conn := s.dial(t)
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return answered(t, conn)
}

func answered(t testing.TB, conn net.Conn) (*http.Response, []byte) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, body
}

// asRaw is a POST as it goes over the wire.
func asRaw(path, contentType string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, contentType, len(body), body)
}

// TestAnUploadThatIsCutLeavesNothing cuts one after each of its bytes: some clients then wait for an answer, others are gone.
func TestAnUploadThatIsCutLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.join(t)
	picture := asPNG(plate(3, 3, red))
	contentType, body := form(fields{"token": p.token}, file{"a", "a.png", "image/png", picture}, file{"b", "b.png", "image/png", picture})
	for _, path := range []string{"/item/image", "/user/avatar"} {
		request := asRaw(path, contentType, body)
		before := s.head(t)
		for cut := range request {
			conn := s.dial(t)
			if _, err := conn.Write(request[:cut]); err != nil {
				t.Fatal(err)
			}
			if cut < len(request)-len(body) || cut%2 == 0 {
				_ = conn.SetLinger(0) // it is gone, without a word
				_ = conn.Close()
				continue
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			//nolint:bodyclose // it was read
			if response, text := answered(t, conn); response.StatusCode != http.StatusBadRequest || !bytes.Contains(text, []byte(`"body: `)) {
				t.Errorf("%s, cut after %d of %d bytes: %d %s", path, cut, len(request), response.StatusCode, text)
			}
			_ = conn.Close()
		}
		if after := s.head(t); after != before {
			t.Errorf("the log went from %d to %d", before, after)
		}
		t.Logf("%s: cut after each of %d bytes", path, len(request))
	}

	t.Log("whoever goes away after the last byte has uploaded it all, or nothing")
	contentType, body = form(fields{"token": p.token}, file{"a", "a.png", "image/png", picture})
	for i := range 40 {
		conn := s.dial(t)
		if _, err := conn.Write(asRaw([]string{"/item/image", "/user/avatar"}[i%2], contentType, body)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
	if err := s.stop(); err != nil { // when those in flight have ended
		t.Fatal(err)
	}
	referenced := wholePictures(t, s.db, s.app.config.Images)
	t.Logf("of 40 that went away after the last byte, %d are in the log", referenced)
	if s.down = true; t.Failed() {
		t.Logf("stored are %v", s.stored(t))
	}
}

// wholePictures checks that each path in the log has all its files, and that no file in the folder is there in part. It gives the
// number of paths in the log.
func wholePictures(t *testing.T, db *pgxpool.Pool, folder string) int {
	t.Helper()
	rows, err := db.Query(patience(t), `
		select jsonb_array_elements_text((data::jsonb) -> 'images') from events where type = 'image.uploaded'
		union all select data ->> 'avatarurl' from events where type = 'user.avatar_changed'`)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		place := filepath.Join(folder, strings.ReplaceAll(strings.TrimPrefix(path, `image\`), `\`, "/"))
		extension := filepath.Ext(place)
		for _, name := range []string{"", ".w200", ".w800"} {
			if _, err := os.Stat(strings.TrimSuffix(place, extension) + name + extension); err != nil {
				t.Errorf("%s is in the log: %v", path, err)
			}
		}
	}
	for _, album := range []string{"item", "avatar"} {
		found, err := os.ReadDir(filepath.Join(folder, album))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range found {
			data, err := os.ReadFile(filepath.Join(folder, album, entry.Name()))
			if err != nil {
				t.Error(err)
			}
			switch {
			case strings.HasSuffix(entry.Name(), ".jpg"):
				_, err = jpeg.Decode(bytes.NewReader(data))
			case !bytes.HasSuffix(data, []byte("IEND\xaeB`\x82")):
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				t.Errorf("%s is there in part: %v", entry.Name(), err)
			}
		}
	}
	return len(paths)
}

func TestAFolderThatFailsLeavesNothingReferenced(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.down = true
	p := s.join(t)
	picture := file{"a", "a.jpg", "", asJPEG(plate(300, 10, red))}
	for path, album := range map[string]string{"/item/image": "item", "/user/avatar": "avatar"} {
		if err := os.Remove(filepath.Join(s.app.config.Images, album)); err != nil {
			t.Fatal(err)
		}
		s.still(t, "a folder that is gone", func() { p.upload(t, path, picture).isDown(t) })
		if left := s.stored(t); len(left) > 0 {
			t.Errorf("stored are %v", left)
		}
	}
	s.get(t, "/image/item/0."+strings.Repeat("1", 39)+".jpg").refused(t, http.StatusNotFound, "not found")
}

// TestWhatIsTooLargeIsNotReadToItsEnd never sends the end.
func TestWhatIsTooLargeIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	contentType, body := form(fields{"token": p.token}, file{"a", "a.jpg", "", upload(bytes.Repeat([]byte("x"), 1<<20))})
	for _, path := range []string{"/item/image", "/user/avatar"} {
		head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\n"
		for name, sent := range map[string]string{
			"nothing of a terabyte":       head + "Content-Length: 1099511627776\r\n\r\n",
			"with a question beforehand":  head + "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n",
			"the beginning of a terabyte": head + "Content-Length: 1099511627776\r\n\r\n" + string(body[:10_000]),
			"a mebibyte in pieces, and another piece": head + "Transfer-Encoding: chunked\r\n\r\n" +
				fmt.Sprintf("%x\r\n%s\r\n", len(body), body) + "10\r\n",
		} {
			t.Run(name+" to "+path, func(t *testing.T) {
				t.Parallel()
				response, text := s.raw(t, sent) //nolint:bodyclose // it was read
				if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusRequestEntityTooLarge ||
					string(text) != "Request Entity Too Large" || kind != "text/plain; charset=utf-8" {
					t.Errorf("%d %s (%s)", response.StatusCode, text, kind)
				}
				if !response.Close {
					t.Error("the connection is kept, with the rest of the body in it")
				}
			})
		}
	}
}

// TestUploadsSurviveSIGKILL kills the program while it takes uploads, at a moment that is drawn, and starts it again.
func TestUploadsSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	first := start(t, over(dsn))
	p := first.join(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	drawn := rand.New(rand.NewPCG(seed, 0))
	environment := rightEnvironment()
	folder := filepath.Join(pictures, newNumber())
	environment["DATABASE_URL"], environment["FOOF_ADDR"], environment["FOOF_IMAGES"] = dsn, "127.0.0.1:0", folder
	environment["FOOF_REQUEST_TIMEOUT"] = "2m"
	serve := func() (*program, *service) {
		t.Helper()
		p := foof(t, environment, "serve")
		return p, &service{url: "http://" + p.err.await(t, `"msg":"serving","addr":"`, `"`), client: &http.Client{Timeout: time.Minute}, db: first.db}
	}
	var (
		mu    sync.Mutex
		known = map[string]color.RGBA{} // path → color
		shade atomic.Int32
	)
	for round := range 3 {
		program, s := serve()
		enough := 3 + drawn.IntN(15)
		over := make(chan struct{})
		var uploaded atomic.Int32
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for {
					c := color.RGBA{byte(shade.Add(20)), byte(40 * worker), 99, 255}
					contentType, body := form(fields{"token": p.token}, file{"a", "", "", asJPEG(plate(810, 40, c))}, file{"b", "", "", asJPEG(plate(210, 30, c))})
					path := []string{"/item/image", "/user/avatar"}[worker%2]
					if path == "/user/avatar" {
						contentType, body = form(fields{"token": p.token}, file{"a", "", "", asJPEG(plate(810, 40, c))})
					}
					a, err := s.try(s.request(t.Context(), http.MethodPost, path, contentType, bytes.NewReader(body)))
					if err != nil {
						return // it is gone
					}
					mu.Lock()
					for _, path := range a.paths(t) {
						known[path] = c
					}
					mu.Unlock()
					if int(uploaded.Add(1)) == enough {
						close(over)
					}
				}
			})
		}
		<-over
		program.interrupt(t, syscall.SIGKILL)
		all.Wait()
		unfinished, err := os.ReadDir(filepath.Join(folder, "new"))
		if err != nil {
			t.Fatal(err)
		}
		referenced := wholePictures(t, first.db, folder)
		t.Logf("round %d: killed after %d; %d paths are known, %d in the log, and %d files unfinished", round, enough, len(known), referenced, len(unfinished))

		program, s = serve()
		for path, c := range known {
			img := s.get(t, slashed(path))
			if width, err := jpeg.DecodeConfig(strings.NewReader(img.body)); err != nil {
				t.Errorf("%s: %v", path, err)
			} else {
				s.shows(t, slashed(path), "jpeg", width.Width, c)
			}
			s.shows(t, slashed(path)+"?w=200", "jpeg", 200, c)
		}
		for _, entry := range unfinished {
			for _, url := range []string{"/image/new/", "/image/item/", "/image/avatar/"} {
				s.get(t, url+entry.Name()).refused(t, http.StatusNotFound, "not found")
			}
		}
		if code := program.interrupt(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
	}
}

func TestManyUploadAtOnce(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	atOnce(20, func(i int) struct{} {
		c := color.RGBA{byte(10 * i), 50, 200, 255}
		paths := p.upload(t, "/item/image", file{"a", "", "", asJPEG(plate(500, 30, c))}, file{"b", "", "", asPNG(plate(900, 30, c))}).paths(t)
		s.shows(t, slashed(paths[0])+"?w=200", "jpeg", 200, c)
		s.shows(t, slashed(paths[1])+"?w=800", "png", 800, c)
		s.shows(t, slashed(p.upload(t, "/user/avatar", file{"a", "", "", asGIF(plate(50, 50, c))}).paths(t)[0]), "gif", 50, c)
		return struct{}{}
	})
}
