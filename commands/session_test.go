package commands

import (
	"testing"
	"time"

	"foof/events"
	"foof/internal/fault"
)

func loggedOut(at time.Time) events.UserLoggedOut { return events.UserLoggedOut{User: 7, At: at} }

func TestLogOut(t *testing.T) {
	t.Parallel()
	testExamples(t,
		example[user]{name: "revokes what was made so far", given: history{newcomer()}, when: LogOut{User: 7, At: noon}, then: history{loggedOut(noon)}},
		example[user]{
			name:  "twice in a millisecond is at two times",
			given: history{newcomer(), loggedOut(noon)}, when: LogOut{User: 7, At: noon.Add(999_999)}, then: history{loggedOut(noon.Add(time.Millisecond))},
		},
		example[user]{
			name:  "by a clock that is behind is later all the same",
			given: history{newcomer(), events.UserPasswordChanged{User: 7, Password: "x", At: noon}}, when: LogOut{User: 7, At: noon.Add(-time.Hour)},
			then: history{loggedOut(noon.Add(time.Millisecond))},
		},
		example[user]{name: "of a user who is unknown is forbidden", when: LogOut{User: 7, At: noon}, fault: fault.ErrForbidden},
	)
}

func TestResetPassword(t *testing.T) {
	t.Parallel()
	later := noon.Add(time.Minute)
	reset := ResetPassword{Phone: number, User: 7, Codes: []string{"b"}, Password: "new", At: later}
	wrong, nobodys, others := reset, reset, reset
	wrong.Codes, nobodys.User, others.User = nil, 0, 8
	known := history{requested("a", noon), claimed("a", 7), newcomer()}
	asked := append(append(history{}, known...), requested("b", noon))
	used := events.PhoneCodeUsed{Phone: number, Code: "b"}

	testExamples(t,
		example[numbered]{
			name: "with the right code changes the password and uses the code up", given: asked, when: reset,
			then: history{used, events.UserPasswordChanged{User: 7, Password: "new", At: later}},
		},
		example[numbered]{
			name: "with the same code again is refused", given: append(append(history{}, asked...), used), when: reset, fault: ErrInvalidRequest,
		},
		example[numbered]{
			name: "with a wrong code is refused, and that is remembered", given: asked, when: wrong, then: history{rejected("b")}, fault: ErrInvalidRequest,
		},
		example[numbered]{
			name:  "after five wrong codes is refused",
			given: append(append(history{}, asked...), rejected("b"), rejected("b"), rejected("b"), rejected("b"), rejected("b")), when: reset, fault: ErrInvalidRequest,
		},
		example[numbered]{name: "without a code that counts is refused", given: known, when: reset, fault: ErrInvalidRequest},
		example[numbered]{
			name: "when the code has expired is refused", given: asked, fault: ErrInvalidRequest,
			when: ResetPassword{Phone: number, User: 7, Codes: []string{"b"}, Password: "new", At: noon.Add(CodeLifetime)},
		},
		example[numbered]{
			name: "of a number that is nobody's is refused, and keeps the code", given: history{requested("b", noon)}, when: nobodys, fault: ErrInvalidRequest,
		},
		example[numbered]{
			name: "for another than the number's owner is refused", given: history{requested("a", noon), claimed("a", 7), requested("b", noon)}, when: others, fault: ErrInvalidRequest,
		},
		example[numbered]{
			name: "after logging out in the same moment is at another time", given: append(append(history{}, asked...), loggedOut(later)), when: reset,
			then: history{used, events.UserPasswordChanged{User: 7, Password: "new", At: later.Add(time.Millisecond)}},
		},
	)
}
