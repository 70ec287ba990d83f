package images

import (
	"image"

	"golang.org/x/image/draw"
)

// shrink scales a picture down to a width. Catmull-Rom takes four looks at each pixel; of one that is much larger, a mean of
// pixels twice the size does as well and takes one.
func shrink(img image.Image, width int) image.Image {
	if img.Bounds().Dx() > 4*width {
		img = scale(&mean, img, 2*width)
	}
	return scale(draw.CatmullRom, img, width)
}

// mean makes a pixel of those that it covers.
var mean = draw.Kernel{Support: 0.5, At: func(float64) float64 { return 1 }} //nolint:gochecknoglobals // never changed

// strip is how many rows or columns are scaled at a time.
const strip = 32

// scale does in two steps what the kernel does in one, which takes 32 bytes for each row of the picture and column of the
// result: a gigabyte for a tall one. Rows are scaled first and columns then, some at a time. Along the side that keeps its
// length, each pixel is made of itself alone.
func scale(by *draw.Kernel, img image.Image, width int) image.Image {
	all := img.Bounds()
	height := max(1, (all.Dy()*width+all.Dx()/2)/all.Dx())
	narrow := image.NewRGBA(image.Rect(0, 0, width, all.Dy()))
	rows := by.NewScaler(width, strip, all.Dx(), strip)
	for y := 0; y < all.Dy(); y += strip {
		end := min(y+strip, all.Dy())
		from := image.Rect(all.Min.X, all.Min.Y+y, all.Max.X, all.Min.Y+end)
		rows.Scale(narrow, image.Rect(0, y, width, end), img, from, draw.Src, nil)
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	columns := by.NewScaler(strip, height, strip, all.Dy())
	for x := 0; x < width; x += strip {
		end := min(x+strip, width)
		columns.Scale(small, image.Rect(x, 0, end, height), narrow, image.Rect(x, 0, end, all.Dy()), draw.Src, nil)
	}
	return small
}
