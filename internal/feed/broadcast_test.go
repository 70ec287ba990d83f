package feed

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"foof/events"
	"foof/events/store"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// heard subscribes to a broadcast in a process of its own, and appends until it has heard of something: what follows that is
// all there is. It returns the position of that event.
func (w *world) heard(t *testing.T) (<-chan *message.Message, events.Position) {
	t.Helper()
	other := store.Open(w.pool)
	run(t, other.Run)
	b := NewBroadcast(other, slog.New(slog.DiscardHandler), happened)
	t.Cleanup(func() { _ = b.Close() })
	messages, err := b.Subscribe(t.Context(), "any")
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case msg := <-messages:
			msg.Ack()
			position, err := strconv.ParseInt(msg.UUID, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return messages, events.Position(position)
		case <-tick.C:
			w.append(t, happened)
		}
	}
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, happened, happened)
	one, at := w.heard(t)
	if at <= 2 {
		t.Errorf("it began with event %d, which was there before", at)
	}
	two, later := w.heard(t)

	head, err := w.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for messages, after := range map[<-chan *message.Message]events.Position{one: at, two: later} {
		for position := after + 1; position <= head; position++ { // what was appended until the second had heard
			take(t, messages, strconv.Itoa(int(position)))
		}
	}

	w.append(t, "thing.else", happened, happened)
	for _, messages := range []<-chan *message.Message{one, two} {
		take(t, messages, strconv.Itoa(int(head)+2))
		refuse(t, messages, strconv.Itoa(int(head)+3))
	}
	// Each connection is lost; what happened meanwhile is told later, and nothing twice.
	owner, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	const sql = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
	if _, err := owner.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	command := uuid.New()
	stream := "thing-" + command.String()
	for {
		_, err := w.log.Append(t.Context(), store.Append{
			Command: command, Expect: map[string]events.Version{stream: 0},
			Events: []events.Encoded{{Stream: stream, Type: happened, Schema: 1, Data: []byte(`{}`)}},
		})
		if err == nil {
			break
		}
		t.Logf("append: %v", err)
	}
	take(t, one, strconv.Itoa(int(head)+4))
	take(t, two, strconv.Itoa(int(head)+4))
}

// refuse receives the message of an event and does not acknowledge it.
func refuse(t *testing.T, messages <-chan *message.Message, position string) {
	t.Helper()
	msg := receive(t, messages)
	if msg.UUID != position {
		t.Errorf("event %s came, want %s", msg.UUID, position)
	}
	msg.Nack()
}

func TestBroadcastEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := NewBroadcast(w.log, slog.New(slog.DiscardHandler), happened)
	messages, err := b.Subscribe(t.Context(), "any")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, open := receiveOrEnd(t, messages); open {
		t.Error("it goes on")
	}
	if _, err := b.Subscribe(t.Context(), "any"); err == nil {
		t.Error("one can subscribe to what is closed")
	}
}
