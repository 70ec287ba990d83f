package images

import (
	"image"

	"golang.org/x/image/draw"
)

// strip is how many rows or columns are scaled at a time.
const strip = 64

// shrink scales a picture down to a width. In one step that would take 32 bytes for each row of the picture and column of the
// thumbnail, a gigabyte for a tall one; so rows are scaled first and columns then, some at a time, with the same result: along
// the side that keeps its length, each pixel is made of itself alone.
func shrink(img image.Image, width int) image.Image {
	all := img.Bounds()
	height := max(1, (all.Dy()*width+all.Dx()/2)/all.Dx())
	narrow := image.NewRGBA(image.Rect(0, 0, width, all.Dy()))
	for y := 0; y < all.Dy(); y += strip {
		end := min(y+strip, all.Dy())
		from := image.Rect(all.Min.X, all.Min.Y+y, all.Max.X, all.Min.Y+end)
		draw.CatmullRom.Scale(narrow, image.Rect(0, y, width, end), img, from, draw.Src, nil)
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	for x := 0; x < width; x += strip {
		end := min(x+strip, width)
		draw.CatmullRom.Scale(small, image.Rect(x, 0, end, height), narrow, image.Rect(x, 0, end, all.Dy()), draw.Src, nil)
	}
	return small
}
