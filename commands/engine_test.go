package commands

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foof/events"
	"foof/events/store"
	"foof/internal/fault"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

var origin = Origin{Actor: 8, Correlation: "request-1"}

func TestExecute(t *testing.T) {
	t.Parallel()

	t.Run("appends what was decided, and where it came from", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		receipt, _, err := Execute(t.Context(), w.engine(), origin, TradeItem{Item: 41, Buyer: 8})
		if err != nil || receipt.Position != 2 || receipt.Version != 2 || receipt.Repeated {
			t.Fatalf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{bicycle(), traded(events.SoldOut)}, "item-41")
		meta, err := w.load(t, "item-41")[1].Metadata()
		if err != nil {
			t.Fatal(err)
		}
		id, err := uuid.Parse(meta.Command)
		if err != nil || id.Version() != 7 {
			t.Errorf("command %q, %v", meta.Command, err)
		}
		if diff := cmp.Diff(events.Metadata{Actor: 8, Command: meta.Command, Correlation: "request-1"}, meta); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
	})

	t.Run("appends to all streams or none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, requested("a", noon))
		register := RegisterUser{User: 7, Number: "13800138000", Phone: number, Codes: []string{"a"}, Password: "hash", At: noon}
		receipt, _, err := Execute(t.Context(), w.engine(), Origin{}, register)
		if err != nil || receipt.Position != 3 || receipt.Version != 1 {
			t.Fatalf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{requested("a", noon), claimed("a", 7), newcomer()}, number.Stream(), "user-7")
	})

	t.Run("of what changes nothing gives the receipt of what it was decided on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		receipt, _, err := Execute(t.Context(), w.engine(), origin, ModifyItem{User: 7, Changes: events.ItemModified{Item: 41, Title: new("自行车")}})
		if err != nil || receipt != (store.Receipt{Position: 1, Version: 1}) {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{bicycle()}, "item-41")
	})

	t.Run("of what is refused changes nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		receipt, _, err := Execute(t.Context(), w.engine(), origin, TradeItem{Item: 41, Buyer: 8})
		if !errors.Is(err, ErrNotForTrade) || receipt != (store.Receipt{}) || w.head(t) != 0 {
			t.Errorf("receipt %+v, %v, head %d", receipt, err, w.head(t))
		}
	})

	t.Run("remembers a refusal that is worth it", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, requested("a", noon))
		receipt, _, err := Execute(t.Context(), w.engine(), Origin{}, RegisterUser{User: 7, Phone: number, At: noon})
		if !errors.Is(err, ErrInvalidRequest) || receipt.Position != 2 {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{requested("a", noon), rejected("a")}, number.Stream(), "user-7")
	})

	t.Run("decides anew when somebody was faster", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		slow := w.engine(meddle(func(n int) {
			if n == 1 {
				w.append(t, events.ItemModified{Item: 41, Title: new("车"), Note: new("")})
			}
		}))
		receipt, _, err := Execute(t.Context(), slow, origin, ModifyItem{User: 7, Changes: events.ItemModified{Item: 41, Title: new("车"), Price: new(events.Price(1))}})
		if err != nil || receipt.Position != 3 || receipt.Version != 3 {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{
			bicycle(), events.ItemModified{Item: 41, Title: new("车"), Note: new("")}, events.ItemModified{Item: 41, Price: new(events.Price(1))},
		}, "item-41")
	})

	t.Run("refuses anew when somebody was faster", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		slow := w.engine(meddle(func(int) { w.append(t, events.ItemTraded{Item: 41, Buyer: 9, Sold: events.SoldOut}) }))
		receipt, _, err := Execute(t.Context(), slow, origin, TradeItem{Item: 41, Buyer: 8})
		if !errors.Is(err, ErrNotForTrade) || receipt != (store.Receipt{Position: 2, Version: 2}) {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{bicycle(), events.ItemTraded{Item: 41, Buyer: 9, Sold: events.SoldOut}}, "item-41")
	})

	t.Run("gives up when somebody is always faster", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		tries := 0
		slow := w.engine(meddle(func(n int) {
			tries = n
			w.append(t, events.ItemModified{Item: 41, Price: new(events.Price(n))})
		}))
		receipt, _, err := Execute(t.Context(), slow, origin, TradeItem{Item: 41, Buyer: 8})
		if !errors.Is(err, fault.Unavailable(nil)) || receipt != (store.Receipt{}) || tries != attempts {
			t.Errorf("receipt %+v, %v, after %d tries", receipt, err, tries)
		}
		if head := w.head(t); head != attempts+1 {
			t.Errorf("the head is at %d", head)
		}
	})

	t.Run("does not write into a stream that must be new", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, newcomer())
		w.append(t, requested("a", noon))
		receipt, _, err := Execute(t.Context(), w.engine(), Origin{}, RegisterUser{User: 7, Number: "1", Phone: number, Codes: []string{"a"}, At: noon})
		if err == nil || receipt != (store.Receipt{}) {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		w.holds(t, history{newcomer(), requested("a", noon)}, "user-7", number.Stream())
	})

	t.Run("stops when nobody waits any more", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := Execute(ctx, w.engine(), origin, TradeItem{Item: 41, Buyer: 8})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it is %v", err)
		}
		w.holds(t, history{bicycle()}, "item-41")
	})

	t.Run("does not decide over a history that it cannot read", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		_, err := w.log.Append(t.Context(), store.Append{
			Command: uuid.New(), Expect: map[string]events.Version{"item-41": 0},
			Events: []events.Encoded{{Stream: "item-41", Type: "item.burned", Schema: 1, Data: []byte(`{}`)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Execute(t.Context(), w.engine(), origin, PublishItem(bicycle()))
		if !errors.Is(err, events.ErrUnknownType) || fault.Of(err).Kind != fault.KindInternal || w.head(t) != 1 {
			t.Errorf("it is %v, head %d", err, w.head(t))
		}
	})
}

// lonely is a command over two streams, which writes to one and depends on the other's being empty.
type lonely struct{}

func (lonely) Streams() []string { return []string{"item-41", "item-42"} }

func (lonely) Decide(i item) ([]events.Event, error) {
	if i.Item != 0 {
		return nil, ErrNotForTrade
	}
	return []events.Event{bicycle()}, nil
}

func TestDecisionHoldsOfAllStreamsThatItWasMadeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := bicycle()
	other.Item = 42
	slow := w.engine(meddle(func(int) { w.append(t, other) }))
	if _, _, err := Execute(t.Context(), slow, origin, lonely{}); !errors.Is(err, ErrNotForTrade) {
		t.Errorf("it is %v", err)
	}
	w.holds(t, history{other}, "item-41", "item-42")
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 50
	w := newWorld(t)
	w.append(t, bicycle())
	var won, refused atomic.Int32
	var all sync.WaitGroup
	for n := range many {
		all.Go(func() {
			switch _, _, err := Execute(t.Context(), w.engine(), origin, TradeItem{Item: 41, Buyer: events.UserID(100 + n)}); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, ErrNotForTrade):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || refused.Load() != many-1 || w.head(t) != 2 {
		t.Errorf("%d won, %d were refused, the head is at %d", won.Load(), refused.Load(), w.head(t))
	}
}

// brokenLog is the log with an answer of its own to every Append.
type brokenLog struct {
	Log

	answer error
}

func (b brokenLog) Append(context.Context, store.Append) (store.Receipt, error) {
	return store.Receipt{}, b.answer
}

func TestLogThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()

	t.Run("when it cannot be read", func(t *testing.T) {
		t.Parallel()
		pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/none?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		begin := time.Now()
		_, _, err = Execute(t.Context(), NewEngine(store.Open(pool), codec), origin, TradeItem{Item: 41, Buyer: 8})
		if fault.Of(err).Kind != fault.KindUnavailable || fault.Of(err).RetryAfter == 0 {
			t.Errorf("after %v it is %v", time.Since(begin), err)
		}
	})

	t.Run("when it has been closed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		w.stop()
		_, _, err := Execute(t.Context(), w.engine(), origin, TradeItem{Item: 41, Buyer: 8})
		if fault.Of(err).Kind != fault.KindUnavailable || !errors.Is(err, store.ErrClosed) {
			t.Errorf("it is %v", err)
		}
		w.holds(t, history{bicycle()}, "item-41")
	})

	for name, answer := range map[string]error{
		"when it goes away before an append":           store.ErrUnavailable,
		"when the answer to an append gets lost":       store.ErrInDoubt,
		"when it goes away, and says so in more words": fmt.Errorf("append: %w", store.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.append(t, bicycle())
			broken := w.engine(func(log Log) Log { return brokenLog{log, answer} })
			_, _, err := Execute(t.Context(), broken, origin, TradeItem{Item: 41, Buyer: 8})
			if fault.Of(err).Kind != fault.KindUnavailable || !errors.Is(err, answer) {
				t.Errorf("it is %v", err)
			}
		})
	}

	t.Run("and an append that is wrong is not", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, bicycle())
		wrong := errors.New("22P05")
		broken := w.engine(func(log Log) Log { return brokenLog{log, wrong} })
		_, _, err := Execute(t.Context(), broken, origin, TradeItem{Item: 41, Buyer: 8})
		if fault.Of(err).Kind != fault.KindInternal || !errors.Is(err, wrong) {
			t.Errorf("it is %v", err)
		}
	})
}
