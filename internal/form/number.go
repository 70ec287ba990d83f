package form

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// IntRule says what is wrong with a number, or nothing if it is right.
type IntRule func(n int32) (wrong string)

// Between allows the numbers from least to most, both included.
func Between(least, most int32) IntRule {
	return func(n int32) string {
		if n < least || n > most {
			return fmt.Sprintf("must be between %d and %d", least, most)
		}
		return ""
	}
}

// OneOf allows just these numbers.
func OneOf(allowed ...int32) IntRule {
	return func(n int32) string {
		if slices.Contains(allowed, n) {
			return ""
		}
		listed := make([]string, len(allowed))
		for i, a := range allowed {
			listed[i] = strconv.Itoa(int(a))
		}
		return "must be one of " + strings.Join(listed, ", ")
	}
}

// Int reads a required whole number that fits 32 bits and obeys all rules.
func (f *Form) Int(name string, rules ...IntRule) int32 {
	return required(f, name, f.OptionalInt(name, rules...))
}

// OptionalInt is Int for a field that may be left out; then it is nil. An
// empty field was not left out: it is no number.
func (f *Form) OptionalInt(name string, rules ...IntRule) *int32 {
	text, ok := f.number(name)
	if !ok {
		return nil
	}
	if !isDigits(strings.TrimPrefix(text, "-")) {
		f.fail(name, "must be a whole number")
		return nil
	}
	parsed, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		f.fail(name, fmt.Sprintf("must be between %d and %d", math.MinInt32, math.MaxInt32))
		return nil
	}
	n := int32(parsed)
	for _, rule := range rules {
		if wrong := rule(n); wrong != "" {
			f.fail(name, wrong)
			return nil
		}
	}
	return &n
}

// ID reads a required id: a whole number from 1 that fits 63 bits.
func (f *Form) ID(name string) int64 {
	return required(f, name, f.OptionalID(name))
}

// OptionalID is ID for a field that may be left out; then it is nil.
func (f *Form) OptionalID(name string) *int64 {
	text, ok := f.number(name)
	if !ok {
		return nil
	}
	id, ok := parseID(text)
	if !ok {
		f.fail(name, "must be a positive whole number")
		return nil
	}
	return &id
}

// number gives the text of a field that was sent and may be a number.
func (f *Form) number(name string) (text string, ok bool) {
	if !f.Has(name) {
		return "", false
	}
	text, ok = f.fields[name].scalar()
	if !ok {
		f.fail(name, "must be a number")
	}
	return text, ok
}

func parseID(text string) (id int64, ok bool) {
	if !isDigits(text) {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && id > 0
}

// isDigits is stricter than strconv, which takes "+1" for a number as well.
func isDigits(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}
