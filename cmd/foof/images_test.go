package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"foof/internal/s3test"
)

// plate is a picture of one color.
func plate(width, height int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

var (
	red   = color.RGBA{200, 30, 30, 255}
	green = color.RGBA{30, 180, 30, 255}
	blue  = color.RGBA{30, 30, 200, 255}
)

func asJPEG(img image.Image) upload {
	var b strings.Builder
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return upload(b.String())
}

func asPNG(img image.Image) upload {
	var b strings.Builder
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return upload(b.String())
}

func asGIF(img image.Image) upload {
	few := image.NewPaletted(img.Bounds(), color.Palette{img.At(0, 0), color.White})
	draw.Draw(few, few.Bounds(), img, image.Point{}, draw.Src)
	var b strings.Builder
	if err := gif.Encode(&b, few, nil); err != nil {
		panic(err)
	}
	return upload(b.String())
}

var aPicture = asPNG(plate(3, 2, red))

// file is one part of an upload.
type file struct {
	field, name, kind string
	data              upload
}

// form is a multipart body of fields and files, in this order.
func form(f fields, files ...file) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, v := range f {
		_ = w.WriteField(name, fmt.Sprint(v))
	}
	for _, file := range files {
		part, _ := w.CreatePart(map[string][]string{
			"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", file.field, file.name)}, "Content-Type": {file.kind},
		})
		_, _ = io.WriteString(part, string(file.data))
	}
	_ = w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// upload posts files.
func (p *person) upload(t testing.TB, path string, files ...file) answer {
	t.Helper()
	contentType, body := form(fields{"token": p.token}, files...)
	return p.postRaw(t, path, contentType, bytes.NewReader(body))
}

// paths are those that an upload was answered with.
func (a answer) paths(t testing.TB) []string {
	t.Helper()
	var body struct {
		Status string   `json:"status"`
		ImgURL []string `json:"imgurl"`
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || a.status != http.StatusOK || body.Status != "success" || len(body.ImgURL) == 0 {
		t.Errorf("%s: %d %s", a.asked, a.status, a.body)
	}
	return body.ImgURL
}

// shows wants what is served at a path to be a picture of this kind, width and color.
func (s *service) shows(t testing.TB, path, kind string, width int, c color.Color) answer {
	t.Helper()
	a := s.get(t, path)
	img, format, err := image.Decode(strings.NewReader(a.body))
	if err != nil || a.status != http.StatusOK || a.header.Get("Content-Type") != "image/"+kind || format != kind {
		t.Errorf("%s: %d, %s, %d bytes of %s: %v", path, a.status, a.header.Get("Content-Type"), len(a.body), format, err)
		return a
	}
	if img.Bounds().Dx() != width {
		t.Errorf("%s is %d pixels wide, want %d", path, img.Bounds().Dx(), width)
	}
	got, want := color.RGBAModel.Convert(img.At(width/2, 0)).(color.RGBA), color.RGBAModel.Convert(c).(color.RGBA)
	for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
		if max(d, -d) > 12 {
			t.Errorf("%s is %v, want %v", path, got, want)
			break
		}
	}
	return a
}

// slashed is a path as it is in a URL.
func slashed(path string) string { return "/" + strings.ReplaceAll(path, `\`, "/") }

// stored are the files that a service keeps, below its folder.
func (s *service) stored(t testing.TB) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.app.config.Images, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, s.app.config.Images+"/"))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

var pathForm = regexp.MustCompile(`^image\\(item|avatar)\\0\.[0-9]{39}\.(jpg|png|gif)$`)

func TestUploadingImages(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	a := p.upload(t, "/item/image",
		file{"照片", "a.txt", "text/plain", asJPEG(plate(1200, 30, red))},
		file{"x", "", "", asGIF(plate(1000, 20, blue))},
		file{"照片", "../../etc/passwd", "image/gif", asPNG(plate(900, 20, green))},
		file{"y", "b.svg", "image/svg+xml", asJPEG(plate(100, 20, blue))},
	)
	paths := a.paths(t)
	want := []struct {
		kind, small string
		width       int
		color       color.Color
	}{{"jpeg", "jpeg", 1200, red}, {"gif", "png", 1000, blue}, {"png", "png", 900, green}, {"jpeg", "jpeg", 100, blue}}
	if len(paths) != len(want) {
		t.Fatalf("there are %d paths for %d files", len(paths), len(want))
	}
	for i, path := range paths {
		if !pathForm.MatchString(path) || !strings.HasPrefix(path, `image\item\`) {
			t.Errorf("a path is %s", path)
		}
		s.shows(t, slashed(path), want[i].kind, want[i].width, want[i].color)
		s.shows(t, slashed(path)+"?w=800", want[i].small, min(800, want[i].width), want[i].color)
		s.shows(t, slashed(path)+"?w=200", want[i].small, min(200, want[i].width), want[i].color)
	}
	const sql = `select data from events where type = 'image.uploaded' and meta ->> 'correlation' = $1 and (meta ->> 'actor')::bigint = $2`
	var event struct {
		User   int64    `json:"user"`
		Images []string `json:"images"`
	}
	if err := json.Unmarshal(value[[]byte](t, s.db, sql, a.header.Get("X-Request-ID"), p.id), &event); err != nil {
		t.Fatal(err)
	}
	if event.User != p.id || !slices.Equal(event.Images, paths) {
		t.Errorf("the log has %+v, want %v", event, paths)
	}
	imgURL, _ := json.Marshal(paths)
	id := p.add(t, powerBank().with("imgurl", string(imgURL)))
	if got := s.item(t, id).text(t, "imgurl"); got != string(imgURL) {
		t.Errorf("the item's imgurl is %s, want %s", got, imgURL)
	}
}

func TestChangingTheAvatar(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	before := s.user(t, p.id).text(t, "avatarurl")
	if before != `image\avatar\default.jpg` {
		t.Errorf("at first it is %s", before)
	}
	s.get(t, slashed(before)+"?w=200")
	for _, c := range []color.Color{red, green} {
		paths := p.upload(t, "/user/avatar", file{"file", "me.jpg", "", asJPEG(plate(500, 50, c))}).paths(t)
		if len(paths) != 1 || !pathForm.MatchString(paths[0]) || !strings.HasPrefix(paths[0], `image\avatar\`) {
			t.Fatalf("the paths are %v", paths)
		}
		if got := s.user(t, p.id).text(t, "avatarurl"); got != paths[0] {
			t.Errorf("it is %s, want %s", got, paths[0])
		}
		if got := p.post(t, "/user/me", fields{}).text(t, "avatarurl"); got != paths[0] {
			t.Errorf("to its owner it is %s, want %s", got, paths[0])
		}
		s.shows(t, slashed(paths[0]), "jpeg", 500, c)
		s.shows(t, slashed(paths[0])+"?w=200", "jpeg", 200, c)
	}
	now := s.user(t, p.id).body
	good := file{"a", "a.jpg", "", aPicture}
	p.upload(t, "/user/avatar", good, file{"b", "b.jpg", "", aPicture}).invalid(t, "b")
	p.upload(t, "/user/avatar").invalid(t, "image")
	if after := s.user(t, p.id).body; after != now {
		t.Errorf("after what was refused: %s, want %s", after, now)
	}
}

func TestWhatIsNoImageChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.register(t)
	good := file{"good", "a.jpg", "image/jpeg", asJPEG(plate(10, 10, red))}
	s.still(t, "what is no image", func() {
		for name, wrong := range map[string]upload{
			"nothing": "", "text": "hello", "SVG": `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`,
			"HTML that begins as a GIF": "GIF89a<script>alert(1)</script>", "half a JPEG": good.data[:len(good.data)/2],
			"a GIF of 4 gigapixels": "GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x01\x00\x00;",
		} {
			for _, path := range []string{"/item/image", "/user/avatar"} {
				bad := file{"bad one", "b.jpg", "image/jpeg", wrong}
				files := []file{good, bad, good}
				if path == "/user/avatar" {
					files = files[1:2]
				}
				a := p.upload(t, path, files...)
				a.invalid(t, "bad one")
				t.Logf("%s: %s", name, a.body)
			}
		}
		p.upload(t, "/item/image").invalid(t, "image")
		p.upload(t, "/item/image", file{"image", "", "", ""}).invalid(t, "image") // a file input that was left empty
		p.post(t, "/item/image", fields{"image": "text"}).invalid(t, "image")
		p.postAs(t, inJSON, "/item/image", fields{"image": "text"}).invalid(t, "image")
		(&person{service: s, token: "x"}).upload(t, "/item/image", good).forbidden(t)
		(&person{service: s, token: "x"}).upload(t, "/user/avatar", good).forbidden(t)
	})
	if left := s.stored(t); len(left) > 0 {
		t.Errorf("stored are %v", left)
	}
}

func TestServingImages(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	path := p.upload(t, "/item/image", file{"a", "a.jpg", "", asJPEG(plate(1000, 100, red))}).paths(t)[0]
	url := slashed(path)
	whole := s.shows(t, url, "jpeg", 1000, red)
	ask := func(method, url string, header ...string) answer {
		t.Helper()
		r := s.request(t.Context(), method, url, "", http.NoBody)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		a, err := s.try(r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	tag := whole.header.Get("ETag")

	for name, want := range map[string]string{
		"Cache-Control": "public, max-age=31536000, immutable", "Content-Type": "image/jpeg", "X-Content-Type-Options": "nosniff",
		"Content-Disposition": "inline", "Content-Security-Policy": "default-src 'none'; sandbox", "Accept-Ranges": "bytes",
		"Content-Length": fmt.Sprint(len(whole.body)),
	} {
		if got := whole.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := ask("HEAD", url).header.Get(name); got != want {
			t.Errorf("%s of HEAD: %q, want %q", name, got, want)
		}
	}
	if !regexp.MustCompile(`^"[^"]{40,}"$`).MatchString(tag) || whole.header.Get("Last-Modified") == "" {
		t.Errorf("ETag: %s, Last-Modified: %s", tag, whole.header.Get("Last-Modified"))
	}
	if a := ask("HEAD", url); a.status != http.StatusOK || a.body != "" || a.header.Get("ETag") != tag {
		t.Errorf("HEAD: %d %q %v", a.status, a.body, a.header)
	}
	if small := ask("GET", url+"?w=200").header.Get("ETag"); small == tag || small == "" {
		t.Errorf("the thumbnail has ETag %s, as the picture", small)
	}

	for _, known := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if a := ask("GET", url, "If-None-Match", known); a.status != http.StatusNotModified || a.body != "" || a.header.Get("ETag") != tag ||
			a.header.Get("Cache-Control") == "" {
			t.Errorf("If-None-Match: %s: %d, %d bytes, %v", known, a.status, len(a.body), a.header)
		}
	}
	if a := ask("GET", url, "If-None-Match", `"x"`); a.status != http.StatusOK || a.body != whole.body {
		t.Errorf("If-None-Match of another: %d", a.status)
	}
	if a := ask("GET", url, "Range", "bytes=10-19"); a.status != http.StatusPartialContent || a.body != whole.body[10:20] ||
		a.header.Get("Content-Range") != fmt.Sprintf("bytes 10-19/%d", len(whole.body)) {
		t.Errorf("Range: %d %q %v", a.status, a.body, a.header)
	}
	if a := ask("GET", url, "Range", "bytes=-5", "If-Range", tag); a.status != http.StatusPartialContent || a.body != whole.body[len(whole.body)-5:] {
		t.Errorf("the end: %d %q", a.status, a.body)
	}
	if a := ask("GET", url, "Range", "bytes=10-19", "If-Range", `"x"`); a.status != http.StatusOK || a.body != whole.body {
		t.Errorf("the range of another: %d", a.status)
	}
	if a := ask("GET", url, "Range", "bytes=9999999-"); a.status != http.StatusRequestedRangeNotSatisfiable || a.header.Get("Cache-Control") != "" {
		t.Errorf("a range behind the end: %d %v", a.status, a.header)
	}

	for _, w := range []string{"", "0", "1", "400", "0200", "+200", "200px", "-200", "1e2", "99999999999999999999"} {
		s.get(t, url+"?w="+strings.ReplaceAll(w, "+", "%2B")).invalid(t, "w")
	}
	for _, unknown := range []string{
		strings.Replace(url, ".jpg", ".png", 1), strings.Replace(url, "/item/", "/avatar/", 1), strings.Replace(url, ".jpg", ".w200.jpg", 1),
		url + "x", "/image/item/0.35113526938054584.jpg", "/image/item/default.jpg", "/image/new/x", "/image/item/..%2f..%2fsecrets.json",
		`/image/item/..%5C..%5Csecrets.json`, "/image/item/", "/image/item", "/image", "/image/item/a/b", "/images/item/x.jpg",
		"/image/item/%00", "/image/item/" + strings.Repeat("0", 5000),
	} {
		a := s.get(t, unknown)
		a.refused(t, http.StatusNotFound, "not found")
		if a.header.Get("Cache-Control") != "" || a.header.Get("ETag") != "" {
			t.Errorf("%s: %v", unknown, a.header)
		}
	}
	a := s.do(t, s.request(t.Context(), http.MethodPost, url, "", http.NoBody))
	a.refused(t, http.StatusMethodNotAllowed, "method not allowed")
	if got := a.header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: %q", got)
	}

	avatar := ask("GET", "/image/avatar/default.jpg")
	if got := avatar.header.Get("Cache-Control"); avatar.status != http.StatusOK || got != "public, max-age=86400" {
		t.Errorf("the default avatar: %d, Cache-Control: %s", avatar.status, got)
	}
	if a := ask("GET", "/image/avatar/default.jpg", "If-None-Match", avatar.header.Get("ETag")); a.status != http.StatusNotModified {
		t.Errorf("the default avatar, once more: %d", a.status)
	}
}

func TestPathsOfImagesMayHaveBackslashes(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	path := p.upload(t, "/item/image", file{"a", "a.jpg", "", asJPEG(plate(300, 10, green))}).paths(t)[0]
	name := path[len(`image\item\`):]
	for _, target := range []string{
		"/" + path, "/image/item/" + name, "/image%5Citem%5C" + name, "/image%5citem%5c" + name, `/image/item\` + name, `/image\item/` + name,
		"/image%5Citem/" + name, `/image%2Fitem\` + name, "/" + path + "?w=200", "/image%5Citem%5C" + name + "?w=200", `/image\avatar\default.jpg`,
	} {
		response, body := s.raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") //nolint:bodyclose // it was read
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/jpeg" || len(body) < 100 {
			t.Errorf("%s: %d, %d bytes", target, response.StatusCode, len(body))
		}
	}
	for _, target := range []string{`/item\1`, `/user%5C1`, `/image\nothing\` + name, `/image\\item\` + name, `/image\..\item\1`} {
		response, body := s.raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") //nolint:bodyclose // it was read
		if response.StatusCode != http.StatusNotFound || string(body) != `{"status":"failure","info":"not found"}`+"\n" {
			t.Errorf("%s: %d %s", target, response.StatusCode, body)
		}
	}
}

// TestImagesInS3 goes the way with pictures in a bucket, which is away for a while.
func TestImagesInS3(t *testing.T) {
	t.Parallel()
	bucket := s3test.Start(t)
	bucket.Bucket(t, "foof")
	s := start(t, setting("FOOF_IMAGES", "s3://foof/in/production"), setting("FOOF_S3_ENDPOINT", bucket.Endpoint),
		setting("FOOF_S3_ACCESS_KEY", bucket.AccessKey), setting("FOOF_S3_SECRET_KEY", bucket.SecretKey))
	s.down = true
	p := s.register(t)
	picture := file{"a", "a.jpg", "", asJPEG(plate(1000, 10, blue))}
	paths := p.upload(t, "/item/image", picture, picture).paths(t)
	avatar := p.upload(t, "/user/avatar", picture).paths(t)[0]
	all := slices.Concat(paths, []string{avatar})
	look := func() {
		t.Helper()
		for _, path := range all {
			whole := s.shows(t, slashed(path), "jpeg", 1000, blue)
			s.shows(t, slashed(path)+"?w=800", "jpeg", 800, blue)
			r := s.request(t.Context(), http.MethodGet, slashed(path), "", http.NoBody)
			r.Header.Set("Range", "bytes=5-14")
			if a := s.do(t, r); a.status != http.StatusPartialContent || a.body != whole.body[5:15] {
				t.Errorf("%s: %d, %d bytes of 10", path, a.status, len(a.body))
			}
		}
	}
	look()
	s.get(t, strings.Replace(slashed(paths[0]), "0.", "0.0", 1)).refused(t, http.StatusNotFound, "not found")

	bucket.Stop()
	s.still(t, "no bucket", func() {
		p.upload(t, "/item/image", picture).isDown(t)
		p.upload(t, "/user/avatar", picture).isDown(t)
		s.get(t, slashed(avatar)).isDown(t)
	})
	if got := p.post(t, "/user/me", fields{}).text(t, "avatarurl"); got != avatar {
		t.Errorf("the avatar is %s, want %s", got, avatar)
	}
	s.shows(t, "/image/avatar/default.jpg?w=200", "jpeg", 200, color.RGBA{0x8f, 0xdc, 0xe0, 255})
	p.add(t, powerBank())

	bucket.Run(t)
	look()
	p.upload(t, "/item/image", picture).paths(t)
}
