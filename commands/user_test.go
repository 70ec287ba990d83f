package commands

import (
	"testing"
	"time"

	"foof/events"
	"foof/internal/fault"
)

// newcomer is user 7 as registered.
func newcomer() events.UserRegistered {
	return events.UserRegistered{
		User: 7, Phone: events.NewPrivate("13800138000"), PhoneIndex: number, Password: "hash",
		Username: events.NewPrivate("新手咸鱼人员"), AvatarURL: `image\avatar\default.jpg`,
		Info: events.NewPrivate("这家伙很懒，什么都没有写>^<"), Score: 10,
	}
}

func TestRegisterUser(t *testing.T) {
	t.Parallel()
	register := RegisterUser{User: 7, Number: "13800138000", Phone: number, Codes: []string{"a"}, Password: "hash", At: noon.Add(time.Minute)}
	wrong := register
	wrong.Codes = nil

	testExamples(t,
		example[phone]{
			name:  "with the right code claims the number for a new user, who is what the contract says",
			given: history{requested("a", noon)}, when: register, then: history{claimed("a", 7), newcomer()},
		},
		example[phone]{
			name:  "of a number with an account is refused",
			given: history{requested("0", noon), claimed("0", 3), requested("a", noon)}, when: register, fault: ErrPhoneTaken,
		},
		example[phone]{
			name:  "of a number with an account looks at the code first",
			given: history{requested("0", noon), claimed("0", 3), requested("a", noon)}, when: wrong,
			then: history{rejected("a")}, fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "of a number with an account and no code that counts says nothing of the account",
			given: history{requested("0", noon), claimed("0", 3)}, when: register, fault: ErrInvalidRequest,
		},
	)
}

func TestModifyUser(t *testing.T) {
	t.Parallel()
	as := events.NewPrivate
	whole := history{
		newcomer(),
		events.UserProfileChanged{User: 7, Username: as("Ada"), Info: as("hi"), IDCard: as("110"), Address: as("Beijing")},
		events.UserStudentIDChanged{User: 7, StudentID: as("20191234")},
	}

	testExamples(t,
		example[user]{
			name: "of a user who is unknown is forbidden",
			when: ModifyUser{User: 7, Username: new("Ada")}, fault: fault.ErrForbidden,
		},
		example[user]{
			name:  "without fields changes nothing",
			given: whole, when: ModifyUser{User: 7, At: noon},
		},
		example[user]{
			name:  "names each field that changes",
			given: history{newcomer()},
			when:  ModifyUser{User: 7, Username: new("Ada"), Info: new("hi"), IDCard: new("110"), Address: new("Beijing"), At: noon},
			then:  whole[1:2],
		},
		example[user]{
			name:  "names only what changes",
			given: whole,
			when:  ModifyUser{User: 7, Username: new("Ada"), Info: new("hello"), IDCard: new("110"), Address: new("Beijing"), At: noon},
			then:  history{events.UserProfileChanged{User: 7, Info: as("hello")}},
		},
		example[user]{
			name:  "of what is so already changes nothing",
			given: whole,
			when: ModifyUser{
				User: 7, Username: new("Ada"), Info: new("hi"), IDCard: new("110"), Address: new("Beijing"), StudentID: new("20191234"), At: noon,
			},
		},
		example[user]{
			name:  "of a newcomer to what they are already changes nothing",
			given: history{newcomer()},
			when: ModifyUser{
				User: 7, Username: new("新手咸鱼人员"), Info: new("这家伙很懒，什么都没有写>^<"), IDCard: new(""), Address: new(""),
				StudentID: new("0"), At: noon,
			},
		},
		example[user]{
			name:  "makes a text empty, which is not leaving it out",
			given: whole, when: ModifyUser{User: 7, Address: new(""), At: noon},
			then: history{events.UserProfileChanged{User: 7, Address: as("")}},
		},
		example[user]{
			name:  "to another student number is an event of its own",
			given: whole, when: ModifyUser{User: 7, StudentID: new("20195678"), At: noon},
			then: history{events.UserStudentIDChanged{User: 7, StudentID: as("20195678")}},
		},
		example[user]{
			name:  "of the password counts from that moment on",
			given: whole, when: ModifyUser{User: 7, Password: new("hash2"), At: noon},
			then: history{events.UserPasswordChanged{User: 7, Password: "hash2", At: noon}},
		},
		example[user]{
			name:  "of everything at once",
			given: whole,
			when:  ModifyUser{User: 7, Username: new("Bob"), StudentID: new("1"), Password: new("hash2"), At: noon},
			then: history{
				events.UserProfileChanged{User: 7, Username: as("Bob")},
				events.UserStudentIDChanged{User: 7, StudentID: as("1")},
				events.UserPasswordChanged{User: 7, Password: "hash2", At: noon},
			},
		},
		example[user]{
			name:  "takes markup, quotes and emoji as they are",
			given: whole, when: ModifyUser{User: 7, Info: new("<b>\"it's\" 🐟</b>\n"), At: noon},
			then: history{events.UserProfileChanged{User: 7, Info: as("<b>\"it's\" 🐟</b>\n")}},
		},
	)
}
