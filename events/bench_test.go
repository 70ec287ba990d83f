package events

import (
	"strings"
	"testing"
)

// typical is an item as people publish them: about 400 bytes in the log.
var typical = ItemPublished{
	Item: 123_456, Owner: 78_901, Title: "捷安特自行车 26寸 九成新，毕业低价出", Type: 3, Price: 39_900,
	ImgURL:       `["image\\item\\0.35113526938054584.jpg","image\\item\\0.8839201736452817.jpg"]`,
	Depreciation: 9, Note: strings.Repeat("骑了一年，刹车和轮胎都换过新的。", 4), Sold: ForSale,
}

func BenchmarkEncode(b *testing.B) {
	codec := NewCodec(Types, keyring{})
	facts := []Event{typical}
	b.ReportAllocs()
	b.SetBytes(int64(len(mustEncode(b, codec, typical)[0].Data)))
	for b.Loop() {
		if _, err := codec.Encode(b.Context(), facts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	codec := NewCodec(Types, keyring{})
	page := []Recorded{record(mustEncode(b, codec, typical)[0])}
	b.ReportAllocs()
	b.SetBytes(int64(len(page[0].Data)))
	for b.Loop() {
		if err := codec.Decode(b.Context(), page); err != nil {
			b.Fatal(err)
		}
	}
}
