package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
)

// showing wants the item to read as these fields say.
func (p *person) showing(t *testing.T, id int64, f fields) {
	t.Helper()
	p.item(t, id).is(t, http.StatusOK, with(shown(id, p, f), "status", "success"))
}

func TestAddingAnItem(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)

	t.Run("shows it as it was sent", func(t *testing.T) {
		t.Parallel()
		for _, sold := range []int{1, -1} {
			item := powerBank().with("price", 299.9).with("sold", sold)
			p.showing(t, p.add(t, item), item)
		}
	})
	t.Run("takes type, title, price and sold, and needs no more", func(t *testing.T) {
		t.Parallel()
		least := fields{"title": "x", "type": 0, "price": 0, "sold": 1}
		want := least.with("imgurl", "").with("depreciation", 0).with("note", "")
		p.showing(t, p.add(t, least), want)
		for name := range least {
			p.post(t, "/item/add", least.without(name)).invalid(t, name)
			if name != "title" {
				p.post(t, "/item/add", least.with(name, "")).invalid(t, name)
			}
		}
	})
	t.Run("gives the price back exactly", func(t *testing.T) {
		t.Parallel()
		for sent, want := range map[string]json.Number{
			"1.23": "1.23", "987": "987", "0": "0", "0.00": "0", "0.1": "0.1", "0.10": "0.1", "0.01": "0.01", "1.50": "1.5", "3.99": "3.99",
			"9999999999.99": "9999999999.99", "9999999999": "9999999999", "4503599627.37": "4503599627.37", "007.5": "7.5", "100": "100", "0.29": "0.29",
		} {
			id := p.add(t, powerBank().with("price", sent))
			p.showing(t, id, powerBank().with("price", want))
			if literal, err := literally(sent); err == nil { // as a JSON number, too
				p.postAs(t, inJSON, "/item/modify", fields{"itemid": id, "price": 5}).succeeded(t)
				p.postAs(t, inJSON, "/item/modify", fields{"itemid": id, "price": literal}).succeeded(t)
				p.showing(t, id, powerBank().with("price", want))
			}
		}
	})
	t.Run("refuses other prices", func(t *testing.T) {
		t.Parallel()
		for _, wrong := range []string{
			"-1", "-0.01", "10000000000", "9999999999.991", "1.234", "1e3", "1,5", "NaN", "Infinity", "+1", " 1", "1 ", ".5", "1.", "0x10",
			"¥5", "１", "", "null", "1_000", strings.Repeat("9", 1000), "0." + strings.Repeat("0", 1000) + "1",
		} {
			p.post(t, "/item/add", powerBank().with("price", wrong)).invalid(t, "price")
		}
		for _, wrong := range []any{json.Number("1e2"), json.Number("-1"), json.Number("1e400"), json.Number("0.001"), true, []int{1}, fields{"a": 1}, nil} {
			p.postAs(t, inJSON, "/item/add", powerBank().with("price", wrong)).invalid(t, "price")
		}
	})
	t.Run("takes numbers of 32 bits as type and depreciation", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{math.MinInt32, -1, 0, 798, math.MaxInt32} {
			item := powerBank().with("price", 987).with("type", n).with("depreciation", n)
			p.showing(t, p.add(t, item), item)
		}
		for _, name := range []string{"type", "depreciation"} {
			for _, wrong := range []string{"2147483648", "-2147483649", "1.0", "1e3", "x", "", "--1", "0x1"} {
				p.post(t, "/item/add", powerBank().with(name, wrong)).invalid(t, name)
			}
		}
	})
	t.Run("takes 1 and -1 as sold", func(t *testing.T) {
		t.Parallel()
		for _, wrong := range []any{2, -2, 0, 3, "", "sale", "01x"} {
			p.post(t, "/item/add", powerBank().with("sold", wrong)).invalid(t, "sold")
		}
	})
	t.Run("bounds its texts", func(t *testing.T) {
		t.Parallel()
		item := powerBank().with("price", 1).with("title", strings.Repeat("题", 255)).
			with("note", strings.Repeat("注", 10_000)).with("imgurl", strings.Repeat("图", 10_000))
		p.showing(t, p.add(t, item), item)
		p.post(t, "/item/add", item.with("title", strings.Repeat("题", 256))).invalid(t, "title")
		p.post(t, "/item/add", item.with("title", "")).invalid(t, "title")
		p.post(t, "/item/add", item.with("note", strings.Repeat("注", 10_001))).invalid(t, "note")
		p.post(t, "/item/add", item.with("imgurl", strings.Repeat("图", 10_001))).invalid(t, "imgurl")
	})
	t.Run("takes imgurl as a list in JSON, and gives its text back", func(t *testing.T) {
		t.Parallel()
		const list = `[ "image\\item\\0.35.jpg",  "image\\item\\0.51.jpg" ]`
		a := s.postRaw(t, "/item/add", "application/json",
			strings.NewReader(fmt.Sprintf(`{"token":%q,"title":"x","type":1,"price":1,"sold":1,"imgurl":%s}`, p.token, list)))
		if got := p.item(t, a.number(t, "itemid")).text(t, "imgurl"); got != list {
			t.Errorf("imgurl is %s, want %s", got, list)
		}
	})
}

func TestModifyingAnItem(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)

	t.Run("leaves alone what is left out", func(t *testing.T) {
		t.Parallel()
		want := powerBank().with("price", 299.9)
		id := p.add(t, want)
		for _, c := range []struct {
			field string
			to    any
		}{
			{"title", "充电宝"}, {"type", 3}, {"price", 199.9}, {"imgurl", "[]"}, {"depreciation", 97}, {"note", ""}, {"sold", -1}, {"imgurl", ""},
		} {
			p.post(t, "/item/modify", fields{"itemid": id, c.field: c.to}).succeeded(t)
			want[c.field] = c.to
			p.showing(t, id, want)
		}
		p.post(t, "/item/modify", fields{"itemid": id}).succeeded(t)
		p.post(t, "/item/modify", want.with("itemid", id)).succeeded(t) // all of it, as before
		p.showing(t, id, want)
		if n := s.count(t, "item.modified", fmt.Sprintf("item-%d", id)); n != 8 {
			t.Errorf("8 changes made %d events", n)
		}
	})
	t.Run("reads depreciatione as depreciation", func(t *testing.T) {
		t.Parallel()
		want := powerBank().with("price", 1)
		id := p.add(t, want)
		p.post(t, "/item/modify", fields{"itemid": id, "depreciatione": 50}).succeeded(t)
		p.showing(t, id, want.with("depreciation", 50))
		p.post(t, "/item/modify", fields{"itemid": id, "depreciatione": 50, "depreciation": 40}).succeeded(t)
		p.showing(t, id, want.with("depreciation", 40))
		p.post(t, "/item/modify", fields{"itemid": id, "depreciatione": "x"}).invalid(t, "depreciatione")
	})
	t.Run("is for the owner", func(t *testing.T) {
		t.Parallel()
		want := powerBank().with("price", 1)
		id := p.add(t, want)
		s.register(t).post(t, "/item/modify", fields{"itemid": id, "title": "mine"}).forbidden(t)
		p.showing(t, id, want)
	})
	t.Run("of an item that there is not is none", func(t *testing.T) {
		t.Parallel()
		for _, id := range []string{"999999999", "9223372036854775807"} {
			p.post(t, "/item/modify", fields{"itemid": id, "title": "x"}).none(t)
		}
		for _, id := range []string{"0", "-1", "9223372036854775808", "x", "", "1.0", "1e0"} {
			p.post(t, "/item/modify", fields{"itemid": id, "title": "x"}).invalid(t, "itemid")
		}
		p.post(t, "/item/modify", fields{"title": "x"}).invalid(t, "itemid")
	})
	t.Run("checks what it is given as adding does", func(t *testing.T) {
		t.Parallel()
		want := powerBank().with("price", 1)
		id := p.add(t, want)
		for name, wrong := range map[string]any{
			"title": "", "type": "x", "price": "-1", "imgurl": strings.Repeat("x", 10_001), "depreciation": "1.5", "note": strings.Repeat("x", 10_001), "sold": 0,
		} {
			p.post(t, "/item/modify", fields{"itemid": id, name: wrong}).invalid(t, name)
			p.post(t, "/item/modify", fields{"itemid": id, "title": "must not be stored", "note": "neither", name: wrong}).invalid(t, name)
		}
		p.showing(t, id, want)
	})
	t.Run("may set any state until the item was traded here", func(t *testing.T) {
		t.Parallel()
		want := powerBank().with("price", 1)
		id := p.add(t, want)
		for _, sold := range []int{2, -1, -2, 1, -2, 2, 1} {
			p.post(t, "/item/modify", fields{"itemid": id, "sold": sold}).succeeded(t)
			p.showing(t, id, want.with("sold", sold))
		}
		buyer := s.register(t)
		buyer.trade(t, id).succeeded(t)
		for _, sold := range []int{1, 2, -1, -2} {
			p.post(t, "/item/modify", fields{"itemid": id, "sold": sold, "title": "must not be stored"}).failed(t, "item already traded")
		}
		buyer.post(t, "/item/modify", fields{"itemid": id, "title": "must not be stored"}).forbidden(t)
		p.post(t, "/item/modify", fields{"itemid": id, "note": "gone"}).succeeded(t)
		p.item(t, id).is(t, http.StatusOK, with(with(with(with(shown(id, p, want), "note", "gone"), "sold", 2), "to", buyer.id), "status", "success"))
	})
}

func TestTradingAnItem(t *testing.T) {
	t.Parallel()
	s := shared(t)
	const refusal = "item not availabe for trade"
	owner, buyer := s.register(t), s.register(t)

	for from, to := range map[int]int{1: 2, -1: -2} {
		t.Run(fmt.Sprintf("%d becomes %d, to the caller", from, to), func(t *testing.T) {
			t.Parallel()
			item := powerBank().with("price", 987).with("sold", from)
			id := owner.add(t, item)
			owner.trade(t, id).failed(t, refusal)
			owner.showing(t, id, item)
			buyer.trade(t, id).succeeded(t)
			want := with(with(shown(id, owner, item), "sold", to), "to", buyer.id)
			s.item(t, id).is(t, http.StatusOK, with(want, "status", "success"))
			for _, p := range []*person{buyer, owner, s.register(t)} {
				p.trade(t, id).failed(t, refusal)
			}
			s.item(t, id).is(t, http.StatusOK, with(want, "status", "success"))
		})
	}
	t.Run("a deal closed elsewhere is closed here, and can be opened again", func(t *testing.T) {
		t.Parallel()
		for _, closed := range []int{2, -2} {
			id := owner.add(t, powerBank())
			owner.post(t, "/item/modify", fields{"itemid": id, "sold": closed}).succeeded(t)
			buyer.trade(t, id).failed(t, refusal)
			owner.post(t, "/item/modify", fields{"itemid": id, "sold": -1}).succeeded(t)
			buyer.trade(t, id).succeeded(t)
			if got := s.item(t, id).number(t, "sold"); got != -2 {
				t.Errorf("sold is %d, want -2", got)
			}
		}
	})
	t.Run("an item that there is not cannot be had", func(t *testing.T) {
		t.Parallel()
		for _, id := range []string{"999999999", "9223372036854775807"} {
			buyer.post(t, "/item/trade", fields{"itemid": id}).failed(t, refusal)
		}
		for _, id := range []string{"0", "-1", "9223372036854775808", "x", "", "1.0"} {
			buyer.post(t, "/item/trade", fields{"itemid": id}).invalid(t, "itemid")
		}
		buyer.post(t, "/item/trade", fields{}).invalid(t, "itemid")
	})
}

func TestListsOfItems(t *testing.T) {
	t.Parallel()
	s := shared(t)
	owner, buyer := s.register(t), s.register(t)
	state := func(p *person, sold int) { // an item of the owner's, in the state that p brought it to
		t.Helper()
		item := powerBank().with("price", 1)
		id := owner.add(t, item)
		if p == buyer {
			buyer.trade(t, id).succeeded(t)
			return
		}
		owner.post(t, "/item/modify", fields{"itemid": id, "sold": sold}).succeeded(t)
	}
	state(owner, 1)
	state(owner, 2)
	state(buyer, 2)
	state(owner, -1)
	state(owner, -2)
	state(buyer, 2)
	bought := buyer.add(t, powerBank().with("price", 1)) // and one the other way
	owner.trade(t, bought).succeeded(t)

	published, _ := s.post(t, "/user/published", fields{"uuid": owner.id}).json(t).([]any)
	finished, _ := owner.post(t, "/user/finished", fields{}).json(t).([]any)
	t.Run("published has all of somebody's, by itemid", func(t *testing.T) {
		t.Parallel()
		got := ""
		for _, item := range published {
			got += fmt.Sprint(item.(object)["sold"], ":", item.(object)["to"], " ")
		}
		if want := fmt.Sprintf("1:<nil> 2:<nil> 2:%d -1:<nil> -2:<nil> 2:%d ", buyer.id, buyer.id); got != want {
			t.Errorf("published is %s, want %s", got, want)
		}
	})
	t.Run("finished has what is sold or got, and was the caller's or came to the caller", func(t *testing.T) {
		t.Parallel()
		own := s.item(t, bought).json(t).(object)
		delete(own, "status")
		want := []any{published[1], published[2], published[4], published[5], own}
		owner.post(t, "/user/finished", fields{}).is(t, http.StatusOK, want)
		buyer.post(t, "/user/finished", fields{}).is(t, http.StatusOK, []any{published[2], published[5], own})
		s.register(t).post(t, "/user/finished", fields{}).is(t, http.StatusOK, `[]`)
	})
	for path, c := range map[string]struct {
		f   fields
		all []any
	}{
		"/user/published": {fields{"uuid": owner.id}, published},
		"/user/finished":  {fields{}, finished},
	} {
		t.Run(path+" pages by limit and after", func(t *testing.T) {
			t.Parallel()
			post := func(f fields) answer {
				t.Helper()
				return owner.post(t, path, f)
			}
			for limit := 1; limit <= len(c.all)+1; limit++ {
				after, rest := json.Number("0"), c.all
				for len(rest) > 0 {
					page := rest[:min(limit, len(rest))]
					post(c.f.with("limit", limit).with("after", after)).is(t, http.StatusOK, page)
					rest = rest[len(page):]
					after = page[len(page)-1].(object)["itemid"].(json.Number)
				}
				post(c.f.with("limit", limit).with("after", after)).is(t, http.StatusOK, `[]`)
			}
			post(c.f.with("after", c.all[1].(object)["itemid"])).is(t, http.StatusOK, c.all[2:])
			post(c.f.with("after", "9223372036854775807")).is(t, http.StatusOK, `[]`)
			for _, wrong := range []string{"0", "-1", "1001", "x", "", "1.5"} {
				post(c.f.with("limit", wrong)).invalid(t, "limit")
			}
			for _, wrong := range []string{"-1", "x", "", "9223372036854775808"} {
				post(c.f.with("after", wrong)).invalid(t, "after")
			}
		})
	}
	t.Run("published wants a uuid", func(t *testing.T) {
		t.Parallel()
		for _, wrong := range []string{"0", "-1", "x", "", "9223372036854775808"} {
			s.post(t, "/user/published", fields{"uuid": wrong}).invalid(t, "uuid")
		}
		s.post(t, "/user/published", fields{}).invalid(t, "uuid")
	})
}

func TestNumbersCountUpFromOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := int64(1); i <= 3; i++ {
		p := s.register(t)
		if p.id != i {
			t.Errorf("user %d has uuid %d", i, p.id)
		}
		s.post(t, "/user/register", fields{"phonenumber": p.number, "verifycode": "000000", "password": p.password}).failed(t, "invaild request")
		p.post(t, "/item/add", powerBank().with("price", "x")).invalid(t, "price")
		if id := p.add(t, powerBank()); id != i {
			t.Errorf("item %d has itemid %d", i, id)
		}
	}
}
