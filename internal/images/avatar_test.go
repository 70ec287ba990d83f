package images

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"testing"

	"golang.org/x/image/vector"
)

var update = flag.Bool("update", false, "draw the default avatar anew")

// TestTheDefaultAvatarIsDrawnHere draws a salted fish taking a rest, and compares it with default.jpg.
func TestTheDefaultAvatarIsDrawnHere(t *testing.T) {
	t.Parallel()
	drawn := fish()
	if *update {
		var file bytes.Buffer
		if err := jpeg.Encode(&file, drawn, &jpeg.Options{Quality: 92}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(defaultName, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := jpeg.Decode(bytes.NewReader(defaultAvatar))
	if err != nil {
		t.Fatal(err)
	}
	looksLike(t, kept, drawn, 6)
}

const size = 512

// The colors.
var (
	sky, sea    = color.RGBA{0x8f, 0xdc, 0xe0, 255}, color.RGBA{0x3f, 0xa7, 0xc4, 255}
	shade       = color.RGBA{0x1e, 0x6f, 0x8e, 255}
	back, belly = color.RGBA{0xf2, 0xb1, 0x5b, 255}, color.RGBA{0xff, 0xe3, 0xae, 255}
	fin         = color.RGBA{0xe0, 0x8a, 0x3c, 255}
	ink         = color.RGBA{0x4a, 0x33, 0x2a, 255}
	blush       = color.RGBA{0xf5, 0x8f, 0x7c, 255}
	salt        = color.RGBA{0xff, 0xff, 0xff, 255}
)

// fish draws it.
func fish() image.Image {
	p := &paper{image.NewRGBA(image.Rect(0, 0, size, size))}
	for y := range size {
		row := image.Rect(0, y, size, y+1)
		draw.Draw(p, row, image.NewUniform(between(sky, sea, float64(y)/size)), image.Point{}, draw.Src)
	}
	p.fill(shade, ellipse(262, 404, 178, 24)) // its shadow

	p.fill(fin, curve(372, 286, 400, 262, 430, 196, 486, 190, 470, 236, 462, 262, 454, 290, 466, 320, 476, 346, 488, 384, 434, 380, 402, 322, 372, 296))
	p.fill(fin, curve(196, 186, 222, 128, 292, 116, 344, 152, 340, 176, 338, 192, 338, 214, 296, 190, 240, 186, 196, 200))
	p.fill(fin, curve(236, 372, 246, 408, 272, 424, 306, 418, 304, 398, 300, 384, 292, 362, 274, 368, 254, 372, 236, 372))
	body := curve(38, 296, 48, 210, 140, 160, 236, 164, 318, 168, 372, 222, 412, 290, 372, 356, 318, 394, 232, 396, 132, 398, 44, 366, 38, 296)
	p.fill(back, body)
	p.fill(belly, curve(42, 316, 92, 336, 160, 318, 236, 326, 310, 332, 362, 320, 398, 306, 360, 362, 310, 394, 232, 396, 136, 398, 54, 374, 42, 316))
	p.fill(fin, curve(254, 278, 284, 260, 328, 272, 338, 302, 328, 332, 284, 332, 258, 314, 268, 302, 268, 290, 254, 278))

	p.line(fin, 7, arc(142, 278, 88, -0.8, 0.7)) // its gill
	for _, at := range [][2]float64{{282, 212}, {322, 216}, {302, 240}, {346, 248}, {362, 282}} {
		p.line(fin, 6, arc(at[0], at[1], 13, -1.1, 1.1))
	}
	p.line(ink, 10, arc(122, 246, 26, 0.35, math.Pi-0.35)) // its eye, closed
	p.fill(blush, ellipse(146, 300, 24, 14))
	p.line(ink, 9, arc(78, 296, 30, 0.5, 1.9)) // its smile

	for _, at := range [][3]float64{ // the salt
		{196, 92, 15}, {96, 128, 11}, {300, 74, 12}, {398, 122, 15}, {250, 40, 9}, {146, 52, 8}, {444, 70, 9}, {54, 70, 9}, {352, 30, 7},
	} {
		p.fill(salt, grain(at[0], at[1], at[2]))
	}
	return p
}

// paper is what is drawn on.
type paper struct{ *image.RGBA }

// point is a pair of coordinates, from the left and from above.
type point [2]float64

func (p *paper) fill(c color.RGBA, outline []point) {
	var around image.Rectangle
	for _, at := range outline {
		x, y := int(math.Floor(at[0])), int(math.Floor(at[1]))
		around = around.Union(image.Rect(x, y, x+2, y+2))
	}
	shape := vector.NewRasterizer(around.Dx(), around.Dy())
	for i, at := range outline {
		x, y := float32(at[0])-float32(around.Min.X), float32(at[1])-float32(around.Min.Y)
		if i == 0 {
			shape.MoveTo(x, y)
			continue
		}
		shape.LineTo(x, y)
	}
	shape.ClosePath()
	shape.Draw(p, around, image.NewUniform(c), image.Point{})
}

// line draws one with round ends.
func (p *paper) line(c color.RGBA, width float64, along []point) {
	for i, to := range along {
		p.fill(c, ellipse(to[0], to[1], width/2, width/2))
		if i == 0 {
			continue
		}
		from := along[i-1]
		dx, dy := to[0]-from[0], to[1]-from[1]
		across := width / 2 / math.Hypot(dx, dy)
		dx, dy = dx*across, dy*across
		p.fill(c, []point{{from[0] - dy, from[1] + dx}, {to[0] - dy, to[1] + dx}, {to[0] + dy, to[1] - dx}, {from[0] + dy, from[1] - dx}})
	}
}

// steps is how many straight pieces a curve has.
const steps = 48

func ellipse(x, y, rx, ry float64) []point {
	outline := make([]point, steps)
	for i := range outline {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / steps)
		outline[i] = point{x + rx*cos, y + ry*sin}
	}
	return outline
}

// arc is a part of a circle, between two angles.
func arc(x, y, r, from, to float64) []point {
	var along []point
	for i := range steps / 2 {
		sin, cos := math.Sincos(from + (to-from)*float64(i)/(steps/2-1))
		along = append(along, point{x + r*cos, y + r*sin})
	}
	return along
}

// curve is made of cubic Bézier curves, each from where the one before it ends.
func curve(c ...float64) []point {
	outline := []point{{c[0], c[1]}}
	for c = c[2:]; len(c) >= 6; c = c[6:] {
		from := outline[len(outline)-1]
		for i := 1; i <= steps; i++ {
			t := float64(i) / steps
			u := 1 - t
			var at point
			for k := range at {
				at[k] = u*u*u*from[k] + 3*u*u*t*c[k] + 3*u*t*t*c[2+k] + t*t*t*c[4+k]
			}
			outline = append(outline, at)
		}
	}
	return outline
}

// grain is a square on its corner.
func grain(x, y, r float64) []point {
	return []point{{x, y - r}, {x + r*0.8, y}, {x, y + r}, {x - r*0.8, y}}
}

func between(a, b color.RGBA, t float64) color.RGBA {
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-t) + float64(b)*t)) }
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}
