package images

import (
	"encoding/binary"
	"image"
	"image/draw"
	"image/gif"
)

// The blocks of a GIF (GIF89a specification, 17 to 27), and what is kept of the extensions.
const (
	gifExtension = 0x21
	gifImage     = 0x2c
	gifTrailer   = 0x3b

	gifTiming = "\xf9\x04"            // a graphic control extension, of four bytes
	gifLoop   = "\xff\x0bNETSCAPE2.0" // how often an animation is shown
)

// framesOf goes through a GIF and unpacks nothing. It counts the frames and their pixels, and gives what is to be decoded: the
// GIF up to its end, without comments, texts and whatever else programs leave in one. As only blocks are left which everybody
// reads alike, what was counted is what will be unpacked. kept is nil if the blocks do not end as they should.
func framesOf(data []byte) (kept []byte, frames, pixels int) {
	const head = 13
	if len(data) < head {
		return nil, 0, 0
	}
	at := head + colorTable(data[10])
	if at > len(data) {
		return nil, 0, 0
	}
	kept = append(kept, data[:at]...)
	for at < len(data) {
		rest := data[at:]
		var length int
		switch rest[0] {
		case gifTrailer:
			return append(kept, gifTrailer), frames, pixels
		case gifExtension:
			length = subBlocks(rest, 2)
			if length > 0 && neededExtension(rest[1:length]) {
				kept = append(kept, rest[:length]...)
			}
		case gifImage:
			const descriptor = 10
			if len(rest) < descriptor {
				return nil, 0, 0
			}
			length = subBlocks(rest, descriptor+colorTable(rest[9])+1) // 1: the size of a code
			if length > 0 {
				kept = append(kept, rest[:length]...)
			}
			frames++
			pixels += int(binary.LittleEndian.Uint16(rest[5:])) * int(binary.LittleEndian.Uint16(rest[7:]))
		}
		if length == 0 {
			return nil, 0, 0
		}
		at += length
	}
	return nil, 0, 0
}

// colorTable is the length of the one that these flags announce.
func colorTable(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (1 + flags&7)
}

// subBlocks gives where the sub-blocks end that begin at a place, their terminator included; 0 if they do not.
func subBlocks(data []byte, at int) int {
	for at < len(data) {
		size := int(data[at])
		at += 1 + size
		if size == 0 {
			return at
		}
	}
	return 0
}

func neededExtension(block []byte) bool {
	switch {
	case len(block) == len(gifTiming)+4+1:
		return string(block[:len(gifTiming)]) == gifTiming
	case len(block) == len(gifLoop)+1+3+1:
		return string(block[:len(gifLoop)]) == gifLoop
	}
	return false
}

// firstFrame is what an animation shows at first.
func firstFrame(all *gif.GIF) image.Image {
	shown := image.NewNRGBA(image.Rect(0, 0, all.Config.Width, all.Config.Height))
	draw.Draw(shown, all.Image[0].Bounds(), all.Image[0], all.Image[0].Bounds().Min, draw.Over)
	return shown
}
