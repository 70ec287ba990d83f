package events

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStreamsAreNamedByIDs(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"user-7":                   UserID(7).Stream(),
		"item-9223372036854775807": ItemID(1<<63 - 1).Stream(),
		"phone-00ff":               PhoneIndex("00ff").Stream(),
		"message-7":                MessageID(7).Stream(),
		"favorites-7":              UserID(7).FavoritesStream(),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestEveryEventIsInTheStreamOfItsSubject(t *testing.T) {
	t.Parallel()
	for name, event := range goldens {
		want := map[string]string{
			"phone": "phone-9f86d081884c7d659a2feaa0c55ad015", "user": "user-7", "item": "item-41",
			"image": "upload-d7a2c7f0-0f0e-4b0c-a9d0-3f5b1f1e7c55", "favorite": "favorites-7", "message": "message-2",
		}
		subject, _, _ := strings.Cut(name, ".")
		if got := event.Stream(); got != want[subject] {
			t.Errorf("%s is in %s, want %s", name, got, want[subject])
		}
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	for price, want := range map[Price]string{
		0: "0", 1: "0.01", 5: "0.05", 10: "0.1", 99: "0.99", 100: "1", 101: "1.01", 150: "1.5", 399: "3.99", 1000: "10",
		98_700: "987", 98_750: "987.5", 1_000_001: "10000.01", MaxPrice: "9999999999.99", MaxPrice - 9: "9999999999.9",
	} {
		if got := price.Decimal(); got != want {
			t.Errorf("%d hundredths are %s, want %s", price, got, want)
		}
	}
}

// decimalForm is JSON's, without exponent, needless zeros or more than two decimals.
var decimalForm = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.([0-9]?[1-9]))?$`)

func TestDecimalReadBackIsThePrice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		price := Price(rapid.Int64Range(0, int64(MaxPrice)).Draw(t, "price"))
		text := price.Decimal()
		if !decimalForm.MatchString(text) {
			t.Fatalf("%d hundredths are %s", price, text)
		}
		whole, fraction, _ := strings.Cut(text, ".")
		back, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
		if err != nil || Price(back) != price {
			t.Fatalf("%d hundredths are %s, which is %d, %v", price, text, back, err)
		}
	})
}
