package images

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// corners is a picture whose quarters are red, green, blue and yellow: left and right above, left and right below.
func corners(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, cornerColors[2*(2*y/height)+2*x/width])
		}
	}
	return img
}

var cornerColors = [4]color.RGBA{{220, 20, 20, 255}, {20, 200, 20, 255}, {20, 20, 220, 255}, {230, 220, 20, 255}}

// noise is a picture that no format makes small.
func noise(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	state := uint32(1)
	for i := range img.Pix {
		state = state*1664525 + 1013904223
		img.Pix[i] = byte(state >> 24)
	}
	return img
}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asGIF is an animation, each frame of which has one color of four.
func asGIF(t testing.TB, width, height, frames int) []byte {
	t.Helper()
	palette := color.Palette{cornerColors[0], cornerColors[1], cornerColors[2], cornerColors[3]}
	all := gif.GIF{LoopCount: 3}
	for i := range frames {
		frame := image.NewPaletted(image.Rect(0, 0, width, height), palette)
		for at := range frame.Pix {
			frame.Pix[at] = byte(i % len(palette))
		}
		all.Image, all.Delay = append(all.Image, frame), append(all.Delay, 7+i)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// riff is a WebP of these chunks.
func riff(chunks ...string) []byte {
	var body strings.Builder
	for i := 0; i < len(chunks); i += 2 {
		body.WriteString(chunks[i] + string(binary.LittleEndian.AppendUint32(nil, uint32(len(chunks[i+1])))) + chunks[i+1])
		if len(chunks[i+1])%2 == 1 {
			body.WriteByte(0)
		}
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+body.Len())), "WEBP"+body.String()...)
}

// lossless is the chunk of a WebP of one color. Each of its five prefix codes has one symbol, so that a pixel takes no bit.
func lossless(width, height int, c color.NRGBA) string {
	var bits uint64
	var length int
	var out []byte
	put := func(value uint64, n int) {
		bits |= value << length
		for length += n; length >= 8; length -= 8 {
			out = append(out, byte(bits))
			bits >>= 8
		}
	}
	put(0x2f, 8)
	put(uint64(width-1), 14)
	put(uint64(height-1), 14)
	put(1, 1) // alpha
	put(0, 3) // the version
	put(0, 3) // no transform, no color cache, one group of codes
	for _, symbol := range []uint8{c.G, c.R, c.B, c.A} {
		put(1, 1) // simple
		put(0, 1) // one symbol
		put(1, 1) // of eight bits
		put(uint64(symbol), 8)
	}
	put(1, 1) // distances
	put(0, 1)
	put(0, 1)
	put(0, 1)
	put(0, 64-57) // the rest of a byte
	return string(out)
}

func asWebP(width, height int, c color.NRGBA) []byte { return riff("VP8L", lossless(width, height, c)) }

// extended is the first chunk of a WebP that has more than pixels.
func extended(flags byte, width, height int) string {
	head := []byte{flags, 0, 0, 0}
	for _, side := range []int{width - 1, height - 1} {
		head = append(head, byte(side), byte(side>>8), byte(side>>16))
	}
	return string(head)
}

// foreign are WebPs that another encoder has made: those that golang.org/x/image has for its own tests.
func foreign(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := foreignFolder()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var foreignFolder = sync.OnceValues(func() (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/image").Output()
	return strings.TrimSpace(string(dir)), err
})

// exif are notes of a camera that was held in one of eight ways somewhere in Shanghai.
func exif(held int) []byte {
	const maker, place = "FooCam 3000\x00", "N\x00"
	b := []byte("MM\x00\x2a\x00\x00\x00\x08")
	entry := func(tag, kind uint16, count, value uint32) {
		b = binary.BigEndian.AppendUint16(b, tag)
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint32(b, count)
		b = binary.BigEndian.AppendUint32(b, value)
	}
	b = binary.BigEndian.AppendUint16(b, 3)
	entry(0x010f, 2, uint32(len(maker)), 8+2+3*12+4)
	entry(0x0112, 3, 1, uint32(held)<<16)
	entry(0x8825, 4, 1, 8+2+3*12+4+uint32(len(maker)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, maker...)
	b = binary.BigEndian.AppendUint16(b, 2)
	entry(1, 2, 2, uint32('N')<<24)
	entry(2, 5, 3, uint32(len(b))+2*12-12+4) // degrees, minutes and seconds stand behind
	b = append(b, 0, 0, 0, 0)
	for _, part := range []uint32{31, 13, 48} {
		b = binary.BigEndian.AppendUint32(b, part)
		b = binary.BigEndian.AppendUint32(b, 1)
	}
	return append(b, place...)
}

// noted puts a camera's notes into a picture, as each format has it.
func noted(data []byte, held int) []byte {
	notes := exif(held)
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		segment := append([]byte("Exif\x00\x00"), notes...)
		head := binary.BigEndian.AppendUint16([]byte("\xff\xd8\xff\xe1"), uint16(len(segment)+2))
		return append(append(head, segment...), data[2:]...)
	case bytes.HasPrefix(data, []byte("\x89PNG")):
		const afterHead = 8 + 12 + 13
		return append(append(bytes.Clone(data[:afterHead]), chunk("eXIf", notes)...), data[afterHead:]...)
	default:
		panic("no notes in this format")
	}
}

// chunk is one of a PNG.
func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// zeros is a PNG of that many black pixels, in true proportion: 1 GiB of them take 1 MiB.
func zeros(t testing.TB, width, height int, kind byte) []byte {
	t.Helper()
	const block = 1 << 20
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	put := func(n int) string {
		before := packed.Len()
		_, _ = z.Write(make([]byte, n))
		_ = z.Flush()
		written += n
		return packed.String()[before:]
	}
	put(block)
	again := put(block) // which says: as before
	perPixel := map[byte]int{0: 1, 6: 4}[kind]
	for all := (1 + perPixel*width) * height; written < all; written += block {
		packed.WriteString(again)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(width))
	head = binary.BigEndian.AppendUint32(head, uint32(height))
	file := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(head, 8, kind, 0, 0, 0))...)
	return append(append(file, chunk("IDAT", packed.Bytes())...), chunk("IEND", nil)...)
}

// resized is a picture that claims to be of another size: the head of a JPEG or of a GIF, changed.
func resized(data []byte, width, height int) []byte {
	data = bytes.Clone(data)
	if bytes.HasPrefix(data, []byte("GIF")) {
		binary.LittleEndian.PutUint16(data[6:], uint16(width))
		binary.LittleEndian.PutUint16(data[8:], uint16(height))
		return data
	}
	at := bytes.Index(data, []byte("\xff\xc0"))
	binary.BigEndian.PutUint16(data[at+5:], uint16(height))
	binary.BigEndian.PutUint16(data[at+7:], uint16(width))
	return data
}

// looksLike compares two pictures: how much a color differs on average, of 255.
func looksLike(t *testing.T, got, want image.Image, most float64) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Fatalf("it has %v pixels, want %v", got.Bounds().Size(), want.Bounds().Size())
	}
	var sum, n float64
	for y := range got.Bounds().Dy() {
		for x := range got.Bounds().Dx() {
			g := color.NRGBAModel.Convert(got.At(got.Bounds().Min.X+x, got.Bounds().Min.Y+y)).(color.NRGBA)
			w := color.NRGBAModel.Convert(want.At(want.Bounds().Min.X+x, want.Bounds().Min.Y+y)).(color.NRGBA)
			for _, d := range []int{int(g.R) - int(w.R), int(g.G) - int(w.G), int(g.B) - int(w.B), int(g.A) - int(w.A)} {
				sum += float64(max(d, -d))
				n++
			}
		}
	}
	if sum/n > most {
		t.Errorf("it differs by %.1f of 255 on average", sum/n)
	}
}

// decoded reads a file that was made, whose extension must be true.
func decoded(t *testing.T, file []byte, extension string) image.Image {
	t.Helper()
	img, format, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"jpg": "jpeg", "png": "png", "gif": "gif"}[extension]; format != want {
		t.Errorf("it is a %s, want %s", format, want)
	}
	return img
}
