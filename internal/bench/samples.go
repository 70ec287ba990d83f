package bench

import (
	"context"
	"math/rand/v2"
	"strings"

	"foof/events"

	"github.com/google/uuid"
)

// samples are encoded events to append: items that are published and then modified a few times, with texts as people write
// them, in Chinese and Latin letters, and of the size that the expected figures were taken with.
type samples struct {
	codec     *events.Codec
	published []events.Encoded
	modified  []events.Encoded
	meta      events.Metadata
}

// eventsPerItem is how many events a stream gets: the first publishes the item.
const eventsPerItem = 4

// newSamples always makes the same ones.
func newSamples(ctx context.Context) (*samples, error) {
	const kinds = 512
	var (
		r   = rand.New(rand.NewPCG(2020, 5)) //nolint:gosec // the same events in each run
		s   = &samples{codec: events.NewCodec(events.Types, nobody{}), meta: events.Metadata{Actor: 4711}}
		err error
	)
	s.meta.Correlation = uuid.NewString()
	published, modified := make([]events.Event, kinds), make([]events.Event, kinds)
	for i := range kinds {
		item := events.ItemID(1_000_000 + r.IntN(1_000_000))
		published[i] = events.ItemPublished{
			Item: item, Owner: events.UserID(1 + r.IntN(50_000)), Title: text(r, 40), Type: r.Int32N(12),
			Price: events.Price(r.IntN(500_000)), ImgURL: image(r), Depreciation: r.Int32N(10), Note: text(r, 235), Sold: events.ForSale,
		}
		title, note, url, price := text(r, 40), text(r, 255), image(r), events.Price(r.IntN(500_000))
		modified[i] = events.ItemModified{Item: item, Title: &title, Note: &note, ImgURL: &url, Price: &price}
	}
	if s.published, err = s.codec.Encode(ctx, published); err != nil {
		return nil, err
	}
	s.modified, err = s.codec.Encode(ctx, modified)
	return s, err
}

// at is an event that may be the nth of its stream, n from 1.
func (s *samples) at(n int, r *rand.Rand) events.Encoded {
	if n == 1 {
		return s.published[r.IntN(len(s.published))]
	}
	return s.modified[r.IntN(len(s.modified))]
}

// dataBytes is the average size of an event's data.
func (s *samples) dataBytes() int {
	published, modified := 0, 0
	for i := range s.published {
		published += len(s.published[i].Data)
		modified += len(s.modified[i].Data)
	}
	return (published + (eventsPerItem-1)*modified) / (eventsPerItem * len(s.published))
}

var words = []string{
	"二手", "自行车", "九成新", "可小刀", "毕业出", "宿舍自提", "送车锁", "高等数学", "有笔记", "台灯", "充电器", "耳机", "显示器", "无拆修", "包邮", "急出",
	"iPad Air", "ThinkPad X1", "USB-C", "Kindle", "128GB", "TOEFL", "Nikon D90", "used twice", "like new", "with box",
}

// text is about that many bytes of what people write about their things.
func text(r *rand.Rand, bytes int) string {
	var b strings.Builder
	for b.Len() < bytes-8 {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteString([]string{"，", " ", "。", ""}[r.IntN(4)])
	}
	return b.String()
}

func image(r *rand.Rand) string {
	const digits = "0123456789abcdef"
	name := make([]byte, 32)
	for i := range name {
		name[i] = digits[r.IntN(len(digits))]
	}
	return "/images/" + string(name) + ".jpg"
}

// nobody has no keys: the samples hold no personal data.
type nobody struct{}

func (nobody) Keys(context.Context, []events.UserID) (map[events.UserID][]byte, error) {
	return map[events.UserID][]byte{}, nil
}
