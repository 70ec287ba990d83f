package commands

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"foof/events"
	"foof/internal/fault"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// offered is what somebody who has never seen the code would note about an item.
type offered struct {
	there, traded bool
	owner         events.UserID
	sold          events.Sold
	title         string
}

// TestItemIsTradedOnceAtMost carries out any sequence of commands on one item, by its owner and others, and holds each outcome
// against a model.
func TestItemIsTradedOnceAtMost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			past  history
			model offered
			users = rapid.SampledFrom([]events.UserID{7, 8, 9})
			sold  = rapid.SampledFrom([]events.Sold{events.ForSale, events.SoldOut, events.Wanted, events.Obtained})
			title = rapid.SampledFrom([]string{"a", "b"})
		)
		do := func(c Command[item]) error {
			facts, err := c.Decide(fold[item](past))
			past = append(past, facts...)
			return err
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				e := events.ItemPublished{Item: 1, Owner: users.Draw(t, "owner"), Title: title.Draw(t, "title"), Sold: events.ForSale}
				if rapid.Bool().Draw(t, "wanted") {
					e.Sold = events.Wanted
				}
				if err := do(PublishItem(e)); (err != nil) != model.there {
					t.Fatalf("publish: %v, while it is there: %t", err, model.there)
				}
				if !model.there {
					model = offered{there: true, owner: e.Owner, sold: e.Sold, title: e.Title}
				}
			},
			"modify": func(t *rapid.T) {
				c := ModifyItem{User: users.Draw(t, "user"), Changes: events.ItemModified{Item: 1}}
				if rapid.Bool().Draw(t, "with title") {
					c.Changes.Title = new(title.Draw(t, "title"))
				}
				if rapid.Bool().Draw(t, "with state") {
					c.Changes.Sold = new(sold.Draw(t, "sold"))
				}
				var want error
				switch {
				case !model.there:
					want = fault.ErrNone
				case model.owner != c.User:
					want = fault.ErrForbidden
				case model.traded && c.Changes.Sold != nil:
					want = ErrAlreadyTraded
				default:
					set(&model.title, c.Changes.Title)
					set(&model.sold, c.Changes.Sold)
				}
				if err := do(c); !errors.Is(err, want) {
					t.Fatalf("modify: %v, want %v", err, want)
				}
			},
			"trade": func(t *rapid.T) {
				c := TradeItem{Item: 1, Buyer: users.Draw(t, "buyer")}
				var want error
				switch {
				case !model.there, model.owner == c.Buyer, model.sold != events.ForSale && model.sold != events.Wanted:
					want = ErrNotForTrade
				default:
					model.traded, model.sold = true, 2*model.sold
				}
				if err := do(c); !errors.Is(err, want) {
					t.Fatalf("trade: %v, want %v", err, want)
				}
			},
			"": func(t *rapid.T) {
				trades := 0
				for _, e := range past {
					if _, ok := e.(events.ItemTraded); ok {
						trades++
					}
				}
				if trades > 1 {
					t.Fatalf("it was traded %d times", trades)
				}
				i := fold[item](past)
				got := offered{there: i.Item != 0, traded: i.traded, owner: i.Owner, sold: i.Sold, title: i.Title}
				if got != model {
					t.Fatalf("it adds up to %+v, want %+v", got, model)
				}
			},
		})
	})
}

// TestNumberIsClaimedOnceAtMost carries out any sequence of commands on one phone number while time passes, and holds the
// history against the contract's sentences.
func TestNumberIsClaimedOnceAtMost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			past history
			now  = noon
			made []string // codes, right ones among them
		)
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				seconds := rapid.SampledFrom([]int{1, 60, 599, 600, 900, 3600, 86_400}).Draw(t, "seconds")
				now = now.Add(time.Duration(seconds) * time.Second)
			},
			"request": func(t *rapid.T) {
				code := strconv.Itoa(len(made))
				made = append(made, code)
				facts, err := RequestCode{Phone: number, Code: code, At: now, Limits: limits}.Decide(fold[phone](past))
				if free := mayRequest(past, now); (err == nil) != free {
					t.Fatalf("request: %v, while the limits allow it: %t", err, free)
				}
				past = append(past, facts...)
			},
			"register": func(t *rapid.T) {
				var codes []string
				if len(made) > 0 {
					codes = rapid.SliceOfNDistinct(rapid.SampledFrom(made), 0, 2, rapid.ID).Draw(t, "codes")
				}
				facts, err := RegisterUser{User: 7, Phone: number, Codes: codes, At: now}.Decide(fold[phone](past))
				good := mayRegister(past, codes, now)
				taken := slices.ContainsFunc(past, isClaim)
				switch {
				case !good && !errors.Is(err, ErrInvalidRequest), good && taken && !errors.Is(err, ErrPhoneTaken), good && !taken && err != nil:
					t.Fatalf("register: %v, while the code counts: %t, and the number is taken: %t", err, good, taken)
				case good && !taken && len(facts) != 2, len(facts) > 0 && good && taken:
					t.Fatalf("register: %v", facts)
				}
				past = append(past, slices.DeleteFunc(facts, func(e events.Event) bool { return e.Stream() != number.Stream() })...)
			},
			"": func(t *rapid.T) {
				claims := 0
				for _, e := range past {
					if isClaim(e) {
						claims++
					}
				}
				if claims > 1 {
					t.Fatalf("it was claimed %d times", claims)
				}
			},
		})
	})
}

func isClaim(e events.Event) bool {
	_, ok := e.(events.PhoneClaimed)
	return ok
}

// mayRequest counts requests as the contract does.
func mayRequest(past history, now time.Time) bool {
	quarter, day := 0, 0
	for _, e := range past {
		if e, ok := e.(events.PhoneCodeRequested); ok {
			if now.Sub(e.At) < 15*time.Minute {
				quarter++
			}
			if now.Sub(e.At) < 24*time.Hour {
				day++
			}
		}
	}
	return quarter < 5 && day < 10
}

// mayRegister looks for the last code requested, and for what became of it.
func mayRegister(past history, codes []string, now time.Time) bool {
	for i, e := range slices.Backward(past) {
		if e, ok := e.(events.PhoneCodeRequested); ok {
			wrong := 0
			for _, later := range past[i+1:] {
				if isClaim(later) {
					return false
				}
				wrong++
			}
			return wrong < 5 && now.Sub(e.At) < 10*time.Minute && slices.Contains(codes, e.Code)
		}
	}
	return false
}

// anyPhone, anyItem and anyUser draw histories that need not make sense: folding takes whatever is in the log.

func anyPhone() *rapid.Generator[events.Event] {
	code := rapid.SampledFrom([]string{"a", "b"})
	request := rapid.Custom(func(t *rapid.T) events.Event {
		return requested(code.Draw(t, "code"), noon.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "s"))*time.Second))
	})
	return rapid.OneOf(
		request, request, request, request, // they are what adds up
		rapid.Custom(func(t *rapid.T) events.Event { return rejected(code.Draw(t, "code")) }),
		rapid.Custom(func(t *rapid.T) events.Event { return claimed(code.Draw(t, "code"), 7) }),
		rapid.Just[events.Event](events.ItemTraded{}),
	)
}

func anyItem() *rapid.Generator[events.Event] {
	sold := rapid.SampledFrom([]events.Sold{events.ForSale, events.SoldOut, events.Wanted, events.Obtained})
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) events.Event {
			return events.ItemPublished{Item: 1, Owner: 7, Title: rapid.String().Draw(t, "title"), Sold: sold.Draw(t, "sold")}
		}),
		rapid.Custom(func(t *rapid.T) events.Event {
			return events.ItemModified{
				Item: 1, Title: rapid.Ptr(rapid.String(), true).Draw(t, "title"), Sold: rapid.Ptr(sold, true).Draw(t, "sold"),
				Price: (*events.Price)(rapid.Ptr(rapid.Int64(), true).Draw(t, "price")),
			}
		}),
		rapid.Just[events.Event](traded(events.SoldOut)),
		rapid.Just[events.Event](events.PhoneClaimed{}),
	)
}

func anyUser() *rapid.Generator[events.Event] {
	private := rapid.Custom(func(t *rapid.T) events.Private {
		if rapid.Bool().Draw(t, "absent") {
			return events.Private{}
		}
		return events.NewPrivate(rapid.String().Draw(t, "text"))
	})
	return rapid.OneOf(
		rapid.Just[events.Event](newcomer()),
		rapid.Custom(func(t *rapid.T) events.Event {
			return events.UserProfileChanged{User: 7, Username: private.Draw(t, "username"), Address: private.Draw(t, "address")}
		}),
		rapid.Custom(func(t *rapid.T) events.Event {
			return events.UserStudentIDChanged{User: 7, StudentID: private.Draw(t, "number")}
		}),
		rapid.Just[events.Event](events.UserPasswordChanged{User: 7}),
		rapid.Custom(func(t *rapid.T) events.Event {
			return mailed("a@b", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "ticket"), noon.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "h"))*time.Hour))
		}),
		rapid.Custom(func(t *rapid.T) events.Event {
			return verified(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "ticket"))
		}),
		rapid.Just[events.Event](events.ItemTraded{}),
	)
}

func TestFolding(t *testing.T) {
	t.Parallel()
	t.Run("of a phone number", func(t *testing.T) { t.Parallel(); rapid.Check(t, foldsPurely[phone](anyPhone())) })
	t.Run("of an item", func(t *testing.T) { t.Parallel(); rapid.Check(t, foldsPurely[item](anyItem())) })
	t.Run("of a user", func(t *testing.T) { t.Parallel(); rapid.Check(t, foldsPurely[user](anyUser())) })
}

// foldsPurely checks that a history always adds up to the same, and that a state is never changed by what follows from it: not
// even if two futures follow from one past.
func foldsPurely[S State[S]](event *rapid.Generator[events.Event]) func(*rapid.T) {
	return func(t *rapid.T) {
		past := history(rapid.SliceOfN(event, 0, 30).Draw(t, "past"))
		one, other := event.Draw(t, "one future"), event.Draw(t, "another")
		same := cmp.AllowUnexported(phone{}, item{}, user{})

		base := fold[S](past)
		first := base.Evolve(one)
		base.Evolve(other)
		if diff := cmp.Diff(fold[S](past), base, same); diff != "" {
			t.Fatalf("the past was changed by its futures (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(fold[S](append(slices.Clip(past), one)), first, same); diff != "" {
			t.Fatalf("one future was changed by another (-want +got):\n%s", diff)
		}
	}
}
