package events

import (
	"strconv"
	"strings"
)

// A UserID is what the API calls uuid: a number that counts up from 1.
type UserID int64

// Stream names the user's stream.
func (id UserID) Stream() string { return "user-" + strconv.FormatInt(int64(id), 10) }

// FavoritesStream names the stream of the user's favorites.
func (id UserID) FavoritesStream() string { return "favorites-" + strconv.FormatInt(int64(id), 10) }

// An ItemID is what the API calls itemid: a number that counts up from 1.
type ItemID int64

// Stream names the item's stream.
func (id ItemID) Stream() string { return "item-" + strconv.FormatInt(int64(id), 10) }

// A FavoriteID is what the API calls the id of a favorite: a number that counts up from 1.
type FavoriteID int64

// A MessageID is what the API calls the id of a message: a number that counts up from 1.
type MessageID int64

// Stream names the message's stream.
func (id MessageID) Stream() string { return "message-" + strconv.FormatInt(int64(id), 10) }

// A PhoneIndex stands for a phone number without telling it: a keyed hash, in hexadecimal.
type PhoneIndex string

// Stream names the phone number's stream.
func (p PhoneIndex) Stream() string { return "phone-" + string(p) }

// A Price counts hundredths. In the log it is that whole number.
type Price int64

// MaxPrice is the highest price that an item can have: 9999999999.99.
const MaxPrice Price = 999_999_999_999

// Decimal writes the price as a decimal number without needless zeros: 987, 1.5, 3.99.
func (p Price) Decimal() string {
	whole, hundredths := int64(p)/100, int64(p)%100
	s := strconv.FormatInt(whole, 10)
	if hundredths == 0 {
		return s
	}
	return strings.TrimSuffix(s+"."+strconv.FormatInt(100+hundredths, 10)[1:], "0")
}

// Sold is the state of an item, in the codes of the API.
type Sold int32

// The states of an item.
const (
	ForSale  Sold = 1
	SoldOut  Sold = 2
	Wanted   Sold = -1
	Obtained Sold = -2
)
