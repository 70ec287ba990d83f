package events

import "time"

// UserRegistered: a person has an account. Password names a hash in the vault.
type UserRegistered struct {
	User       UserID     `json:"user"`
	Phone      Private    `json:"phone"`
	PhoneIndex PhoneIndex `json:"phone_index"`
	Password   string     `json:"password"`
	Username   Private    `json:"username"`
	AvatarURL  string     `json:"avatarurl"`
	Info       Private    `json:"info"`
	Score      int        `json:"score"`
}

// UserProfileChanged: the user wrote these fields anew; a field that is absent stays as it was.
type UserProfileChanged struct {
	User     UserID  `json:"user"`
	Username Private `json:"username,omitzero"`
	Info     Private `json:"info,omitzero"`
	IDCard   Private `json:"idcard,omitzero"`
	Address  Private `json:"address,omitzero"`
}

// UserStudentIDChanged: the user gave another student number, and is not verified any more.
type UserStudentIDChanged struct {
	User      UserID  `json:"user"`
	StudentID Private `json:"studentid"`
}

// UserPasswordChanged: from At on the hash that Password names in the vault counts, and tokens made before At do not.
type UserPasswordChanged struct {
	User     UserID    `json:"user"`
	Password string    `json:"password"`
	At       time.Time `json:"at"`
}

// UserLoggedOut: tokens made before At do not count any more.
type UserLoggedOut struct {
	User UserID    `json:"user"`
	At   time.Time `json:"at"`
}

// UserAvatarChanged: the user has another picture.
type UserAvatarChanged struct {
	User      UserID `json:"user"`
	AvatarURL string `json:"avatarurl"`
}

// UserMailRequested: the user asked for a link by which to prove that they read mail at a campus address. What is secret in
// the link is in the vault under Ticket.
type UserMailRequested struct {
	User      UserID    `json:"user"`
	Mail      Private   `json:"mail"`
	Ticket    string    `json:"ticket"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// UserVerified: the user followed the link that Ticket is for, which is used up by it.
type UserVerified struct {
	User   UserID `json:"user"`
	Ticket string `json:"ticket"`
}

// Stream is the user's.
func (e UserLoggedOut) Stream() string { return e.User.Stream() }

// Stream is the user's.
func (e UserAvatarChanged) Stream() string { return e.User.Stream() }

// Stream is the user's.
func (e UserMailRequested) Stream() string { return e.User.Stream() }

// Stream is the user's.
func (e UserVerified) Stream() string { return e.User.Stream() }

// Personal gives what is sealed.
func (e *UserMailRequested) Personal() (UserID, []*Private) { return e.User, []*Private{&e.Mail} }

// Stream is the user's.
func (e UserRegistered) Stream() string { return e.User.Stream() }

// Stream is the user's.
func (e UserProfileChanged) Stream() string { return e.User.Stream() }

// Stream is the user's.
func (e UserStudentIDChanged) Stream() string { return e.User.Stream() }

// Stream is the user's.
func (e UserPasswordChanged) Stream() string { return e.User.Stream() }

// Personal gives what is sealed.
func (e *UserRegistered) Personal() (UserID, []*Private) {
	return e.User, []*Private{&e.Phone, &e.Username, &e.Info}
}

// Personal gives what is sealed.
func (e *UserProfileChanged) Personal() (UserID, []*Private) {
	return e.User, []*Private{&e.Username, &e.Info, &e.IDCard, &e.Address}
}

// Personal gives what is sealed.
func (e *UserStudentIDChanged) Personal() (UserID, []*Private) {
	return e.User, []*Private{&e.StudentID}
}
