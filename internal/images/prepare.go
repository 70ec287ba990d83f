package images

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"path"
	"slices"

	"github.com/bep/imagemeta"
	"golang.org/x/image/webp"
)

// Widths are those of the thumbnails. A thumbnail is no wider than its picture.
var Widths = [...]int{200, 800}

// Picture is one that may be shown to everybody, not stored yet.
type Picture struct {
	extension string         // jpg, png or gif
	files     map[int][]byte // the picture's file at 0, and those of its thumbnails by width
}

// The extensions of what is stored, and what they stand for.
var (
	mediaTypes  = map[string]string{"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif"}
	thumbnailOf = map[string]string{"jpg": "jpg", "png": "png", "gif": "png"}
)

func extensionOf(name string) string { return path.Ext(name)[1:] }

// unfitness is why an upload is not taken, in words that follow "it".
type unfitness string

func (u unfitness) Error() string { return string(u) }

// format is one that is taken.
type format struct {
	name   string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error) // nil: of GIF all frames are decoded
	notes  imagemeta.ImageFormat                // zero: it has none that say which way is up
}

// formats are those that are taken, by what the first bytes say.
var formats = map[string]format{
	"image/jpeg": {"JPEG", jpeg.DecodeConfig, jpeg.Decode, imagemeta.JPEG},
	"image/png":  {"PNG", png.DecodeConfig, png.Decode, imagemeta.PNG},
	"image/webp": {"WebP", webp.DecodeConfig, webp.Decode, imagemeta.WebP},
	"image/gif":  {"GIF", gif.DecodeConfig, nil, 0},
}

// upload is one whose head was read: it says what it is, and its size is within bounds.
type upload struct {
	format

	data   []byte
	pixels int // what it will take of memory
}

// What the bytes of a JPEG and of a GIF can ask for beside pixels. Each scan of a JPEG goes over all its pixels, and one that
// changes nothing takes a few bytes; real ones have about ten.
const (
	mostScans  = 100
	mostFrames = 1000
	mostSide   = 1<<16 - 1 // pixels: more than that a JPEG cannot have
)

// inspect reads the head of an upload. It unpacks nothing, so that what is far too large costs nothing to refuse.
func inspect(data []byte, most int) (upload, error) {
	kind, known := formats[http.DetectContentType(data)]
	if !known {
		return upload{}, unfitness("is no image: JPEG, PNG, GIF and WebP are taken")
	}
	up := upload{format: kind, data: data}
	config, err := kind.config(bytes.NewReader(data))
	if err != nil {
		return upload{}, up.damaged()
	}
	if config.Width < 1 || config.Height < 1 {
		return upload{}, unfitness("has no pixels")
	}
	if config.Width > mostSide || config.Height > mostSide {
		return upload{}, unfitness(fmt.Sprintf("is too large: a side may have %d pixels", mostSide))
	}
	up.pixels = config.Width * config.Height
	switch {
	case kind.name == "GIF":
		kept, frames, pixels := framesOf(data)
		if kept == nil {
			return upload{}, up.damaged()
		}
		if frames > mostFrames {
			return upload{}, unfitness(fmt.Sprintf("has too many frames: at most %d are taken", mostFrames))
		}
		up.data, up.pixels = kept, max(up.pixels, pixels)
	case kind.name == "JPEG" && bytes.Count(data, []byte("\xff\xda")) > mostScans: // a marker never occurs within a scan
		return upload{}, unfitness(fmt.Sprintf("has too many scans: at most %d are taken", mostScans))
	case kind.name == "WebP" && animated(data):
		return upload{}, unfitness("is an animated WebP, which is not taken: send a GIF, or one frame")
	}
	if up.pixels > most {
		return upload{}, unfitness(fmt.Sprintf("is too large: an image may have %d pixels, with all its frames", most))
	}
	return up, nil
}

func (up upload) damaged() error { return unfitness("is a damaged or incomplete " + up.name) }

// animated tells whether the head of a WebP says that there is more than one frame.
func animated(data []byte) bool {
	const flags, animation = 20, 1 << 1
	return len(data) > flags && string(data[12:16]) == "VP8X" && data[flags]&animation != 0
}

// picture decodes the upload and writes it anew.
func (up upload) picture() (Picture, error) {
	if up.decode == nil {
		return up.animation()
	}
	decoded, err := up.decode(bytes.NewReader(up.data))
	if err != nil {
		return Picture{}, up.damaged()
	}
	img := upright(plain(decoded), orientation(up.data, up.notes))
	extension := "jpg"
	if up.name == "PNG" || !opaque(img) {
		extension = "png"
	}
	whole, err := encode(img, extension)
	if err != nil {
		return Picture{}, err
	}
	return withThumbnails(Picture{extension: extension, files: map[int][]byte{0: whole}}, img)
}

// animation is the picture of a GIF.
func (up upload) animation() (Picture, error) {
	all, err := gif.DecodeAll(bytes.NewReader(up.data))
	if err != nil || len(all.Image) == 0 {
		return Picture{}, up.damaged()
	}
	var whole bounded
	if err := gif.EncodeAll(&whole, all); errors.Is(err, errTooLong) {
		return Picture{}, err
	} else if err != nil {
		return Picture{}, up.damaged()
	}
	first := firstFrame(all)
	return withThumbnails(Picture{extension: "gif", files: map[int][]byte{0: whole.Bytes()}}, first)
}

// withThumbnails adds them. A picture that is not as wide is not made wider.
func withThumbnails(p Picture, img image.Image) (Picture, error) {
	extension, whole := thumbnailOf[p.extension], true
	for _, width := range slices.Backward(Widths[:]) { // the smaller one is made of the larger one
		if img.Bounds().Dx() > width {
			img, whole = shrink(img, width), false
		}
		if whole && extension == p.extension {
			p.files[width] = p.files[0]
			continue
		}
		file, err := encode(img, extension)
		if err != nil {
			return Picture{}, err
		}
		p.files[width] = file
	}
	return p, nil
}

func encode(img image.Image, extension string) ([]byte, error) {
	var file bounded
	var err error
	if extension == "jpg" {
		err = jpeg.Encode(&file, img, &jpeg.Options{Quality: 88})
	} else {
		err = png.Encode(&file, img)
	}
	return file.Bytes(), err
}

// bounded is the file of a picture, which must not grow out of proportion: what is a megabyte in one form can be hundreds in
// another.
type bounded struct{ bytes.Buffer }

const (
	mostBytes  = 16 << 20
	errTooLong = unfitness("is too large when it is unpacked")
)

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > mostBytes {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
