package feed

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"foof/events"
	"foof/internal/pgtest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMessageIsTheEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, "other.happened")
	w.appendAll(t, events.Encoded{Stream: "thing-1", Type: happened, Schema: 3, Data: []byte(`{"n": 1}`)})
	recorded, err := w.log.Load(t.Context(), "thing-1")
	if err != nil {
		t.Fatal(err)
	}
	msg := receive(t, subscribe(t, w.subscriber(t), "reader"))
	if msg.UUID != "2" || string(msg.Payload) != `{"n": 1}` || middleware.MessageCorrelationID(msg) != "request-1" {
		t.Errorf("message %s of request %q is %s", msg.UUID, middleware.MessageCorrelationID(msg), msg.Payload)
	}
	meta := maps.Clone(msg.Metadata)
	delete(meta, middleware.CorrelationIDMetadataKey)
	want := message.Metadata{
		"stream": "thing-1", "type": happened, "schema": "3", "version": "1", "recorded_at": recorded[0].At.Format(time.RFC3339Nano),
	}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestEventWithoutMetadataIsAMessageStill(t *testing.T) {
	t.Parallel()
	msg, err := newMessage(t.Context(), &events.Recorded{Position: 4, Type: happened, Meta: []byte(`[]`)})
	if err == nil || msg == nil || msg.UUID != "4" {
		t.Errorf("it is %v, %v", msg, err)
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	codec := events.NewCodec(events.Types, nil)
	want := events.ItemTraded{Item: 41, Buyer: 8, Sold: events.SoldOut}
	encoded, err := codec.Encode(t.Context(), []events.Event{want})
	if err != nil {
		t.Fatal(err)
	}
	of := func(change func(*message.Message)) *message.Message {
		e := encoded[0]
		msg, err := newMessage(t.Context(), &events.Recorded{
			Position: 4, Stream: e.Stream, Version: 2, Type: e.Type, Schema: e.Schema, Data: e.Data, Meta: []byte(`{"command":""}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		change(msg)
		return msg
	}
	got, err := Event(t.Context(), codec, of(func(*message.Message) {}))
	if diff := cmp.Diff(events.Event(want), got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	for name, change := range map[string]func(*message.Message){
		"no position":             func(m *message.Message) { m.UUID = "x" },
		"no schema version":       func(m *message.Message) { m.Metadata.Set("schema", "") },
		"too high a version":      func(m *message.Message) { m.Metadata.Set("schema", "40000") },
		"a type that is unknown":  func(m *message.Message) { m.Metadata.Set("type", "item.burned") },
		"data that are not of it": func(m *message.Message) { m.Payload = []byte(`[]`) },
	} {
		if got, err := Event(t.Context(), codec, of(change)); err == nil {
			t.Errorf("a message with %s is %v", name, got)
		}
	}
	_, err = Event(t.Context(), codec, of(func(m *message.Message) { m.Metadata.Set("type", "item.burned") }))
	var refused *events.DecodeError
	if !errors.As(err, &refused) || refused.Position != 4 || refused.Stream != "item-41" {
		t.Errorf("the error is %v", err)
	}
}

func TestSubscriber(t *testing.T) {
	t.Parallel()

	t.Run("delivers the events of its types in the order of the log", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, "other.happened", happened, happened)
		messages := subscribe(t, w.subscriber(t), "reader")
		take(t, messages, "1")
		take(t, messages, "3")
		take(t, messages, "4")
		w.append(t, "other.happened", happened)
		take(t, messages, "6")
	})

	t.Run("delivers the next when the last was acknowledged, which a checkpoint remembers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		messages := subscribe(t, w.subscriber(t), "reader")
		first := receive(t, messages)
		w.append(t, happened)
		select {
		case msg := <-messages:
			t.Errorf("event %s came before event 1 was acknowledged", msg.UUID)
		default:
		}
		if at := w.checkpoint(t, "reader"); at != 0 {
			t.Errorf("the checkpoint is at %d", at)
		}
		first.Ack()
		second := receive(t, messages)
		if at := w.checkpoint(t, "reader"); at != 1 || second.UUID != "2" {
			t.Errorf("event %s came, and the checkpoint is at %d", second.UUID, at)
		}
		second.Ack()
		take(t, messages, "3")
		w.settled(t, "reader", 3)
	})

	t.Run("remembers what it passed over", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, "other.happened", happened, "other.happened", "other.happened")
		messages := subscribe(t, w.subscriber(t), "reader")
		take(t, messages, "2")
		w.settled(t, "reader", 4)
		w.append(t, "other.happened")
		w.settled(t, "reader", 5)
	})

	t.Run("delivers again what was refused, and nothing else before", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		messages := subscribe(t, w.subscriber(t), "reader")
		first := receive(t, messages)
		first.Nack()
		again := receive(t, messages)
		if again.UUID != "1" || again == first || w.checkpoint(t, "reader") != 0 {
			t.Errorf("event %s came, and the checkpoint is at %d", again.UUID, w.checkpoint(t, "reader"))
		}
		again.Ack()
		take(t, messages, "2")
	})

	t.Run("goes on after its checkpoint when it starts again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened, happened)
		first := w.subscriber(t)
		messages := subscribe(t, first, "reader")
		take(t, messages, "1")
		receive(t, messages) // and not acknowledged
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		messages = subscribe(t, w.subscriber(t), "reader")
		take(t, messages, "2")
		take(t, messages, "3")
	})

	t.Run("gives each reader everything", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		s := w.subscriber(t)
		one, two := subscribe(t, s, "one"), subscribe(t, s, "two")
		take(t, one, "1")
		take(t, one, "2")
		take(t, two, "1")
		take(t, two, "2")
	})

	t.Run("is active once for each reader, and others stand by", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened, happened)
		first, second := w.subscriber(t), w.subscriber(t)
		active := subscribe(t, first, "reader")
		held := receive(t, active)
		standing := subscribe(t, second, "reader")
		held.Ack()
		held = receive(t, active)
		select {
		case msg := <-standing:
			t.Errorf("event %s came to the one that stands by", msg.UUID)
		default:
		}
		held.Ack()
		w.settled(t, "reader", 2)
		w.append(t, happened)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		take(t, standing, "3")
	})

	t.Run("loses nothing with its connection", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		messages := subscribe(t, w.subscriber(t), "reader")
		held := receive(t, messages)
		w.killClaims(t)
		held.Ack() // which cannot be remembered any more
		take(t, messages, "1")
		w.append(t, happened)
		take(t, messages, "2")
	})
}

// killClaims ends the connections that claims are held on.
func (w *world) killClaims(t *testing.T) {
	t.Helper()
	owner, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	const kill = `
		select count(pg_terminate_backend(pid, 10000)) from pg_locks
		where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`
	var killed int
	if err := owner.QueryRow(t.Context(), kill).Scan(&killed); err != nil || killed == 0 {
		t.Fatalf("%d connections killed, %v", killed, err)
	}
}

func TestMessageContextEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Subscriber, *message.Message, context.CancelFunc){
		"when it is acknowledged":       func(_ *Subscriber, m *message.Message, _ context.CancelFunc) { m.Ack() },
		"when it is refused":            func(_ *Subscriber, m *message.Message, _ context.CancelFunc) { m.Nack() },
		"with the subscriber":           func(s *Subscriber, _ *message.Message, _ context.CancelFunc) { _ = s.Close() },
		"with the subscription's own":   func(_ *Subscriber, _ *message.Message, cancel context.CancelFunc) { cancel() },
		"and not before: it has values": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type key struct{}
			w := newWorld(t)
			w.append(t, happened)
			s := w.subscriber(t)
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
			defer cancel()
			messages, err := s.Subscribe(ctx, "reader")
			if err != nil {
				t.Fatal(err)
			}
			msg := receive(t, messages)
			if msg.Context().Err() != nil || msg.Context().Value(key{}) != "kept" {
				t.Errorf("at first: %v, %v", msg.Context().Err(), msg.Context().Value(key{}))
			}
			if end != nil {
				end(s, msg, cancel)
				receiveOrEnd(t, msg.Context().Done())
			}
		})
	}
}

func TestSubscriptionEnds(t *testing.T) {
	t.Parallel()
	drained := func(t *testing.T, messages <-chan *message.Message) {
		t.Helper()
		if msg, open := receiveOrEnd(t, messages); open {
			t.Errorf("event %s came", msg.UUID)
		}
	}

	t.Run("with its context, and no other does", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := w.subscriber(t)
		ctx, cancel := context.WithCancel(t.Context())
		ending, err := s.Subscribe(ctx, "one")
		if err != nil {
			t.Fatal(err)
		}
		staying := subscribe(t, s, "two")
		cancel()
		drained(t, ending)
		w.append(t, happened)
		take(t, staying, "1")
	})

	t.Run("with its subscriber, wherever it is, and no other begins", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.append(t, happened)
		s := w.subscriber(t)
		waiting := subscribe(t, s, "one") // for an acknowledgement
		receive(t, waiting)
		offering := subscribe(t, s, "two") // a message that nobody takes
		w.settled(t, "two", 0)
		standing := subscribe(t, s, "one") // by
		idle := subscribe(t, s, "three")   // at the end of the log
		take(t, idle, "1")
		w.settled(t, "three", 1)
		var all sync.WaitGroup
		for range 3 { // may be repeated, and at once
			all.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, messages := range []<-chan *message.Message{waiting, offering, standing, idle} {
			drained(t, messages)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Subscribe(t.Context(), "four"); err == nil {
			t.Error("a closed subscriber takes a subscription")
		}
	})

	t.Run("even if it begins while its subscriber closes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for range 20 {
			s := w.subscriber(t)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					if messages, err := s.Subscribe(t.Context(), "reader"); err == nil {
						drained(t, messages)
					}
				})
			}
			all.Go(func() { _ = s.Close() })
			all.Wait()
		}
	})
}

func TestNothingIsLeftRunning(t *testing.T) { //nolint:paralleltest // it looks at the goroutines of the whole process
	before := goleak.IgnoreCurrent()
	t.Run("the test", func(t *testing.T) {
		w := newWorld(t)
		w.append(t, happened, happened)
		s := w.subscriber(t)
		s.poison = w.poison()
		messages := subscribe(t, s, "one")
		take(t, messages, "1")
		receive(t, messages)
		subscribe(t, s, "one")
		subscribe(t, s, "two")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	goleak.VerifyNone(t, before, pgtest.IgnoreServer())
}
