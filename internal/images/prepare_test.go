package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// library is one whose pictures may have a million pixels.
func library(t testing.TB, store Store) *Library {
	t.Helper()
	return New(store, 1_000_000)
}

func prepared(t *testing.T, data []byte) Picture {
	t.Helper()
	made, err := library(t, nil).Prepare(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return made[0]
}

func TestPicturesAreWrittenAnew(t *testing.T) {
	t.Parallel()
	photo := corners(810, 100)
	glass := image.NewNRGBA(image.Rect(0, 0, 300, 200))
	draw.Draw(glass, image.Rect(50, 50, 250, 150), image.NewUniform(cornerColors[1]), image.Point{}, draw.Src)
	halfClear := color.NRGBA{200, 100, 50, 128}
	deep := image.NewNRGBA64(photo.Bounds())
	draw.Draw(deep, deep.Bounds(), photo, image.Point{}, draw.Src)
	gray := image.NewGray(photo.Bounds())
	draw.Draw(gray, gray.Bounds(), photo, image.Point{}, draw.Src)
	few := image.NewPaletted(photo.Bounds(), color.Palette{cornerColors[0], cornerColors[1], cornerColors[2], cornerColors[3]})
	draw.Draw(few, few.Bounds(), photo, image.Point{}, draw.Src)
	cmyk := image.NewCMYK(photo.Bounds())
	draw.Draw(cmyk, cmyk.Bounds(), photo, image.Point{}, draw.Src)

	for name, c := range map[string]struct {
		data      []byte
		want      image.Image
		extension string
		most      float64 // of 255
	}{
		"a JPEG":                       {asJPEG(t, photo), photo, "jpg", 3},
		"a gray JPEG":                  {asJPEG(t, gray), gray, "jpg", 3},
		"a PNG":                        {asPNG(t, photo), photo, "png", 0},
		"a PNG that is clear":          {asPNG(t, glass), glass, "png", 0},
		"a PNG of 16 bits":             {asPNG(t, deep), photo, "png", 0},
		"a gray PNG":                   {asPNG(t, gray), gray, "png", 0},
		"a PNG with a palette":         {asPNG(t, few), photo, "png", 0},
		"a GIF":                        {asGIF(t, 300, 200, 1), image.NewUniform(cornerColors[0]), "gif", 0},
		"a WebP":                       {asWebP(300, 200, color.NRGBA{1, 2, 3, 255}), image.NewUniform(color.NRGBA{1, 2, 3, 255}), "jpg", 3},
		"a WebP that is half clear":    {asWebP(300, 200, halfClear), image.NewUniform(halfClear), "png", 0},
		"a lossy WebP":                 {foreign(t, "yellow_rose.lossy.webp"), nil, "jpg", 0},
		"a lossy WebP that is clear":   {foreign(t, "yellow_rose.lossy-with-alpha.webp"), nil, "png", 0},
		"a lossless WebP":              {foreign(t, "gopher-doc.8bpp.lossless.webp"), nil, "jpg", 0},
		"a picture of one pixel":       {asPNG(t, corners(1, 1)), corners(1, 1), "png", 0},
		"a picture one pixel high":     {asPNG(t, corners(5000, 1)), corners(5000, 1), "png", 0},
		"a picture one pixel wide":     {asPNG(t, corners(1, 5000)), corners(1, 5000), "png", 0},
		"a picture with more behind":   {append(asJPEG(t, photo), "<script>alert(1)</script>"...), photo, "jpg", 3},
		"a PNG with more behind":       {append(asPNG(t, photo), "<script>alert(1)</script>"...), photo, "png", 0},
		"a GIF that is an archive too": {append(asGIF(t, 30, 20, 2), "PK\x03\x04"...), image.NewUniform(cornerColors[0]), "gif", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepared(t, c.data)
			if p.extension != c.extension {
				t.Errorf("it has become a %s, want %s", p.extension, c.extension)
			}
			whole := decoded(t, p.files[0], p.extension)
			if c.want != nil {
				want := c.want
				if one, ok := want.(*image.Uniform); ok {
					frame := image.NewNRGBA(whole.Bounds())
					draw.Draw(frame, frame.Bounds(), one, image.Point{}, draw.Src)
					want = frame
				}
				looksLike(t, whole, want, c.most)
			}
			size := whole.Bounds().Size()
			for _, width := range Widths {
				thumbnail := decoded(t, p.files[width], thumbnailOf[p.extension])
				got := thumbnail.Bounds().Size()
				want := size
				if size.X > width {
					want = image.Pt(width, max(1, int(math.Round(float64(size.Y)*float64(width)/float64(size.X)))))
				}
				if got != want {
					t.Errorf("the thumbnail of %v pixels has %v, want %v", size, got, want)
				}
				if photo.Bounds().Size() == size { // the middles of its quarters
					for i := range cornerColors {
						at := image.Pt(got.X/4+got.X/2*(i%2), got.Y/4+got.Y/2*(i/2))
						near(t, thumbnail.At(at.X, at.Y), whole.At(size.X/4+size.X/2*(i%2), size.Y/4+size.Y/2*(i/2)))
					}
				}
			}
			for width, file := range p.files {
				if bytes.Contains(file, []byte("<script")) || bytes.Contains(file, []byte("PK\x03\x04")) {
					t.Errorf("the file of width %d has what was behind the picture", width)
				}
			}
		})
	}
}

func near(t *testing.T, got, want color.Color) {
	t.Helper()
	g, w := color.RGBAModel.Convert(got).(color.RGBA), color.RGBAModel.Convert(want).(color.RGBA)
	if math.Abs(float64(g.R)-float64(w.R))+math.Abs(float64(g.G)-float64(w.G))+math.Abs(float64(g.B)-float64(w.B)) > 30 {
		t.Errorf("a pixel is %v, want about %v", g, w)
	}
}

func TestThumbnailsOfTallPicturesHaveNoSeams(t *testing.T) {
	t.Parallel()
	slope := image.NewGray(image.Rect(0, 0, 1000, 900))
	for i := range slope.Pix {
		slope.Pix[i] = byte(i%1000/8 + i/1000/8)
	}
	small := shrink(slope, 333)
	for y := range small.Bounds().Dy() {
		for x := range small.Bounds().Dx() {
			got := float64(color.GrayModel.Convert(small.At(x, y)).(color.Gray).Y)
			want := (float64(x)+.5)*1000/333/8 + (float64(y)+.5)*3/8
			if got > want+.5 || got < want-3.5 { // fractions are cut off four times
				t.Fatalf("at %d, %d it is %.0f, want %.1f", x, y, got, want)
			}
		}
	}
}

func TestAnimationsStayAnimations(t *testing.T) {
	t.Parallel()
	data := asGIF(t, 900, 40, 12)
	const comment = "\x21\xfe\x05hello\x00"
	at := bytes.IndexByte(data, 0x21)
	data = slices.Concat(data[:at], []byte(comment), data[at:])
	p := prepared(t, data)
	all, err := gif.DecodeAll(bytes.NewReader(p.files[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Image) != 12 || all.LoopCount != 3 || all.Delay[0] != 7 || all.Delay[11] != 18 {
		t.Errorf("it has %d frames, is shown %d times, and the times are %v", len(all.Image), all.LoopCount, all.Delay)
	}
	for i, frame := range all.Image {
		near(t, frame.At(100, 20), cornerColors[i%4])
	}
	for _, width := range Widths {
		near(t, decoded(t, p.files[width], "png").At(100, 5), cornerColors[0])
	}
	if bytes.Contains(p.files[0], []byte("hello")) {
		t.Error("its comment is still there")
	}
}

func TestPicturesAreTurnedUprightAndForgetTheCamera(t *testing.T) {
	t.Parallel()
	// What a camera that is held in one of eight ways writes, so that the picture is red, green, blue and yellow when it is upright:
	// which of these colors is where.
	written := map[int][4]int{
		1: {0, 1, 2, 3}, 2: {1, 0, 3, 2}, 3: {3, 2, 1, 0}, 4: {2, 3, 0, 1},
		5: {0, 2, 1, 3}, 6: {1, 3, 0, 2}, 7: {3, 1, 2, 0}, 8: {2, 0, 3, 1},
	}
	for held, where := range written {
		size := image.Pt(96, 64)
		if held >= 5 {
			size = image.Pt(64, 96)
		}
		img := image.NewRGBA(image.Rectangle{Max: size})
		for i, c := range where {
			quarter := image.Rect(0, 0, size.X/2, size.Y/2).Add(image.Pt(size.X/2*(i%2), size.Y/2*(i/2)))
			draw.Draw(img, quarter, image.NewUniform(cornerColors[c]), image.Point{}, draw.Src)
		}
		glass := image.NewNRGBA(img.Bounds())
		copy(glass.Pix, img.Pix)
		for i := 3; i < len(glass.Pix); i += 4 {
			glass.Pix[i] = 200
		}
		gray := image.NewGray(img.Bounds())
		draw.Draw(gray, gray.Bounds(), img, image.Point{}, draw.Src)
		for name, data := range map[string][]byte{
			"JPEG": asJPEG(t, img), "PNG": asPNG(t, img), "a clear PNG": asPNG(t, glass),
			"WebP": riff("VP8X", extended(1<<3, size.X, size.Y), "VP8L", lossless(size.X, size.Y, color.NRGBA{9, 9, 9, 255}), "EXIF", string(exif(held))),
		} {
			t.Run(fmt.Sprintf("%s, held as %d", name, held), func(t *testing.T) {
				t.Parallel()
				if name != "WebP" {
					data = noted(data, held)
				}
				for _, camera := range []string{"FooCam"} {
					if !bytes.Contains(data, []byte(camera)) {
						t.Fatalf("%s is not in the upload", camera)
					}
				}
				p := prepared(t, data)
				for width, file := range p.files {
					for _, left := range []string{"FooCam", "Exif", "eXIf", "EXIF", "MM\x00\x2a"} {
						if bytes.Contains(file, []byte(left)) {
							t.Errorf("%q is in the file of width %d", left, width)
						}
					}
				}
				whole := decoded(t, p.files[0], p.extension)
				if got := whole.Bounds().Size(); got != image.Pt(96, 64) {
					t.Fatalf("it has %v pixels, want 96 × 64", got)
				}
				if name == "WebP" {
					return
				}
				for i, c := range cornerColors {
					got := color.NRGBAModel.Convert(whole.At(24+48*(i%2), 16+32*(i/2))).(color.NRGBA)
					if name == "a clear PNG" && got.A != 200 {
						t.Errorf("alpha is %d, want 200", got.A)
					}
					got.A = 255
					near(t, got, c)
				}
			})
		}
	}
}

func TestWhatCannotBeShownIsRefusedInWords(t *testing.T) {
	t.Parallel()
	const (
		none  = "is no image: JPEG, PNG, GIF and WebP are taken"
		large = "is too large: an image may have 1000000 pixels, with all its frames"
	)
	small := corners(20, 10)
	long := asGIF(t, 10, 10, 1001)
	scans := slices.Concat(asJPEG(t, small), bytes.Repeat([]byte("\xff\xda"), 101))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                     {nil, none},
		"text":                        {[]byte("hello"), none},
		"HTML":                        {[]byte("<html><script>alert(1)</script>"), none},
		"HTML with a GIF in it":       {append([]byte("<html>"), asGIF(t, 9, 9, 1)...), none},
		"a GIF that begins as HTML":   {[]byte("GIF89a/*<script>*/=1;alert(1)//"), "is a damaged or incomplete GIF"},
		"SVG":                         {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), none},
		"SVG with a prolog":           {[]byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`), none},
		"BMP":                         {append([]byte("BM"), make([]byte, 100)...), none},
		"TIFF":                        {append([]byte("II\x2a\x00"), make([]byte, 100)...), none},
		"PDF":                         {[]byte("%PDF-1.7"), none},
		"AVIF":                        {[]byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00"), none},
		"WAVE":                        {[]byte("RIFF\x04\x00\x00\x00WAVE"), none},
		"the head of a JPEG":          {[]byte("\xff\xd8\xff"), "is a damaged or incomplete JPEG"},
		"the head of a PNG":           {[]byte("\x89PNG\r\n\x1a\n"), "is a damaged or incomplete PNG"},
		"the head of a GIF":           {[]byte("GIF89a"), "is a damaged or incomplete GIF"},
		"the head of a WebP":          {[]byte("RIFF\x04\x00\x00\x00WEBPVP8L"), "is a damaged or incomplete WebP"},
		"half a JPEG":                 {half(asJPEG(t, small)), "is a damaged or incomplete JPEG"},
		"half a PNG":                  {half(asPNG(t, small)), "is a damaged or incomplete PNG"},
		"half a GIF":                  {half(asGIF(t, 20, 10, 9)), "is a damaged or incomplete GIF"},
		"half a WebP":                 {half(foreign(t, "yellow_rose.lossy.webp")), "is a damaged or incomplete WebP"},
		"a JPEG without its end":      {asJPEG(t, small)[:len(asJPEG(t, small))-1], "is a damaged or incomplete JPEG"},
		"a GIF without its end":       {bytes.TrimSuffix(asGIF(t, 20, 10, 2), []byte{gifTrailer}), "is a damaged or incomplete GIF"},
		"a PNG of a GB":               {zeros(t, 32000, 32000, 0), large},
		"a PNG of no height":          {zeros(t, 1, 0, 0), "is a damaged or incomplete PNG"},
		"a PNG of too many pixels":    {zeros(t, 1001, 1000, 6), large},
		"a PNG that is too wide":      {zeros(t, 65536, 1, 0), "is too large: a side may have 65535 pixels"},
		"a JPEG of 4 gigapixels":      {resized(asJPEG(t, small), 65535, 65535), large},
		"a GIF of 4 gigapixels":       {resized(asGIF(t, 9, 9, 1), 65535, 65535), large},
		"a GIF of many large frames":  {asGIF(t, 500, 400, 6), large},
		"a GIF of many frames":        {long, "has too many frames: at most 1000 are taken"},
		"a WebP of 268 megapixels":    {asWebP(16384, 16384, color.NRGBA{}), large},
		"a WebP that hides them":      {riff("VP8X", extended(0, 10, 10), "VP8L", lossless(16384, 16384, color.NRGBA{})), "is a damaged or incomplete WebP"},
		"a WebP whose head has them":  {riff("VP8X", extended(0, 30000, 30000), "VP8L", lossless(10, 10, color.NRGBA{})), large},
		"an animated WebP":            {riff("VP8X", extended(1<<1, 10, 10), "ANIM", "\x00\x00\x00\x00\x00\x00"), "is an animated WebP, which is not taken: send a GIF, or one frame"},
		"a JPEG of a hundred scans":   {scans, "has too many scans: at most 100 are taken"},
		"a frame outside of its GIF":  {resized(asGIF(t, 20, 20, 1), 10, 10), "is a damaged or incomplete GIF"},
		"a GIF whose blocks overlap":  {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00\x21\xff\x00\x2c"), "is a damaged or incomplete GIF"},
		"a PNG whose data is damaged": {damaged(asPNG(t, small)), "is a damaged or incomplete PNG"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := asPNG(t, small)
			made, err := library(t, nil).Prepare(t.Context(), good, c.data, good)
			unfit, ok := errors.AsType[*UnfitError](err)
			if !ok || made != nil {
				t.Fatalf("%d bytes: %v, and %d pictures", len(c.data), err, len(made))
			}
			if unfit.Index != 1 || unfit.Why != c.want {
				t.Errorf("upload %d %s, want upload 1 %s", unfit.Index, unfit.Why, c.want)
			}
		})
	}
}

func half(data []byte) []byte { return data[:len(data)/2] }

func damaged(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 0x55
	return data
}

// TestBombsCostNothing is not parallel: it looks at what the whole process takes of memory.
func TestBombsCostNothing(t *testing.T) { //nolint:paralleltest // see above
	gigabyte := zeros(t, 32000, 32000, 0)
	if len(gigabyte) > 1<<20 {
		t.Fatalf("the bomb has %d bytes", len(gigabyte))
	}
	l := library(t, nil)
	for name, data := range map[string][]byte{
		"PNG": gigabyte, "JPEG": resized(asJPEG(t, corners(9, 9)), 65535, 65535), "GIF": resized(asGIF(t, 9, 9, 1), 65535, 65535),
		"WebP": asWebP(16384, 16384, color.NRGBA{}), "frames": asGIF(t, 40, 40, 999),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := l.Prepare(t.Context(), data)
		runtime.ReadMemStats(&after)
		if _, ok := errors.AsType[*UnfitError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
		// Of a GIF the frames are copied before they are added up.
		if took := after.TotalAlloc - before.TotalAlloc; took > 200_000+6*uint64(len(data)) || name == "PNG" && took > 100_000 {
			t.Errorf("%s of %d bytes: it took %d bytes to find out", name, len(data), took)
		}
	}
}

func TestWhatUnpacksToTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	// A WebP of 1 MiB can have hundreds in it for a PNG, as it may repeat what is far away.
	img := noise(30, 30)
	few := image.NewPaletted(img.Bounds(), color.Palette{color.Black, color.White})
	for i := range few.Pix {
		few.Pix[i] = img.Pix[4*i] & 1
	}
	for name, encode := range map[string]func(io.Writer) error{
		"jpg": func(w io.Writer) error { return jpeg.Encode(w, img, nil) },
		"png": func(w io.Writer) error { return png.Encode(w, img) },
		"gif": func(w io.Writer) error {
			return gif.EncodeAll(w, &gif.GIF{Image: []*image.Paletted{few}, Delay: []int{0}})
		},
	} {
		var file bounded
		if _, err := file.Write(make([]byte, mostBytes-100)); err != nil {
			t.Fatal(err)
		}
		if err := encode(&file); !errors.Is(err, errTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllPicturesOfOneRequestAreBounded(t *testing.T) {
	t.Parallel()
	l, full := New(nil, 10_000), asPNG(t, corners(100, 100))
	if made, err := l.Prepare(t.Context(), full, full, full, full); err != nil || len(made) != 4 {
		t.Errorf("four times the limit: %v", err)
	}
	_, err := l.Prepare(t.Context(), full, full, full, full, asPNG(t, corners(1, 1)))
	unfit, ok := errors.AsType[*UnfitError](err)
	if !ok || unfit.Index != 4 || unfit.Why != "is too much: all pictures of one request may have 40000 pixels" {
		t.Errorf("a pixel more: %v", err)
	}
}

func TestPreparingWaitsForMemory(t *testing.T) {
	t.Parallel()
	l := library(t, nil)
	small := asPNG(t, corners(10, 10))
	all := int64(atOnce * 1_000_000)
	if err := l.memory.Acquire(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Prepare(ctx, small); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no memory left: %v", err)
	}
	l.memory.Release(all)
	var work sync.WaitGroup
	for range 50 {
		work.Go(func() {
			if _, err := l.Prepare(t.Context(), small); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if !l.memory.TryAcquire(all) {
		t.Error("not all memory was given back")
	}
}

// FuzzPrepare looks for what is taken and must not be: what is made of it is a picture of a size within bounds.
func FuzzPrepare(f *testing.F) {
	small := corners(13, 7)
	f.Add(asJPEG(f, small))
	f.Add(noted(asJPEG(f, small), 6))
	f.Add(noted(asPNG(f, small), 8))
	f.Add(asPNG(f, noise(3, 5)))
	f.Add(asGIF(f, 13, 7, 3))
	f.Add(asWebP(13, 7, color.NRGBA{1, 2, 3, 4}))
	f.Add(riff("VP8X", extended(1<<3, 5, 5), "VP8L", lossless(5, 5, color.NRGBA{}), "EXIF", string(exif(5))))
	f.Add(foreign(f, "blue-purple-pink.lossy.webp"))
	l := New(nil, 100_000)
	f.Fuzz(func(t *testing.T, data []byte) {
		made, err := l.Prepare(t.Context(), data)
		if err != nil {
			if _, ok := errors.AsType[*UnfitError](err); !ok {
				t.Errorf("%v", err)
			}
			return
		}
		p := made[0]
		decoded(t, p.files[0], p.extension)
		whole, _, err := image.DecodeConfig(bytes.NewReader(p.files[0])) // the first frame of a GIF may be smaller
		if err != nil || whole.Width*whole.Height > 100_000 || len(p.files) != 1+len(Widths) {
			t.Errorf("it has %d × %d pixels and %d files: %v", whole.Width, whole.Height, len(p.files), err)
		}
		for _, width := range Widths {
			if got := decoded(t, p.files[width], thumbnailOf[p.extension]).Bounds().Dx(); got != min(width, whole.Width) {
				t.Errorf("a thumbnail is %d pixels wide", got)
			}
		}
		again, err := l.Prepare(t.Context(), p.files[0])
		if err != nil || again[0].extension != p.extension {
			t.Errorf("what was made is not taken: %v", err)
		}
	})
}
