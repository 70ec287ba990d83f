package phone

import (
	"errors"
	"strings"
	"testing"
)

func TestNewNumbering(t *testing.T) {
	t.Parallel()
	for region, ok := range map[string]bool{
		"": true, "CN": true, "HK": true, "US": true, "DE": true,
		"cn": false, "XX": false, "CHN": false, "86": false, " ": false, "中国": false, "001": false,
	} {
		if _, err := NewNumbering(region); (err == nil) != ok {
			t.Errorf("region %q: %v", region, err)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for region, numbers := range map[string]map[string]string{ // what each number is known by; "": it is none
		"": {
			"13800138000": "13800138000", "+8613800138000": "+8613800138000", "1": "1", "+1": "+1", "0": "0",
			"12345678901234567890": "12345678901234567890", "+12345678901234567890": "+12345678901234567890",
			"123456789012345678901": "", "+": "", "++1": "", "1+": "",
		},
		"CN": {
			"13800138000":       "+8613800138000",
			"+8613800138000":    "+8613800138000",
			"008613800138000":   "+8613800138000",
			"8613800138000":     "+8613800138000",
			"19912345678":       "+8619912345678",
			"01062551234":       "+861062551234", // a line in Beijing
			"1380013800":        "",              // a digit short
			"138001380000":      "",              // a digit long
			"12345678901":       "",              // no such range
			"110":               "",
			"+85221234567":      "", // Hong Kong
			"+14155552671":      "", // San Francisco
			"+":                 "",
			"+861380013800a":    "",
			"00000000000000000": "",
		},
		"US": {"4155552671": "+14155552671", "+14155552671": "+14155552671", "13800138000": ""},
	} {
		numbering, err := NewNumbering(region)
		if err != nil {
			t.Fatal(err)
		}
		for _, nowhere := range []string{
			"", " ", " 13800138000", "13800138000 ", "13800138000\n", "138 0013 8000", "138-0013-8000", "(138)00138000", "tel:13800138000",
			"１３８００１３８０００", "١٣٨٠٠١٣٨٠٠٠", "13800138000\x00", "13800138000;ext=1", "13800138000x1", strings.Repeat("1", 1000), "\xff",
		} {
			numbers[nowhere] = ""
		}
		for number, want := range numbers {
			got, err := numbering.Canonical(number)
			if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("region %q, %q: %q, %v, want %q", region, number, got, err, want)
			}
		}
	}
}

func TestCanonicalIsCanonicalItself(t *testing.T) {
	t.Parallel()
	numbering, err := NewNumbering("CN")
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"13800138000", "008613800138000", "01062551234"} {
		once, err := numbering.Canonical(number)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := numbering.Canonical(once); err != nil || twice != once {
			t.Errorf("%s is %s, and that is %s, %v", number, once, twice, err)
		}
	}
}
