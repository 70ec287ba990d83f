package events

import "time"

// PhoneCodeRequested: somebody asked for a verification code to be sent to this number. The code and the number are in
// the vault under Code; this event makes that code the one that counts.
type PhoneCodeRequested struct {
	Phone     PhoneIndex `json:"phone"`
	Code      string     `json:"code"`
	At        time.Time  `json:"at"`
	ExpiresAt time.Time  `json:"expires_at"`
}

// PhoneCodeRejected: a wrong code was given while Code was the one that counts.
type PhoneCodeRejected struct {
	Phone PhoneIndex `json:"phone"`
	Code  string     `json:"code"`
}

// PhoneClaimed: a user registered with this number. Code is used up by it.
type PhoneClaimed struct {
	Phone PhoneIndex `json:"phone"`
	Code  string     `json:"code"`
	User  UserID     `json:"user"`
}

// PhoneCodeUsed: the code was given, rightly, for something other than registering. It is used up by it.
type PhoneCodeUsed struct {
	Phone PhoneIndex `json:"phone"`
	Code  string     `json:"code"`
}

// Stream is the phone number's.
func (e PhoneCodeUsed) Stream() string { return e.Phone.Stream() }

// Stream is the phone number's.
func (e PhoneCodeRequested) Stream() string { return e.Phone.Stream() }

// Stream is the phone number's.
func (e PhoneCodeRejected) Stream() string { return e.Phone.Stream() }

// Stream is the phone number's.
func (e PhoneClaimed) Stream() string { return e.Phone.Stream() }
