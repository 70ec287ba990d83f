package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"foof/events"
)

func TestEveryPOSTTakesEachEncoding(t *testing.T) {
	t.Parallel()
	number := func(literal string) any { return literal } // as text
	for name, c := range map[string]struct {
		encoding

		number func(string) any
	}{
		"urlencoded":            {urlEncoded, number},
		"multipart":             {multiPart, number},
		"json, numbers as text": {inJSON, number},
		"json, numbers as such": {inJSON, func(literal string) any { return json.Number(literal) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shared(t)
			post := func(path string, f fields) answer {
				t.Helper()
				return s.postAs(t, c.encoding, path, f)
			}
			n := c.number(newNumber())
			post("/user/requirecode", fields{"phonenumber": n}).succeeded(t)
			code := s.lastCode(t, fmt.Sprint(n))
			post("/user/register", fields{"phonenumber": n, "verifycode": code, "password": "correct-horse"}).succeeded(t)
			in := post("/user/login", fields{"phonenumber": n, "password": "correct-horse"})
			token := in.text(t, "token")
			id := post("/user/me", fields{"token": token}).number(t, "uuid")

			item := fields{"title": "自行车", "type": 5, "price": 12.5, "imgurl": "[]", "depreciation": -3, "note": "", "sold": -1}
			sent := item.with("token", token).with("type", c.number("5")).with("price", c.number("12.50")).
				with("depreciation", c.number("-3")).with("sold", c.number("-1"))
			added := post("/item/add", sent).number(t, "itemid")
			want := shown(added, &person{id: id}, item)
			s.item(t, added).is(t, http.StatusOK, with(want, "status", "success"))

			itemID := c.number(fmt.Sprint(added))
			post("/item/modify", fields{"token": token, "itemid": itemID, "price": c.number("0.1"), "depreciatione": c.number("7")}).succeeded(t)
			want = with(with(want, "price", 0.1), "depreciation", 7)
			uuid := c.number(fmt.Sprint(id))
			post("/user/published", fields{"uuid": uuid, "limit": c.number("1"), "after": c.number(fmt.Sprint(added - 1))}).is(t, http.StatusOK, []any{want})

			buyer := s.register(t)
			post("/item/trade", fields{"token": buyer.token, "itemid": itemID}).succeeded(t)
			want = with(with(want, "sold", -2), "to", buyer.id)
			post("/user/finished", fields{"token": token}).is(t, http.StatusOK, []any{want})

			post("/user/modify", fields{"token": token, "username": "Ann", "studentid": c.number("2019")}).succeeded(t)
			if got := post("/user/me", fields{"token": token}).text(t, "studentid"); got != "2019" {
				t.Errorf("studentid %q, want 2019", got)
			}
		})
	}
}

func TestAnswersToWhatHasNoRoute(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for name, c := range map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"an unknown path":                       {"GET", "/nothing", 404, ""},
		"an unknown path, posted to":            {"POST", "/nothing", 404, ""},
		"the root":                              {"GET", "/", 404, ""},
		"a path with more behind it":            {"GET", "/item/1/2", 404, ""},
		"a path with a slash behind it":         {"GET", "/item/1/", 404, ""},
		"a path with two slashes":               {"POST", "//user/me", 404, ""},
		"an item without a number":              {"GET", "/item/", 404, ""},
		"capitals":                              {"POST", "/USER/ME", 404, ""},
		"getting what is posted to":             {"GET", "/item/trade", 405, "POST"},
		"getting what looks like a user":        {"GET", "/user/login", 405, "POST"},
		"deleting what looks like a user":       {"DELETE", "/user/login", 405, "POST"},
		"posting to an item":                    {"POST", "/item/1", 405, "GET"},
		"putting a user":                        {"PUT", "/user/1", 405, "GET"},
		"asking for options":                    {"OPTIONS", "/user/me", 405, "POST"},
		"a method that somebody made up":        {"FROBNICATE", "/user/me", 405, "POST"},
		"an unknown path with a made-up method": {"FROBNICATE", "/nothing", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.do(t, s.request(t.Context(), c.method, c.path, "", http.NoBody))
			a.refused(t, c.status, map[int]string{404: "not found", 405: "method not allowed"}[c.status])
			if allow := a.header.Get("Allow"); allow != c.allow {
				t.Errorf("Allow: %q, want %q", allow, c.allow)
			}
		})
	}
}

func TestABodyMayHaveOneMebibyteAndNoMore(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	for name, e := range encodings {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				t.Parallel()
				post := func(size int) answer {
					t.Helper()
					// Fields that nobody reads, and several, as one may have half a mebibyte.
					f := fields{"token": p.token, "a": strings.Repeat("a", 500_000), "b": strings.Repeat("b", 500_000), "c": ""}
					contentType, body := e.encode(f)
					f["c"] = strings.Repeat("c", size-len(body))
					again, body := e.encode(f)
					body = bytes.ReplaceAll(body, boundaryOf(again), boundaryOf(contentType))
					if len(body) != size {
						t.Fatalf("the body has %d bytes", len(body))
					}
					var reader io.Reader = bytes.NewReader(body)
					if chunked {
						reader = io.MultiReader(reader)
					}
					return s.postRaw(t, "/user/me", contentType, reader)
				}
				if a := post(1 << 20); a.status != http.StatusOK {
					t.Errorf("1 MiB: %d %s", a.status, a.body)
				}
				post(1<<20 + 1).tooLarge(t)
			})
		}
	}
}

// boundaryOf is what stands between the parts of a multipart body, if there is something.
func boundaryOf(contentType string) []byte {
	_, boundary, _ := strings.Cut(contentType, "boundary=")
	if boundary == "" {
		boundary = "\x00"
	}
	return []byte(boundary)
}

func TestARequestsIDIsTheCorrelationOfItsEvents(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	add := func(id string) (given string, itemid int64) {
		t.Helper()
		contentType, body := urlEncoded.encode(powerBank().with("token", p.token))
		r := s.request(t.Context(), http.MethodPost, "/item/add", contentType, bytes.NewReader(body))
		r.Header.Set("X-Request-ID", id)
		a, err := s.try(r)
		if err != nil {
			t.Fatal(err)
		}
		a.check(t, "", false)
		return a.header.Get("X-Request-ID"), a.number(t, "itemid")
	}
	metadata := func(item int64) events.Metadata {
		t.Helper()
		r := events.Recorded{Meta: value[[]byte](t, s.db, `select meta from events where stream = $1`, events.ItemID(item).Stream())}
		m, err := r.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}

	for _, sound := range []string{"7", "01J-abc_DEF.42", strings.Repeat("x", 64)} {
		given, item := add(sound)
		m := metadata(item)
		if given != sound || m.Correlation != sound || int64(m.Actor) != p.id {
			t.Errorf("%q was given back as %q, and the log has %+v, want actor %d", sound, given, m, p.id)
		}
	}
	for _, unsound := range []string{"", "two words", `"quoted"`, strings.Repeat("x", 65), "漢"} {
		given, item := add(unsound)
		if m := metadata(item); given == unsound || len(given) < 16 || m.Correlation != given {
			t.Errorf("%q was given back as %q, and the log has %+v", unsound, given, m)
		}
	}

	number := newNumber()
	asked := s.post(t, "/user/requirecode", fields{"phonenumber": number})
	const sql = `select count(*) from events where type = 'phone.code_requested' and meta ->> 'correlation' = $1 and meta -> 'actor' is null`
	if n := value[int](t, s.db, sql, asked.header.Get("X-Request-ID")); n != 1 {
		t.Errorf("%d codes were asked for by nobody in that request, want 1", n)
	}
}

func TestTextIsStoredAsSent(t *testing.T) {
	t.Parallel()
	s := shared(t)
	texts := map[string]string{
		"chinese":            "这家伙很懒，什么都没有写>^<",
		"emoji":              "👩‍👩‍👧‍👦🏳️‍🌈🇨🇳",
		"quotes":             `"double" 'single' \back\\slashes\ ` + "`ticks`",
		"markup":             `<script>alert("&amp;")</script><!-- -->`,
		"line ends":          "one\r\ntwo\nthree\rfour\u2028five\u2029six\u0085seven",
		"blanks around":      " \t two  blanks \t \n",
		"only blanks":        "   ",
		"controls":           "\x01\x02\x1b[31m\x7f\v\f",
		"what SQL might eat": `'; drop table users; --  $1 %s %% {} ?`,
		"what a URL does":    "a+b%20c&d=e;f#g?h",
		"direction marks":    "\u202eright to left\u202c שלום",
		"not normalised":     "e\u0301 ﬁ ＡＢＣ",
		"beyond the BMP":     "𝔘𝔫𝔦 𠜎",
		"noncharacters":      "\uffff\ufffe\ufeff",
		"JSON":               `{"a":[1,2,{"b":null}]}`,
		"long":               strings.Repeat("长", 255),
	}
	p := s.register(t)
	for encodingName, e := range encodings {
		for name, text := range texts {
			t.Run(name+"/"+encodingName, func(t *testing.T) {
				t.Parallel()
				item := fields{"title": text, "type": 1, "price": 1, "imgurl": text, "depreciation": 0, "note": text, "sold": 1}
				added := p.postAs(t, e, "/item/add", item).number(t, "itemid")
				want := with(shown(added, p, item), "status", "success")
				s.item(t, added).is(t, http.StatusOK, want)
				p.postAs(t, e, "/item/modify", fields{"itemid": added, "note": text + text}).succeeded(t)
				s.item(t, added).is(t, http.StatusOK, with(want, "note", text+text))
			})
		}
		t.Run("of a user/"+encodingName, func(t *testing.T) {
			t.Parallel()
			p := s.register(t)
			for _, text := range texts {
				said := fields{"username": text, "info": text, "idcard": text, "address": text}
				p.postAs(t, e, "/user/modify", said).succeeded(t)
				want := newcomer(p)
				maps.Copy(want, said)
				p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(want, "status", "success"))
			}
		})
	}
}
