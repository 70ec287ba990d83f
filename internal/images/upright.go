package images

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"

	"github.com/bep/imagemeta"
)

// plain gives a decoded picture as one of the few kinds that the rest is quick with: YCbCr, gray, with a palette, or with eight
// bits of each color.
func plain(decoded image.Image) image.Image {
	switch img := decoded.(type) {
	case *image.YCbCr, *image.Gray, *image.Paletted, *image.RGBA, *image.NRGBA:
		return img
	case *image.NYCbCrA:
		if img.Opaque() {
			return &img.YCbCr
		}
		return withAlpha(img)
	}
	if opaque(decoded) {
		return drawn(image.NewRGBA(decoded.Bounds()), decoded)
	}
	return drawn(image.NewNRGBA(decoded.Bounds()), decoded)
}

func drawn(onto draw.Image, img image.Image) image.Image {
	draw.Draw(onto, onto.Bounds(), img, img.Bounds().Min, draw.Src)
	return onto
}

// withAlpha is what draw.Draw would do, which takes ten times as long.
func withAlpha(img *image.NYCbCrA) *image.NRGBA {
	out := image.NewNRGBA(img.Rect)
	to := out.Pix
	for y := img.Rect.Min.Y; y < img.Rect.Max.Y; y++ {
		for x := img.Rect.Min.X; x < img.Rect.Max.X; x++ {
			luma, chroma := img.YOffset(x, y), img.COffset(x, y)
			to[0], to[1], to[2] = color.YCbCrToRGB(img.Y[luma], img.Cb[chroma], img.Cr[chroma])
			to[3] = img.A[img.AOffset(x, y)]
			to = to[4:]
		}
	}
	return out
}

// opaque tells whether nothing shines through a picture.
func opaque(img image.Image) bool {
	known, ok := img.(interface{ Opaque() bool })
	return ok && known.Opaque()
}

// orientation reads how a camera was held: 1 to 8, as Exif numbers it (Exif 2.32, 4.6.4, Orientation). What cannot be read says
// nothing.
func orientation(data []byte, format imagemeta.ImageFormat) int {
	held := 1
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(data), ImageFormat: format, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return tag.Tag == "Orientation" && tag.Namespace == "IFD0" },
		HandleTag: func(tag imagemeta.TagInfo) error {
			if n, ok := tag.Value.(uint16); ok && n >= 1 && n <= 8 {
				held = int(n)
			}
			return imagemeta.ErrStopWalking
		},
	})
	if err != nil {
		return 1
	}
	return held
}

// turns says where the pixel at (x, y) of an upright picture is in one that a camera held that way has written: with x and y
// exchanged first, if they are, counted from the right, and from below.
var turns = [...]struct{ exchanged, fromRight, fromBelow bool }{
	2: {fromRight: true},
	3: {fromRight: true, fromBelow: true},
	4: {fromBelow: true},
	5: {exchanged: true},
	6: {exchanged: true, fromBelow: true},
	7: {exchanged: true, fromRight: true, fromBelow: true},
	8: {exchanged: true, fromRight: true},
}

// upright turns a picture that was taken with a camera held in one of eight ways.
func upright(img image.Image, held int) image.Image {
	if held == 1 {
		return img
	}
	var from, to []byte
	var stride int
	var turned image.Image
	turn, size := turns[held], img.Bounds().Size()
	frame := image.Rect(0, 0, size.X, size.Y)
	if turn.exchanged {
		frame = image.Rect(0, 0, size.Y, size.X)
	}
	if opaque(img) {
		source, ok := img.(*image.RGBA)
		if !ok {
			source = image.NewRGBA(img.Bounds())
			drawn(source, img)
		}
		target := image.NewRGBA(frame)
		from, stride, to, turned = source.Pix, source.Stride, target.Pix, target
	} else {
		source, ok := img.(*image.NRGBA)
		if !ok {
			source = image.NewNRGBA(img.Bounds())
			drawn(source, img)
		}
		target := image.NewNRGBA(frame)
		from, stride, to, turned = source.Pix, source.Stride, target.Pix, target
	}
	// Where the first pixel is, and how far it is from one to the next in a row and in a column.
	first, right, down := 0, 4, stride
	if turn.fromRight {
		first, right = first+4*(size.X-1), -right
	}
	if turn.fromBelow {
		first, down = first+stride*(size.Y-1), -down
	}
	if turn.exchanged {
		right, down = down, right
	}
	for range frame.Dy() {
		at := first
		for range frame.Dx() {
			copy(to[:4], from[at:at+4])
			to, at = to[4:], at+right
		}
		first += down
	}
	return turned
}
