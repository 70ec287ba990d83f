package feed

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"foof/events"
	"foof/events/store"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/google/uuid"
)

// TestWatermillsOwnSuite holds the subscriber against what Watermill expects of any. The log has no topics, and ids of its own
// for messages: here a topic is an event type, read under that name, and a message is an event's data.
//
// Of the suite's tests three do not apply: a reader is one consumer group, a new subscription to it goes on where the last one
// was, and there is no server to restart but PostgreSQL, which other tests see to.
func TestWatermillsOwnSuite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	connect := func(t *testing.T) (message.Publisher, message.Subscriber) {
		t.Helper()
		return &publisher{t: t, log: w.log}, &topics{log: w.log}
	}
	features := tests.Features{
		GuaranteedOrder: true, Persistent: true,
		ForceShort: true, // the long form is about throughput, which one message at a time is not
	}
	for name, test := range map[string]func(*testing.T, tests.TestContext, tests.PubSubConstructor){
		"PublishSubscribe":                  tests.TestPublishSubscribe,
		"ConcurrentSubscribe":               tests.TestConcurrentSubscribe,
		"ConcurrentSubscribeMultipleTopics": tests.TestConcurrentSubscribeMultipleTopics,
		"ResendOnError":                     tests.TestResendOnError,
		"NoAck":                             tests.TestNoAck,
		"ContinueAfterSubscribeClose":       tests.TestContinueAfterSubscribeClose,
		"ConcurrentClose":                   tests.TestConcurrentClose,
		"ContinueAfterErrors":               tests.TestContinueAfterErrors,
		"PublishSubscribeInOrder":           tests.TestPublishSubscribeInOrder,
		"PublisherClose":                    tests.TestPublisherClose,
		"Topic":                             tests.TestTopic,
		"MessageCtx":                        tests.TestMessageCtx,
		"SubscribeCtx":                      tests.TestSubscribeCtx,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, connect)
		})
	}
}

// envelope is a message in an event's data.
type envelope struct {
	UUID     string           `json:"uuid"`
	Metadata message.Metadata `json:"metadata"`
	Payload  []byte           `json:"payload"`
}

// publisher appends an event for each message.
type publisher struct {
	t   *testing.T
	log *store.Log
}

func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	a := store.Append{Command: uuid.New(), Expect: map[string]events.Version{}}
	for _, msg := range messages {
		data, err := json.Marshal(envelope{msg.UUID, msg.Metadata, msg.Payload})
		if err != nil {
			return err
		}
		stream := "message-" + uuid.NewString()
		a.Expect[stream] = 0
		a.Events = append(a.Events, events.Encoded{Stream: stream, Type: topic, Schema: 1, Data: data})
	}
	_, err := p.log.Append(p.t.Context(), a)
	return err
}

func (*publisher) Close() error { return nil }

// topics has a Subscriber for each topic, and takes messages out of their envelopes.
type topics struct {
	log  *store.Log
	mu   sync.Mutex
	subs []*Subscriber
	all  sync.WaitGroup
}

func (s *topics) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := NewSubscriber(s.log, slog.New(slog.DiscardHandler), topic)
	sealed, err := sub.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	s.subs = append(s.subs, sub)
	opened := make(chan *message.Message)
	s.all.Go(func() { //nolint:contextcheck // each message has one of its own
		defer close(opened)
		for msg := range sealed {
			forward(msg, opened)
		}
	})
	return opened, nil
}

func forward(msg *message.Message, to chan<- *message.Message) {
	ctx := msg.Context()
	var e envelope
	if err := json.Unmarshal(msg.Payload, &e); err != nil {
		panic(err)
	}
	opened := message.NewMessageWithContext(ctx, e.UUID, e.Payload)
	opened.Metadata = e.Metadata
	select {
	case to <- opened:
	case <-ctx.Done():
		return
	}
	select {
	case <-opened.Acked():
		msg.Ack()
	case <-opened.Nacked():
		msg.Nack()
	case <-ctx.Done():
	}
}

func (s *topics) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		if err := sub.Close(); err != nil {
			return err
		}
	}
	s.all.Wait()
	return nil
}
