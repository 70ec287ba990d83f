package projections

import (
	"strconv"

	"foof/events"
)

type userRow struct {
	ID          events.UserID     `json:"id"`
	Phone       string            `json:"phone"`
	PhoneIndex  events.PhoneIndex `json:"phone_index"`
	Password    *string           `json:"password"`
	Username    string            `json:"username"`
	AvatarURL   string            `json:"avatarurl"`
	Info        string            `json:"info"`
	IDCard      string            `json:"idcard"`
	StudentID   int32             `json:"studentid"`
	Address     string            `json:"address"`
	Verified    int32             `json:"verified"`
	Score       int               `json:"score"`
	TokensSince int64             `json:"tokens_since"`
}

var users = table[events.UserID, userRow]{
	load: `select to_json(u) from users u where id = any($1)`,
	store: `
		insert into users (id, phone, phone_index, password, username, avatarurl, info, idcard, studentid, address,
		                   verified, score, tokens_since)
		select id, phone, phone_index, password, username, avatarurl, info, idcard, studentid, address,
		       verified, score, tokens_since
		from json_populate_recordset(null::users, $1)
		on conflict (id) do update set
			phone = excluded.phone, phone_index = excluded.phone_index, password = excluded.password,
			username = excluded.username, avatarurl = excluded.avatarurl, info = excluded.info, idcard = excluded.idcard,
			studentid = excluded.studentid, address = excluded.address, verified = excluded.verified,
			score = excluded.score, tokens_since = excluded.tokens_since`,
	id: func(row *userRow) events.UserID { return row.ID },
	subject: func(e events.Event) (events.UserID, bool) {
		switch e := e.(type) {
		case events.UserRegistered:
			return e.User, true
		case events.UserProfileChanged:
			return e.User, true
		case events.UserStudentIDChanged:
			return e.User, true
		case events.UserPasswordChanged:
			return e.User, true
		case events.UserLoggedOut:
			return e.User, true
		case events.UserAvatarChanged:
			return e.User, true
		case events.UserVerified:
			return e.User, true
		}
		return 0, false
	},
	apply: func(row *userRow, r *events.Recorded) {
		switch e := r.Event.(type) {
		case events.UserRegistered:
			*row = userRow{
				ID: e.User, Phone: e.Phone.Text(), PhoneIndex: e.PhoneIndex, Password: &e.Password,
				Username: e.Username.Text(), AvatarURL: e.AvatarURL, Info: e.Info.Text(), Score: e.Score,
			}
		case events.UserProfileChanged:
			write(&row.Username, e.Username)
			write(&row.Info, e.Info)
			write(&row.IDCard, e.IDCard)
			write(&row.Address, e.Address)
		case events.UserStudentIDChanged:
			number, _ := strconv.ParseInt(e.StudentID.Text(), 10, 32) // digits; none for somebody who was erased
			row.StudentID, row.Verified = int32(number), 0
		case events.UserPasswordChanged:
			row.Password, row.TokensSince = &e.Password, e.At.UnixMilli()
		case events.UserLoggedOut:
			row.TokensSince = e.At.UnixMilli()
		case events.UserAvatarChanged:
			row.AvatarURL = e.AvatarURL
		case events.UserVerified:
			row.Verified = 1
		}
	},
}

func write(field *string, p events.Private) {
	if !p.IsZero() {
		*field = p.Text()
	}
}
