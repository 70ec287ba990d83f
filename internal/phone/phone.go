// Package phone knows what a phone number is.
package phone

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/nyaruka/phonenumbers"
)

// Numbering is the rules that numbers must obey: those of a region, or none but the form for the zero value.
type Numbering struct {
	region string // two letters, ISO 3166-1
}

// NewNumbering makes the rules of a region, such as "CN", or the form alone for "".
func NewNumbering(region string) (Numbering, error) {
	if region != "" && !phonenumbers.GetSupportedRegions()[region] {
		return Numbering{}, fmt.Errorf("phone region %q: not a region, which has two capital letters such as CN", region)
	}
	return Numbering{region: region}, nil
}

// ErrInvalid means that something is no phone number here.
var ErrInvalid = errors.New("is not a valid phone number")

var form = regexp.MustCompile(`^\+?[0-9]{1,20}$`)

// Canonical returns the one spelling by which a number is known, or ErrInvalid. In a region that is E.164, so that
// 13800138000 and +8613800138000 are the same number.
func (n Numbering) Canonical(number string) (string, error) {
	if !form.MatchString(number) {
		return "", ErrInvalid
	}
	if n.region == "" {
		return number, nil
	}
	parsed, err := phonenumbers.Parse(number, n.region)
	if err != nil || !phonenumbers.IsValidNumberForRegion(parsed, n.region) {
		return "", ErrInvalid
	}
	return phonenumbers.Format(parsed, phonenumbers.E164), nil
}
