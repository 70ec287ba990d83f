package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"foof/events"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestMissing(t *testing.T) {
	t.Parallel()
	log, _ := running(t)
	mustAppend(t, log, next("a", 0))
	mustAppend(t, log, next("a", 1))
	mustAppend(t, log, next("b", 0))
	for _, c := range []struct{ asked, want []string }{
		{nil, nil}, {[]string{"a", "b"}, nil}, {[]string{"c"}, []string{"c"}}, {[]string{"c", "a", "d", "b", "c"}, []string{"c", "c", "d"}},
	} {
		got, err := log.Missing(t.Context(), c.asked...)
		if slices.Sort(got); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("of %v: %v, %v; want %v", c.asked, got, err, c.want)
		}
	}
}

func TestAppended(t *testing.T) {
	t.Parallel()
	log, _ := running(t)
	var facts []events.Encoded
	for n := range 2500 { // more than are read at once
		facts = append(facts, fact("many", fmt.Sprint(n)))
	}
	one, many := next("a", 0), command(at{"many": 0}, facts...)
	mustAppend(t, log, one)
	mustAppend(t, log, next("b", 0))
	mustAppend(t, log, many)
	mustAppend(t, log, next("c", 0))
	all := everything(t, log)
	for name, c := range map[string]struct {
		command uuid.UUID
		want    []events.Recorded
	}{
		"one event":       {one.Command, all[:1]},
		"many events":     {many.Command, all[2:2502]},
		"what never came": {uuid.New(), nil},
	} {
		got, err := log.Appended(t.Context(), c.command)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sameEvents(t, name, got, c.want)
	}
}

// looked tells whether a log has seen the end at a position, at a time or later.
func looked(log *Log, position events.Position, since time.Time) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		head, at := log.Looked()
		return head == position && !at.Before(since), nil
	}
}

func TestLooked(t *testing.T) {
	t.Parallel()
	log, d := running(t)
	began := time.Now()
	until(t, "it has looked", looked(log, 0, began))
	mustAppend(t, log, next("a", 0))
	if head, _ := log.Looked(); head != 1 {
		t.Errorf("after an append of its own, the log ends at %d", head)
	}
	other := Open(d.service(t))
	start(t, other)
	mustAppend(t, other, next("b", 0))
	until(t, "it has seen what others appended", looked(log, 2, time.Now()))
}

func TestNumbersCountUp(t *testing.T) {
	t.Parallel()
	log, _ := running(t)
	first, err := log.NextFavorites(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	second, err := log.NextFavorites(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]events.FavoriteID{1, 2, 3, 4, 5}, append(first, second...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := log.NextFavorites(t.Context(), 0); err != nil || len(none) != 0 {
		t.Errorf("none are %v, %v", none, err)
	}
	for want := range events.MessageID(3) {
		if got, err := log.NextMessage(t.Context()); err != nil || got != want+1 {
			t.Errorf("message %d, %v", got, err)
		}
	}
}
