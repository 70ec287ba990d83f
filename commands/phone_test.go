package commands

import (
	"strconv"
	"testing"
	"time"

	"foof/events"
	"foof/internal/fault"
)

const number events.PhoneIndex = "5c0ff"

// noon is when the examples of codes begin.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// the contract's limits.
var limits = []CodeLimit{{Codes: 5, Within: 15 * time.Minute}, {Codes: 10, Within: 24 * time.Hour}}

func requested(code string, at time.Time) events.PhoneCodeRequested {
	return events.PhoneCodeRequested{Phone: number, Code: code, At: at, ExpiresAt: at.Add(10 * time.Minute)}
}

func rejected(code string) events.PhoneCodeRejected {
	return events.PhoneCodeRejected{Phone: number, Code: code}
}

func claimed(code string, user events.UserID) events.PhoneClaimed {
	return events.PhoneClaimed{Phone: number, Code: code, User: user}
}

// every is a history of n requests, one each so often, the first at noon.
func every(pause time.Duration, n int) history {
	var past history
	for i := range n {
		past = append(past, requested(strconv.Itoa(i), noon.Add(time.Duration(i)*pause)))
	}
	return past
}

func TestRequestCode(t *testing.T) {
	t.Parallel()
	ask := func(at time.Time) RequestCode {
		return RequestCode{Phone: number, Code: "new", At: at, Limits: limits}
	}
	then := func(at time.Time) history { return history{requested("new", at)} }
	after := noon.Add

	testExamples(t,
		example[phone]{
			name: "for a number that is unknown makes the code good for 10 minutes",
			when: ask(noon), then: history{events.PhoneCodeRequested{Phone: number, Code: "new", At: noon, ExpiresAt: noon.Add(10 * time.Minute)}},
		},
		example[phone]{
			name:  "for a number with an account is no different",
			given: history{requested("a", noon), claimed("a", 7)}, when: ask(after(time.Minute)), then: then(after(time.Minute)),
		},
		example[phone]{
			name:  "while another code is good replaces it",
			given: history{requested("a", noon)}, when: ask(after(time.Second)), then: then(after(time.Second)),
		},
		example[phone]{
			name:  "after a burnt code is possible",
			given: append(every(time.Minute, 1), rejected("0"), rejected("0"), rejected("0"), rejected("0"), rejected("0")),
			when:  ask(after(time.Minute)), then: then(after(time.Minute)),
		},
		example[phone]{
			name:  "for the fifth time in 15 minutes is possible",
			given: every(time.Minute, 4), when: ask(after(4 * time.Minute)), then: then(after(4 * time.Minute)),
		},
		example[phone]{
			name:  "for the sixth time in 15 minutes waits until the first is 15 minutes ago",
			given: every(time.Minute, 5), when: ask(after(5 * time.Minute)), fault: fault.TooMany(10 * time.Minute),
		},
		example[phone]{
			name:  "five times in one moment and once more waits 15 minutes",
			given: every(0, 5), when: ask(noon), fault: fault.TooMany(15 * time.Minute),
		},
		example[phone]{
			name:  "a nanosecond before the first is 15 minutes ago is too early",
			given: every(time.Minute, 5), when: ask(after(15*time.Minute - 1)), fault: fault.TooMany(1),
		},
		example[phone]{
			name:  "when the first is 15 minutes ago is possible",
			given: every(time.Minute, 5), when: ask(after(15 * time.Minute)), then: then(after(15 * time.Minute)),
		},
		example[phone]{
			name:  "once more then waits for the second to be 15 minutes ago",
			given: append(every(time.Minute, 5), requested("5", after(15*time.Minute))),
			when:  ask(after(15*time.Minute + 30*time.Second)), fault: fault.TooMany(30 * time.Second),
		},
		example[phone]{
			name:  "for the tenth time in a day is possible",
			given: every(time.Hour, 9), when: ask(after(9 * time.Hour)), then: then(after(9 * time.Hour)),
		},
		example[phone]{
			name:  "for the eleventh time in a day waits until the first is a day ago",
			given: every(time.Hour, 10), when: ask(after(10 * time.Hour)), fault: fault.TooMany(14 * time.Hour),
		},
		example[phone]{
			name:  "when the first is a day ago is possible",
			given: every(time.Hour, 10), when: ask(after(24 * time.Hour)), then: then(after(24 * time.Hour)),
		},
		example[phone]{
			name: "beyond both limits waits for the later one",
			given: append(every(time.Hour, 5), requested("5", after(23*time.Hour)), requested("6", after(23*time.Hour)),
				requested("7", after(23*time.Hour)), requested("8", after(23*time.Hour)), requested("9", after(23*time.Hour))),
			when: ask(after(23*time.Hour + time.Minute)), fault: fault.TooMany(59 * time.Minute),
		},
		example[phone]{
			name:  "refused does not count as a request",
			given: every(time.Minute, 5), when: ask(after(14 * time.Minute)), fault: fault.TooMany(time.Minute),
		},
		example[phone]{
			name:  "without limits is always possible",
			given: every(0, 2*MostCodes), when: RequestCode{Phone: number, Code: "new", At: noon}, then: then(noon),
		},
		example[phone]{
			name:  "is counted as far as a limit can go",
			given: every(time.Second, 3*MostCodes),
			when: RequestCode{
				Phone: number, Code: "new", At: after(3 * MostCodes * time.Second),
				Limits: []CodeLimit{{Codes: MostCodes, Within: time.Hour}},
			},
			fault: fault.TooMany(time.Hour - MostCodes*time.Second),
		},
	)
}

// TestCode is how a code is judged, which registering shows.
func TestCode(t *testing.T) {
	t.Parallel()
	register := func(at time.Time, codes ...string) RegisterUser {
		return RegisterUser{User: 7, Number: "13800138000", Phone: number, Codes: codes, Password: "hash", At: at}
	}
	registered := func(code string) history { return history{claimed(code, 7), newcomer()} }
	soon := noon.Add(time.Minute)

	testExamples(t,
		example[phone]{
			name:  "that is right counts",
			given: history{requested("a", noon)}, when: register(soon, "a"), then: registered("a"),
		},
		example[phone]{
			name:  "that has the same digits as an older one counts",
			given: history{requested("a", noon), requested("b", noon)}, when: register(soon, "a", "b"), then: registered("b"),
		},
		example[phone]{
			name: "that nobody asked for does not count, and is not remembered",
			when: register(soon), fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "that is wrong is remembered",
			given: history{requested("a", noon)}, when: register(soon), then: history{rejected("a")}, fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "that was replaced is wrong",
			given: history{requested("a", noon), requested("b", noon)}, when: register(soon, "a"),
			then: history{rejected("b")}, fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "after four wrong tries counts",
			given: history{requested("a", noon), rejected("a"), rejected("a"), rejected("a"), rejected("a")},
			when:  register(soon, "a"), then: registered("a"),
		},
		example[phone]{
			name:  "is burnt by the fifth wrong try",
			given: history{requested("a", noon), rejected("a"), rejected("a"), rejected("a"), rejected("a"), rejected("a")},
			when:  register(soon, "a"), fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "that is burnt makes nothing more to remember",
			given: history{requested("a", noon), rejected("a"), rejected("a"), rejected("a"), rejected("a"), rejected("a")},
			when:  register(soon), fault: ErrInvalidRequest,
		},
		example[phone]{
			name: "that replaces a burnt one has five tries of its own",
			given: history{
				requested("a", noon), rejected("a"), rejected("a"), rejected("a"), rejected("a"), rejected("a"),
				requested("b", noon), rejected("b"), rejected("b"), rejected("b"), rejected("b"),
			},
			when: register(soon, "b"), then: registered("b"),
		},
		example[phone]{
			name:  "counts until a nanosecond before 10 minutes",
			given: history{requested("a", noon)}, when: register(noon.Add(10*time.Minute-1), "a"), then: registered("a"),
		},
		example[phone]{
			name:  "has expired after 10 minutes",
			given: history{requested("a", noon)}, when: register(noon.Add(10*time.Minute), "a"), fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "that has expired makes nothing more to remember",
			given: history{requested("a", noon)}, when: register(noon.Add(10 * time.Minute)), fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "that was used does not count again",
			given: history{requested("a", noon), claimed("a", 3)}, when: register(soon, "a"), fault: ErrInvalidRequest,
		},
		example[phone]{
			name:  "of the vault that the log does not name is wrong",
			given: history{requested("a", noon)}, when: register(soon, "z"), then: history{rejected("a")}, fault: ErrInvalidRequest,
		},
	)
}
