package form

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reading is one getter, applied to a field of a JSON body. The body is
// written in the test, the field is called x.
type reading struct {
	name, body string
	get        func(*Form) any
	want       any    // what the getter returns if there is no fault
	fault      string // the fault, if any
}

func testReadings(t *testing.T, tests []reading) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := read(t, typeJSON, test.body)
			got := test.get(f)
			if test.fault != "" {
				wantInvalid(t, f.Err(), test.fault)
				return
			}
			if err := f.Err(); err != nil {
				t.Fatalf("Err: %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	text := func(f *Form) any { return f.Text("x", 2, 4) }
	optional := func(f *Form) any { return f.OptionalText("x", 2, 4) }
	raw := func(f *Form) any { return f.RawText("x", 0, 20) }
	testReadings(t, []reading{
		{"text within its bounds", `{"x":"abcd"}`, text, "abcd", ""},
		{"bounds count characters", `{"x":"闲鱼人员"}`, text, "闲鱼人员", ""},
		{"text too short", `{"x":"a"}`, text, nil, "x: must have at least 2 characters"},
		{"text too long", `{"x":"闲鱼人员们"}`, text, nil, "x: must have at most 4 characters"},
		{"empty text", `{"x":""}`, text, nil, "x: must not be empty"},
		{"empty text where that is allowed", `{"x":""}`, raw, "", ""},
		{"a number is its literal", `{"x":1e0}`, text, "1e0", ""},
		{"a boolean is no text", `{"x":true}`, text, nil, "x: must be text"},
		{"an object is no text", `{"x":{}}`, text, nil, "x: must be text"},
		{"a list is no text", `{"x":[]}`, text, nil, "x: must be text"},
		{"text that was left out", `{"X":"ab"}`, text, nil, "x: is missing"},
		{"null was left out", `{"x":null}`, text, nil, "x: is missing"},
		{"optional text", `{"x":"ab"}`, optional, new("ab"), ""},
		{"optional text that was left out", `{}`, optional, (*string)(nil), ""},
		{"optional text that is null", `{"x":null}`, optional, (*string)(nil), ""},
		{"optional text out of bounds", `{"x":""}`, optional, nil, "x: must not be empty"},
		{"raw text", `{"x":"[\"a\"]"}`, raw, `["a"]`, ""},
		{"a list as raw text", `{"x": [ "a\\b" , 1] }`, raw, `[ "a\\b" , 1]`, ""},
		{"an object as raw text", `{"x":{"y":[1]}}`, raw, `{"y":[1]}`, ""},
		{"a boolean is no raw text", `{"x":false}`, raw, nil, "x: must be text"},
		{"raw text that is too long", `{"x":["aaaaaaaaaaaaaaaaaa"]}`, raw, nil, "x: must have at most 20 characters"},
		{"raw text that was left out", `{}`, raw, nil, "x: is missing"},
		{"optional raw text that was left out", `{}`, func(f *Form) any { return f.OptionalRawText("x", 0, 1) }, (*string)(nil), ""},
	})
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	integer := func(f *Form) any { return f.Int("x") }
	optional := func(f *Form) any { return f.OptionalInt("x", Between(1, 100)) }
	oneOf := func(f *Form) any { return f.Int("x", OneOf(1, -1)) }
	id := func(f *Form) any { return f.ID("x") }
	testReadings(t, []reading{
		{"a number", `{"x":-2147483648}`, integer, int32(-2147483648), ""},
		{"a number as text", `{"x":"2147483647"}`, integer, int32(2147483647), ""},
		{"leading zeros", `{"x":"007"}`, integer, int32(7), ""},
		{"minus zero", `{"x":-0}`, integer, int32(0), ""},
		{"one too many", `{"x":2147483648}`, integer, nil, "x: must be between -2147483648 and 2147483647"},
		{"far too many", `{"x":-99999999999999999999999}`, integer, nil, "x: must be between -2147483648 and 2147483647"},
		{"a fraction", `{"x":1.0}`, integer, nil, "x: must be a whole number"},
		{"an exponent", `{"x":1e2}`, integer, nil, "x: must be a whole number"},
		{"a plus", `{"x":"+1"}`, integer, nil, "x: must be a whole number"},
		{"two signs", `{"x":"--1"}`, integer, nil, "x: must be a whole number"},
		{"a blank", `{"x":" 1"}`, integer, nil, "x: must be a whole number"},
		{"another script's digits", `{"x":"１"}`, integer, nil, "x: must be a whole number"},
		{"underscores", `{"x":"1_000"}`, integer, nil, "x: must be a whole number"},
		{"nothing", `{"x":""}`, integer, nil, "x: must be a whole number"},
		{"a boolean", `{"x":true}`, integer, nil, "x: must be a number"},
		{"an object", `{"x":{}}`, integer, nil, "x: must be a number"},
		{"a list", `{"x":[1]}`, integer, nil, "x: must be a number"},
		{"a number that was left out", `{}`, integer, nil, "x: is missing"},
		{"an optional number", `{"x":100}`, optional, new(int32(100)), ""},
		{"an optional number that was left out", `{"x":null}`, optional, (*int32)(nil), ""},
		{"an optional number that is empty", `{"x":""}`, optional, nil, "x: must be a whole number"},
		{"below its bounds", `{"x":0}`, optional, nil, "x: must be between 1 and 100"},
		{"above its bounds", `{"x":101}`, optional, nil, "x: must be between 1 and 100"},
		{"one of its values", `{"x":-1}`, oneOf, int32(-1), ""},
		{"none of its values", `{"x":2}`, oneOf, nil, "x: must be one of 1, -1"},
		{"an id", `{"x":9223372036854775807}`, id, int64(9223372036854775807), ""},
		{"an id as text", `{"x":"1"}`, id, int64(1), ""},
		{"an id too high", `{"x":9223372036854775808}`, id, nil, "x: must be a positive whole number"},
		{"an id of zero", `{"x":0}`, id, nil, "x: must be a positive whole number"},
		{"a negative id", `{"x":-1}`, id, nil, "x: must be a positive whole number"},
		{"an id that is no number", `{"x":[1]}`, id, nil, "x: must be a number"},
		{"an id that was left out", `{}`, id, nil, "x: is missing"},
		{"an optional id", `{"x":5}`, func(f *Form) any { return f.OptionalID("x") }, new(int64(5)), ""},
		{"an optional id that was left out", `{}`, func(f *Form) any { return f.OptionalID("x") }, (*int64)(nil), ""},
	})
}

func TestPrice(t *testing.T) {
	t.Parallel()
	price := func(f *Form) any { return f.Price("x") }
	const (
		noDecimal = "x: must be a decimal number from 0 to 9999999999.99, such as 12.50"
		tooHigh   = "x: must be at most 9999999999.99"
		tooFine   = "x: must have at most 2 decimals"
	)
	testReadings(t, []reading{
		{"two decimals", `{"x":1.23}`, price, int64(123), ""},
		{"as text", `{"x":"299.9"}`, price, int64(29990), ""},
		{"what a float would blur", `{"x":9007199254.07}`, price, int64(900719925407), ""},
		{"a whole number", `{"x":987}`, price, int64(98700), ""},
		{"nothing to pay", `{"x":0}`, price, int64(0), ""},
		{"the highest", `{"x":"9999999999.99"}`, price, int64(999_999_999_999), ""},
		{"zeros around it", `{"x":"0009999999999.990000"}`, price, int64(999_999_999_999), ""},
		{"just too high", `{"x":10000000000}`, price, nil, tooHigh},
		{"absurdly high", `{"x":` + strings.Repeat("9", 400_000) + `}`, price, nil, tooHigh},
		{"a third decimal", `{"x":9999999999.991}`, price, nil, tooFine},
		{"a third decimal after a zero", `{"x":0.001}`, price, nil, tooFine},
		{"negative", `{"x":-1}`, price, nil, noDecimal},
		{"minus zero", `{"x":-0}`, price, nil, noDecimal},
		{"a plus", `{"x":"+1"}`, price, nil, noDecimal},
		{"an exponent", `{"x":1e2}`, price, nil, noDecimal},
		{"no digits before the point", `{"x":".5"}`, price, nil, noDecimal},
		{"no digits after the point", `{"x":"5."}`, price, nil, noDecimal},
		{"two points", `{"x":"1.2.3"}`, price, nil, noDecimal},
		{"a comma", `{"x":"1,50"}`, price, nil, noDecimal},
		{"a currency", `{"x":"¥5"}`, price, nil, noDecimal},
		{"not a number", `{"x":"NaN"}`, price, nil, noDecimal},
		{"hexadecimal", `{"x":"0x10"}`, price, nil, noDecimal},
		{"a blank", `{"x":"1 "}`, price, nil, noDecimal},
		{"empty", `{"x":""}`, price, nil, noDecimal},
		{"a boolean", `{"x":true}`, price, nil, "x: must be a number"},
		{"left out", `{}`, price, nil, "x: is missing"},
		{"optional", `{"x":0.1}`, func(f *Form) any { return f.OptionalPrice("x") }, new(int64(10)), ""},
		{"optional and left out", `{}`, func(f *Form) any { return f.OptionalPrice("x") }, (*int64)(nil), ""},
	})
}

func TestEveryPriceIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Int64Range(0, MaxPrice).Draw(t, "price")
		literal := fmt.Sprintf("%d.%02d", want/100, want%100)
		for _, body := range []string{`{"x":` + literal + `}`, `{"x":"` + literal + `"}`} {
			f, err := Read(nil, request(typeJSON, strings.NewReader(body)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Price("x"); got != want || f.Err() != nil {
				t.Fatalf("%s: Price = %d, %v, want %d", body, got, f.Err(), want)
			}
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	list := func(f *Form) any { return f.List("x", 3) }
	const noList = "x: must be a JSON list of positive whole numbers, such as [1,2,3]"
	testReadings(t, []reading{
		{"a list", `{"x":[1,2,3]}`, list, []int64{1, 2, 3}, ""},
		{"a list as text", `{"x":" [3, 3,\n1] "}`, list, []int64{3, 3, 1}, ""},
		{"numbers as text", `{"x":["1","2"]}`, list, []int64{1, 2}, ""},
		{"nothing in it", `{"x":[]}`, list, []int64{}, ""},
		{"too many entries", `{"x":[1,2,3,4]}`, list, nil, "x: must have at most 3 entries"},
		{"zero", `{"x":[1,0]}`, list, nil, "x: entry 2 must be a positive whole number"},
		{"a fraction", `{"x":[1.0]}`, list, nil, "x: entry 1 must be a positive whole number"},
		{"null", `{"x":[null]}`, list, nil, "x: entry 1 must be a positive whole number"},
		{"a list in it", `{"x":[[1]]}`, list, nil, "x: entry 1 must be a positive whole number"},
		{"an end too early", `{"x":"[1,2"}`, list, nil, noList},
		{"no brackets", `{"x":"1,2"}`, list, nil, noList},
		{"data after it", `{"x":"[1] [2]"}`, list, nil, noList},
		{"empty text", `{"x":""}`, list, nil, noList},
		{"a number", `{"x":1}`, list, nil, noList},
		{"an object", `{"x":{"1":1}}`, list, nil, noList},
		{"a boolean", `{"x":true}`, list, nil, noList},
		{"left out", `{"x":null}`, list, nil, "x: is missing"},
	})
}

func TestAFormIsReadLikeAList(t *testing.T) {
	t.Parallel()
	for _, encoding := range encodings {
		t.Run("as "+encoding.name, func(t *testing.T) {
			t.Parallel()
			contentType, body := encoding.encode(pair{"title", "小米充电宝"}, pair{"type", "2"}, pair{"price", "299.9"},
				pair{"sold", "-1"}, pair{"itemid", "7"}, pair{"data", "[1,2,3]"})
			f := read(t, contentType, body)
			got := []any{f.Text("title", 1, 255), f.Int("type"), f.Price("price"), f.Int("sold", OneOf(1, -1)), f.ID("itemid"), f.List("data", 9)}
			want := []any{"小米充电宝", int32(2), int64(29990), int32(-1), int64(7), []int64{1, 2, 3}}
			if diff := cmp.Diff(want, got); diff != "" || f.Err() != nil {
				t.Errorf("(-want +got):\n%s\n%v", diff, f.Err())
			}
		})
	}
}

func TestTheFirstFaultReadIsTheOneReported(t *testing.T) {
	t.Parallel()
	f := read(t, typeURLEncoded, "a=x&b=y")
	if err := f.Err(); err != nil {
		t.Fatalf("Err before reading = %v, want none", err)
	}
	if got := f.Int("b"); got != 0 {
		t.Errorf("a faulty Int = %d, want 0", got)
	}
	f.Int("a")
	f.Text("c", 1, 2)
	wantInvalid(t, f.Err(), "b: must be a whole number")
}

func TestLookupCollectsNoFaults(t *testing.T) {
	t.Parallel()
	f := read(t, typeJSON, `{"text":"a","number":12,"null":null,"flag":true,"list":[]}`)
	type found struct {
		Text string
		OK   bool
	}
	want := map[string]found{"text": {"a", true}, "number": {"12", true}, "null": {}, "flag": {}, "list": {}, "none": {}}
	got := map[string]found{}
	for name := range want {
		text, ok := f.Lookup(name)
		got[name] = found{text, ok}
	}
	if diff := cmp.Diff(want, got); diff != "" || f.Err() != nil {
		t.Errorf("(-want +got):\n%s\n%v", diff, f.Err())
	}
}
