package commands

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"foof/events"
	"foof/internal/fault"

	"pgregory.net/rapid"
)

func mailed(address, ticket string, at time.Time) events.UserMailRequested {
	return events.UserMailRequested{User: 7, Mail: events.NewPrivate(address), Ticket: ticket, At: at, ExpiresAt: at.Add(24 * time.Hour)}
}

func withStudentID(studentID string) events.UserStudentIDChanged {
	return events.UserStudentIDChanged{User: 7, StudentID: events.NewPrivate(studentID)}
}

func verified(ticket string) events.UserVerified { return events.UserVerified{User: 7, Ticket: ticket} }

func TestRequestMail(t *testing.T) {
	t.Parallel()
	ask := func(at time.Time, mail *string) RequestMail {
		return RequestMail{User: 7, Mail: mail, Domain: "campus.example", Ticket: "new", At: at, Limits: limits}
	}
	student := history{newcomer(), withStudentID("20191234")}
	// links is a history of n requests, one each so often, the first at noon.
	links := func(pause time.Duration, n int) history {
		past := slices.Clone(student)
		for i := range n {
			past = append(past, mailed("20191234@campus.example", strconv.Itoa(i), noon.Add(time.Duration(i)*pause)))
		}
		return past
	}
	theirs := history{mailed("20191234@campus.example", "new", noon)}

	testExamples(t,
		example[user]{
			name: "of a user who is unknown is forbidden",
			when: ask(noon, new("ada@campus.example")), fault: fault.ErrForbidden,
		},
		example[user]{
			name:  "goes to the address of the student number, good for a day",
			given: student, when: ask(noon, nil), then: theirs,
		},
		example[user]{
			name:  "goes to the newest student number",
			given: append(slices.Clone(student), withStudentID("5")), when: ask(noon, nil), then: history{mailed("5@campus.example", "new", noon)},
		},
		example[user]{
			name:  "goes to the address given if it is on the campus, student number or not",
			given: history{newcomer()}, when: ask(noon, new("ada@campus.example")), then: history{mailed("ada@campus.example", "new", noon)},
		},
		example[user]{
			name:  "goes to the address given rather than to the student number",
			given: student, when: ask(noon, new("ada@campus.example")), then: history{mailed("ada@campus.example", "new", noon)},
		},
		example[user]{
			name:  "takes the domain in any case, and leaves the rest as it is",
			given: student, when: ask(noon, new("Ada.O'Hara+x@CAMPUS.Example")), then: history{mailed("Ada.O'Hara+x@campus.example", "new", noon)},
		},
		example[user]{
			name:  "of a newcomer without an address is refused",
			given: history{newcomer()}, when: ask(noon, nil), fault: ErrNoCampusMail,
		},
		example[user]{
			name:  "of a newcomer with an address elsewhere is refused",
			given: history{newcomer()}, when: ask(noon, new("ada@elsewhere.example")), fault: ErrNoCampusMail,
		},
		example[user]{
			name:  "of a student number that was taken back is refused",
			given: append(slices.Clone(student), withStudentID("0")), when: ask(noon, nil), fault: ErrNoCampusMail,
		},
		example[user]{
			name:  "of an erased student number is refused",
			given: append(slices.Clone(student), withStudentID("")), when: ask(noon, nil), fault: ErrNoCampusMail,
		},
		example[user]{
			name:  "of who is verified already is possible",
			given: append(links(0, 1), verified("0")), when: ask(noon, nil), then: theirs,
		},
		example[user]{
			name:  "for the fifth time in 15 minutes is possible",
			given: links(0, 4), when: ask(noon, nil), then: theirs,
		},
		example[user]{
			name:  "for the sixth time in 15 minutes waits until the first is 15 minutes ago",
			given: links(time.Minute, 5), when: ask(noon.Add(5*time.Minute), nil), fault: fault.TooMany(10 * time.Minute),
		},
		example[user]{
			name:  "for the sixth time waits, however the number and the address change",
			given: append(links(time.Minute, 5), withStudentID("6")), when: ask(noon.Add(5*time.Minute), new("ada@campus.example")), fault: fault.TooMany(10 * time.Minute),
		},
		example[user]{
			name:  "for the eleventh time in a day waits until the first is a day ago",
			given: links(time.Hour, 10), when: ask(noon.Add(10*time.Hour), nil), fault: fault.TooMany(14 * time.Hour),
		},
		example[user]{
			name:  "when the first is a day ago is possible",
			given: links(time.Hour, 10), when: ask(noon.Add(24*time.Hour), nil), then: history{mailed("20191234@campus.example", "new", noon.Add(24*time.Hour))},
		},
		example[user]{
			name:  "without a mailbox is refused before it is counted",
			given: append(links(0, 5), withStudentID("0")), when: ask(noon, nil), fault: ErrNoCampusMail,
		},
	)

	t.Run("takes an address that is none for no address", func(t *testing.T) {
		t.Parallel()
		for _, wrong := range []string{
			"", "@", "ada", "campus.example", "@campus.example", "ada@", "ada@example", "ada@campus.example.evil.example", "ada@evilcampus.example",
			"ada@sub.campus.example", "ada@campus.example.", "ada@campus.example@evil.example", "ada@evil.example@campus.example", "ada@campuS.example ",
			" ada@campus.example", "ada @campus.example", "ada@campus.example\r\nBcc: eve@evil.example", "ada\r\n@campus.example", "ada\x00@campus.example",
			"Ada <ada@campus.example>", "<ada@campus.example>", "ada@campus.example, eve@evil.example", "ada,eve@campus.example", "ada;eve@campus.example",
			`"ada"@campus.example`, `ada(x)@campus.example`, `ada\@campus.example`, ".ada@campus.example", "ada.@campus.example", "a..da@campus.example",
			"阿达@campus.example", "ada@campus.exampl\u212a", "ada@campu\u017f.example", "ada:eve@campus.example", "[ada]@campus.example",
			strings.Repeat("x", 65) + "@campus.example", strings.Repeat("x", 300) + "@campus.example",
		} {
			facts, err := ask(noon, &wrong).Decide(fold[user](student))
			if err != nil || len(facts) != 1 || !facts[0].(events.UserMailRequested).Mail.Equal(events.NewPrivate("20191234@campus.example")) {
				t.Errorf("%q: it is %v, %v", wrong, facts, err)
			}
		}
		long := strings.Repeat("x", 64) + "@campus.example"
		if facts, err := ask(noon, &long).Decide(fold[user](student)); err != nil || facts[0].(events.UserMailRequested).Mail.Text() != long {
			t.Errorf("%s: %v, %v", long, facts, err)
		}
		command := ask(noon, new("ada@"+strings.Repeat("d", 251)))
		command.Domain = strings.Repeat("d", 251)
		if _, err := command.Decide(fold[user](history{newcomer()})); err == nil {
			t.Error("an address of 255 characters is taken")
		}
	})
}

func TestVerifyMail(t *testing.T) {
	t.Parallel()
	follow := func(ticket string, at time.Time) VerifyMail { return VerifyMail{User: 7, Ticket: ticket, At: at} }
	soon := noon.Add(time.Minute)
	asked := history{newcomer(), withStudentID("1"), mailed("1@campus.example", "a", noon), mailed("ada@campus.example", "b", soon)}
	and := func(more ...events.Event) history { return append(slices.Clip(asked), more...) }

	testExamples(t,
		example[user]{name: "by a link is success", given: asked, when: follow("a", soon), then: history{verified("a")}},
		example[user]{name: "by the other link is, too", given: asked, when: follow("b", soon), then: history{verified("b")}},
		example[user]{name: "by the other link after the first is, too", given: and(verified("a")), when: follow("b", soon), then: history{verified("b")}},
		example[user]{name: "by a link that was used is refused", given: and(verified("a")), when: follow("a", soon), fault: ErrInvalidRequest},
		example[user]{name: "by a ticket that no link was mailed for is refused", given: asked, when: follow("c", soon), fault: ErrInvalidRequest},
		example[user]{name: "by no ticket is refused", given: asked, when: follow("", soon), fault: ErrInvalidRequest},
		example[user]{name: "of a user who is unknown is refused", when: follow("a", soon), fault: ErrInvalidRequest},
		example[user]{
			name: "a nanosecond before a day is over is success", given: asked, when: follow("a", noon.Add(24*time.Hour-1)), then: history{verified("a")},
		},
		example[user]{name: "after a day is refused", given: asked, when: follow("a", noon.Add(24*time.Hour)), fault: ErrInvalidRequest},
		example[user]{name: "after a day, by a later link, is success", given: asked, when: follow("b", noon.Add(24*time.Hour)), then: history{verified("b")}},
		example[user]{name: "after the student number changed is refused", given: and(withStudentID("2")), when: follow("a", soon), fault: ErrInvalidRequest},
		example[user]{name: "after it changed back is refused as well", given: and(withStudentID("2"), withStudentID("1")), when: follow("b", soon), fault: ErrInvalidRequest},
		example[user]{
			name:  "by a link asked for after the student number changed is success",
			given: and(withStudentID("2"), mailed("2@campus.example", "c", soon)), when: follow("c", soon), then: history{verified("c")},
		},
		example[user]{
			name:  "after the profile and the password changed is success",
			given: and(events.UserProfileChanged{User: 7, Username: events.NewPrivate("Ada")}, events.UserPasswordChanged{User: 7, Password: "x", At: soon}),
			when:  follow("a", soon), then: history{verified("a")},
		},
	)
}

// TestLinksAreFollowedOnceAtMost carries out any sequence of commands on one user while time passes, and holds the history
// against the contract's sentences.
func TestLinksAreFollowedOnceAtMost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			past = history{newcomer()}
			now  = noon
			made = []string{"never asked for"}
		)
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 60, 900, 3600, 43_200, 86_399, 86_400}).Draw(t, "seconds")) * time.Second)
			},
			"modify": func(t *rapid.T) {
				number := rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "number")
				facts, err := ModifyUser{User: 7, StudentID: &number, At: now}.Decide(fold[user](past))
				if err != nil {
					t.Fatal(err)
				}
				past = append(past, facts...)
			},
			"request": func(t *rapid.T) {
				ticket := strconv.Itoa(len(made))
				mail := rapid.SampledFrom([]*string{nil, new("ada@campus.example"), new("ada@evil.example")}).Draw(t, "mail")
				facts, err := RequestMail{User: 7, Mail: mail, Domain: "campus.example", Ticket: ticket, At: now, Limits: limits}.Decide(fold[user](past))
				number := "0"
				for _, e := range past {
					if e, ok := e.(events.UserStudentIDChanged); ok {
						number = e.StudentID.Text()
					}
				}
				may := mayMail(past, now) && (number != "0" || mail != nil && *mail == "ada@campus.example")
				if (err == nil) != may {
					t.Fatalf("request: %v, while it is allowed: %t", err, may)
				}
				if err == nil {
					made = append(made, ticket)
				}
				past = append(past, facts...)
			},
			"verify": func(t *rapid.T) {
				ticket := rapid.SampledFrom(made).Draw(t, "ticket")
				facts, err := VerifyMail{User: 7, Ticket: ticket, At: now}.Decide(fold[user](past))
				if may := mayVerify(past, ticket, now); (err == nil) != may || len(facts) > 0 != may {
					t.Fatalf("verify: %v, %v, while it is allowed: %t", facts, err, may)
				}
				past = append(past, facts...)
			},
			"": func(*rapid.T) {},
		})
	})
}

// mayMail counts requests as the settings' defaults do.
func mayMail(past history, now time.Time) bool {
	quarter, day := 0, 0
	for _, e := range past {
		if e, ok := e.(events.UserMailRequested); ok {
			if now.Sub(e.At) < 15*time.Minute {
				quarter++
			}
			if now.Sub(e.At) < 24*time.Hour {
				day++
			}
		}
	}
	return quarter < 5 && day < 10
}

// mayVerify looks for the request of a ticket, and for what came after it.
func mayVerify(past history, ticket string, now time.Time) bool {
	for i, e := range past {
		if e, ok := e.(events.UserMailRequested); ok && e.Ticket == ticket {
			return now.Sub(e.At) < 24*time.Hour && !slices.ContainsFunc(past[i:], func(e events.Event) bool {
				_, changed := e.(events.UserStudentIDChanged)
				return changed || e == events.Event(verified(ticket))
			})
		}
	}
	return false
}
