package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// favorites are the items that somebody keeps, in the order of the favorites' numbers, which are checked.
func (p *person) favorites(t testing.TB) []int64 {
	t.Helper()
	var got struct {
		Status string `json:"status"`
		Res    []struct {
			ID     int64 `json:"id"`
			ItemID int64 `json:"itemid"`
			UUID   int64 `json:"uuid"`
		} `json:"res"`
	}
	a := p.post(t, "/fav/query", fields{})
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Status != "success" || got.Res == nil {
		t.Fatalf("%s: %v: %s", a.asked, err, a.body)
	}
	items, last := []int64{}, int64(0)
	for _, f := range got.Res {
		if f.UUID != p.id || f.ID <= last {
			t.Errorf("%s: favorites in another order, or of others: %s", a.asked, a.body)
		}
		items, last = append(items, f.ItemID), f.ID
	}
	return items
}

func (p *person) keep(t testing.TB, items ...int64) answer {
	t.Helper()
	return p.post(t, "/fav/add", fields{"data": inList(items)})
}

func (p *person) drop(t testing.TB, items ...int64) answer {
	t.Helper()
	return p.post(t, "/fav/delete", fields{"data": inList(items)})
}

// inList is a JSON list as text.
func inList(items []int64) string {
	return strings.ReplaceAll(fmt.Sprint(items), " ", ",")
}

func (p *person) keeps(t testing.TB, want ...int64) {
	t.Helper()
	if got := p.favorites(t); !slices.Equal(got, want) {
		t.Errorf("user %d keeps %v, want %v", p.id, got, want)
	}
}

func TestFavorites(t *testing.T) { //nolint:tparallel // one step after the other
	t.Parallel()
	s := shared(t)
	owner, p := s.join(t), s.join(t)
	one, two, three := owner.add(t, powerBank()), owner.add(t, powerBank()), owner.add(t, powerBank())

	p.post(t, "/fav/query", fields{}).is(t, http.StatusOK, `{"status":"success","res":[]}`)
	p.keep(t, two, one).succeeded(t)
	p.keeps(t, two, one)
	p.keep(t, one, three, two, three).succeeded(t)
	p.keeps(t, two, one, three)
	p.keep(t).succeeded(t)
	p.drop(t, one, 999_999_999, one).succeeded(t)
	p.keeps(t, two, three)
	p.drop(t, one).succeeded(t)
	p.keep(t, one).succeeded(t)
	p.keeps(t, two, three, one)
	owner.keep(t, one).succeeded(t)
	owner.keeps(t, one)
	p.keeps(t, two, three, one)

	head := s.count(t, "favorite.added", fmt.Sprintf("favorites-%d", p.id))
	p.keep(t, one, 999_999_999, 888_888_888).failed(t, "no such item: 999999999")
	p.keep(t, 999_999_999).failed(t, "no such item: 999999999")
	p.keeps(t, two, three, one)
	if again := s.count(t, "favorite.added", fmt.Sprintf("favorites-%d", p.id)); again != head {
		t.Errorf("what was refused added %d favorites", again-head)
	}

	for name, e := range encodings {
		t.Run("in "+name, func(t *testing.T) {
			p.postAs(t, e, "/fav/delete", fields{"data": inList([]int64{one, two, three})}).succeeded(t)
			p.keeps(t)
			p.postAs(t, e, "/fav/add", fields{"data": fmt.Sprintf(` [ %d, "%d" ] `, three, one)}).succeeded(t)
			p.keeps(t, three, one)
		})
	}
	p.postAs(t, inJSON, "/fav/add", fields{"data": []any{two, fmt.Sprint(one)}}).succeeded(t)
	p.keeps(t, three, one, two)
}

func TestAThousandFavoritesAtOnce(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.join(t)
	item := p.add(t, powerBank())
	items := slices.Repeat([]int64{item}, 1000)
	p.keep(t, items...).succeeded(t)
	p.keeps(t, item)
	p.keep(t, append(items, item)...).invalid(t, "data")
}

// TestFavoritesOfOneUserFromEverywhere has one user add and remove the same few items by many requests at once, on two services
// over one database. The log's laws are checked after it.
func TestFavoritesOfOneUserFromEverywhere(t *testing.T) {
	t.Parallel()
	services := fleet(t)
	one, two := services[0], services[1]
	p := one.join(t)
	var items []int64
	for range 5 {
		items = append(items, p.add(t, powerBank()))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			me := p.via(services[n%2])
			for range 10 {
				item := items[random.IntN(len(items))]
				if random.IntN(2) == 0 {
					me.keep(t, item, items[0]).succeeded(t)
				} else {
					me.drop(t, item).succeeded(t)
				}
			}
		})
	}
	all.Wait()
	p.keep(t, items...).succeeded(t)
	if got := p.via(two).favorites(t); len(got) != len(items) {
		t.Errorf("user keeps %v of %v", got, items)
	}
	p.drop(t, items...).succeeded(t)
	p.via(two).keeps(t)
}
