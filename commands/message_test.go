package commands

import (
	"errors"
	"testing"
	"time"

	"foof/events"
)

func sent(id events.MessageID, to events.UserID) events.MessageSent {
	return events.MessageSent{Message: id, From: 7, To: to, Text: events.NewPrivate("hi"), At: noon}
}

func fetched(id events.MessageID, at time.Time) events.MessageFetched {
	return events.MessageFetched{Message: id, By: 8, At: at}
}

func TestSendMessage(t *testing.T) {
	t.Parallel()
	send := SendMessage{Message: 3, From: 7, To: 8, Text: "hi", At: noon}
	nobody := send
	nobody.Nobody = true
	testExamples(t,
		example[messages]{name: "sends it", when: send, then: history{sent(3, 8)}},
		example[messages]{name: "to nobody is refused", when: nobody, fault: ErrNoSuchUser},
	)
	if _, err := send.Decide(fold[messages](history{sent(3, 8)})); err == nil || errors.Is(err, ErrNoSuchUser) {
		t.Errorf("under a number that is taken, it is %v", err)
	}
}

func TestFetchMessages(t *testing.T) {
	t.Parallel()
	later := noon.Add(time.Hour)
	fetch := FetchMessages{User: 8, Messages: []events.MessageID{2, 3, 4, 2}, At: later}
	testExamples(t,
		example[messages]{
			name:  "hands out what nobody has fetched yet, each once",
			given: history{sent(2, 8), sent(3, 8), sent(4, 8), fetched(3, noon)}, when: fetch,
			then: history{fetched(2, later), fetched(4, later)},
		},
		example[messages]{
			name:  "hands out nothing that is for others",
			given: history{sent(2, 9), sent(3, 7), sent(4, 8)}, when: fetch, then: history{fetched(4, later)},
		},
		example[messages]{
			name:  "hands out nothing twice",
			given: history{sent(2, 8), sent(3, 8), sent(4, 8), fetched(2, noon), fetched(3, noon), fetched(4, noon)}, when: fetch,
		},
		example[messages]{name: "hands out nothing that there is not", when: fetch},
	)
}
