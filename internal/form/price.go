package form

import "strings"

// MaxPrice is the highest price, 9999999999.99, in hundredths.
const MaxPrice = 999_999_999_999

// priceWhole is how many digits MaxPrice has before the point.
const priceWhole = 10

// Price reads a required price, in hundredths: from 0 to MaxPrice. It is
// decimal digits, and after a point at most two more that are not trailing
// zeros: no sign, no exponent, no spaces. A JSON number is read by its
// literal, so that the price is exact.
func (f *Form) Price(name string) int64 {
	return required(f, name, f.OptionalPrice(name))
}

// OptionalPrice is Price for a field that may be left out; then it is nil.
func (f *Form) OptionalPrice(name string) *int64 {
	text, ok := f.number(name)
	if !ok {
		return nil
	}
	price, wrong := parsePrice(text)
	if wrong != "" {
		f.fail(name, wrong)
		return nil
	}
	return &price
}

func parsePrice(text string) (hundredths int64, wrong string) {
	whole, fraction, pointed := strings.Cut(text, ".")
	if !isDigits(whole) || pointed && !isDigits(fraction) {
		return 0, "must be a decimal number from 0 to 9999999999.99, such as 12.50"
	}
	whole = strings.TrimLeft(whole, "0")
	if len(whole) > priceWhole {
		return 0, "must be at most 9999999999.99"
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 2 {
		return 0, "must have at most 2 decimals"
	}
	for _, digit := range whole + (fraction + "00")[:2] {
		hundredths = hundredths*10 + int64(digit-'0')
	}
	return hundredths, ""
}
