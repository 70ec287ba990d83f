package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	repeated := command(at{"a": 0, "b": 0}, fact("a", `1`), fact("b", `2`), fact("a", `3`))
	for name, c := range map[string]struct {
		given []Append
		when  Append

		then    Receipt
		refused *ConflictError
		log     []string // what the log has after it
	}{
		"to a new stream begins it": {
			when: next("a", 0),
			then: Receipt{Position: 1, Version: 1}, log: []string{"a@1"},
		},
		"of several events numbers them": {
			when: command(at{"a": 0}, fact("a", `1`), fact("a", `2`), fact("a", `3`)),
			then: Receipt{Position: 3, Version: 3}, log: []string{"a@1", "a@2", "a@3"},
		},
		"at the expected version follows it": {
			given: []Append{next("a", 0), next("b", 0)},
			when:  next("a", 1),
			then:  Receipt{Position: 3, Version: 2}, log: []string{"a@1", "b@1", "a@2"},
		},
		"to several streams keeps the order of its events": {
			given: []Append{next("b", 0)},
			when:  command(at{"a": 0, "b": 1}, fact("b", `1`), fact("a", `2`), fact("b", `3`)),
			then:  Receipt{Position: 4, Version: 3}, log: []string{"b@1", "b@2", "a@1", "b@3"},
		},
		"that only watches another stream leaves that alone": {
			given: []Append{next("b", 0)},
			when:  command(at{"a": 0, "b": 1}, fact("a", `1`)),
			then:  Receipt{Position: 2, Version: 1}, log: []string{"b@1", "a@1"},
		},
		"to a stream that exists already is refused as new": {
			given:   []Append{next("a", 0)},
			when:    next("a", 0),
			refused: &ConflictError{"a", 0, 1}, log: []string{"a@1"},
		},
		"behind its stream is refused": {
			given:   []Append{next("a", 0), next("a", 1), next("a", 2)},
			when:    next("a", 1),
			refused: &ConflictError{"a", 1, 3}, log: []string{"a@1", "a@2", "a@3"},
		},
		"ahead of its stream is refused": {
			given:   []Append{next("a", 0)},
			when:    next("a", 4),
			refused: &ConflictError{"a", 4, 1}, log: []string{"a@1"},
		},
		"of several events behind their stream is refused whole": {
			given:   []Append{next("a", 0)},
			when:    command(at{"a": 0}, fact("a", `1`), fact("a", `2`)),
			refused: &ConflictError{"a", 0, 1}, log: []string{"a@1"},
		},
		"to several streams is refused whole if one has moved": {
			given:   []Append{next("b", 0)},
			when:    command(at{"a": 0, "b": 0, "c": 0}, fact("a", `1`), fact("b", `2`), fact("c", `3`)),
			refused: &ConflictError{"b", 0, 1}, log: []string{"b@1"},
		},
		"is refused if a stream that it only watches has moved": {
			given:   []Append{next("b", 0), next("b", 1)},
			when:    command(at{"a": 0, "b": 1}, fact("a", `1`)),
			refused: &ConflictError{"b", 1, 2}, log: []string{"b@1", "b@2"},
		},
		"that is repeated has its first receipt": {
			given: []Append{repeated, next("c", 0)},
			when:  repeated,
			then:  Receipt{Position: 3, Version: 2, Repeated: true}, log: []string{"a@1", "b@1", "a@2", "c@1"},
		},
		"that is repeated after its streams moved has its first receipt": {
			given: []Append{repeated, next("a", 2), next("b", 1)},
			when:  repeated,
			then:  Receipt{Position: 3, Version: 2, Repeated: true}, log: []string{"a@1", "b@1", "a@2", "a@3", "b@2"},
		},
		"of a command that was decided anew has its first receipt": {
			given: []Append{repeated},
			when:  Append{Command: repeated.Command, Expect: at{"a": 2}, Events: []events.Encoded{fact("a", `4`)}, Meta: repeated.Meta},
			then:  Receipt{Position: 3, Version: 2, Repeated: true}, log: []string{"a@1", "b@1", "a@2"},
		},
		"of a command that was decided anew for another stream has its first receipt": {
			given: []Append{repeated},
			when:  Append{Command: repeated.Command, Expect: at{"z": 0}, Events: []events.Encoded{fact("z", `4`), fact("z", `5`)}, Meta: repeated.Meta},
			then:  Receipt{Position: 3, Version: 2, Repeated: true}, log: []string{"a@1", "b@1", "a@2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, _ := running(t)
			for _, a := range c.given {
				mustAppend(t, log, a)
			}
			receipt, err := log.Append(patience(t), c.when)

			var conflict *ConflictError
			if errors.As(err, &conflict) {
				err = nil
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.then, receipt); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.refused, conflict); diff != "" {
				t.Errorf("conflict (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.log, places(everything(t, log))); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

// places says of events in which stream and version they are.
func places(page []events.Recorded) []string {
	var list []string
	for _, r := range page {
		list = append(list, fmt.Sprintf("%s@%d", r.Stream, r.Version))
	}
	return list
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	odd := func(change func(a *Append)) Append {
		a := next("a", 0)
		change(&a)
		return a
	}
	log, _ := running(t)
	for name, a := range map[string]Append{
		"no events":                              command(at{"a": 0}),
		"a stream without an expectation":        command(at{"b": 0}, fact("a", `1`)),
		"a second stream without an expectation": command(at{"a": 0}, fact("a", `1`), fact("b", `2`)),
		"no command id":                          odd(func(a *Append) { a.Command = uuid.Nil }),
		"data that is not JSON":                  odd(func(a *Append) { a.Events[0].Data = []byte(`{"a":`) }),
		"no data":                                odd(func(a *Append) { a.Events[0].Data = nil }),
		"a NUL in data":                          odd(func(a *Append) { a.Events[0].Data = []byte("\"\x00\"") }),
		"data that is not UTF-8":                 odd(func(a *Append) { a.Events[0].Data = []byte("\"\xff\"") }),
		"a type that is too long":                odd(func(a *Append) { a.Events[0].Type = strings.Repeat("t", 101) }),
		"no type":                                odd(func(a *Append) { a.Events[0].Type = "" }),
		"no form":                                odd(func(a *Append) { a.Events[0].Schema = 0 }),
		"a stream without a name":                command(at{"": 0}, fact("", `1`)),
		"a NUL in a stream's name":               command(at{"a\x00b": 0}, fact("a\x00b", `1`)),
		"a name that is not UTF-8":               command(at{"\xff": 0}, fact("\xff", `1`)),
		"a stream's name that is too long":       command(at{strings.Repeat("s", 201): 0}, fact(strings.Repeat("s", 201), `1`)),
		"one wrong event of two":                 command(at{"a": 0, "b": 0}, fact("a", `1`), fact("b", `oops`)),
		"metadata that is not UTF-8":             odd(func(a *Append) { a.Meta.Correlation = "\xff" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receipt, err := log.Append(patience(t), a)
			var conflict *ConflictError
			switch {
			case err == nil:
				t.Errorf("it was appended at %d", receipt.Position)
			case errors.As(err, &conflict), errors.Is(err, ErrInDoubt), errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed):
				t.Errorf("%v: that is for appends that may be right another time", err)
			}
			if head, err := log.Head(patience(t)); err != nil || head > 0 {
				t.Errorf("the head is at %d, %v", head, err)
			}
		})
	}
}

func TestAppendKeepsBytes(t *testing.T) {
	t.Parallel()
	log, d := running(t)
	odd := []string{
		`{"b": 1,  "a":2, "a": 3}`, ` [ 1.50, 1e3 ] `, `null`, `"\u0000"`, `"\ud83d\ude00 旧书"`, "{\"tab\":\t\"\\t\"}", `12345678901234567890.10`,
	}
	var expected events.Version
	for _, data := range odd { // one by one, and then the same in one append
		mustAppend(t, log, command(at{"odd": expected}, fact("odd", data)))
		expected++
	}
	together := command(at{"odd": expected})
	for _, data := range odd {
		together.Events = append(together.Events, fact("odd", data))
	}
	mustAppend(t, log, together)

	meta := events.Metadata{Actor: 12, Command: uuid.NewString(), Correlation: `<>&"\ 旧`, Causation: "17"}
	want, err := events.EncodeMetadata(meta)
	if err != nil {
		t.Fatal(err)
	}
	a := next("meta", 0)
	a.Command, a.Meta = uuid.MustParse(meta.Command), meta
	mustAppend(t, log, a)

	page, err := log.Load(patience(t), "odd", "meta", "nothing")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range page[:2*len(odd)] {
		if want := odd[i%len(odd)]; string(r.Data) != want {
			t.Errorf("event %d has %q, want %q", i, r.Data, want)
		}
	}
	last := page[2*len(odd)]
	if !bytes.Equal(last.Meta, want) {
		t.Errorf("metadata is %q, want %q", last.Meta, want)
	}
	if got, err := last.Metadata(); err != nil || got != meta {
		t.Errorf("metadata is %+v, %v, want %+v", got, err, meta)
	}
	var stored string // past our own reading of it
	if err := d.owner.QueryRow(patience(t), `select meta::text from events where stream = 'meta'`).Scan(&stored); err != nil || stored != string(want) {
		t.Errorf("PostgreSQL has %q, %v, want %q", stored, err, want)
	}
}

// What subscribers get from memory is what the database has, to the microsecond and the byte, whichever way it was appended.
func TestAppendIsSeenAsItIsStored(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	pool, questions := d.counted(t, watchBlocked)
	log := Open(pool)
	start(t, log)
	ctx := patience(t)

	large := `"` + strings.Repeat("x", 1<<20) + `"`
	appends := []Append{
		next("a", 0), // by the short way
		command(at{"a": 1, "b": 0}, fact("a", `1`), fact("b", `2`), fact("a", `3`)), // by the function
		next("b", 1),
		command(at{"c": 0}, fact("c", large)),
		command(at{"c": 1}, fact("c", large), fact("c", large)),
	}
	var receipts []Receipt
	for _, a := range appends {
		receipts = append(receipts, mustAppend(t, log, a))
	}
	var seen []events.Recorded
	for page, err := range log.Subscribe(ctx, 0, 3) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, page...); len(seen) >= 8 {
			break
		}
	}
	if n := questions.pages.Load(); n != 0 {
		t.Fatalf("the subscriber read %d pages from the database", n)
	}
	stored := everything(t, log)
	sameEvents(t, "from memory", seen, stored)
	last := 0
	for i, a := range appends {
		last += len(a.Events)
		if r := stored[last-1]; receipts[i] != (Receipt{Position: r.Position, Version: r.Version}) {
			t.Errorf("receipt %d is %+v, and the event is %s", i, receipts[i], show(r))
		}
		for k, e := range a.Events {
			r := stored[last-len(a.Events)+k]
			if r.Stream != e.Stream || r.Type != e.Type || r.Schema != e.Schema || !bytes.Equal(r.Data, e.Data) {
				t.Errorf("append %d has %s", i, show(r))
			}
		}
	}
}

func TestAppendOfAnEndedContextLeavesNothing(t *testing.T) {
	t.Parallel()
	log, _ := running(t)
	mustAppend(t, log, next("a", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a coin that falls one way half the time would show
		_, err := log.Append(ctx, next("a", 1))
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrInDoubt) {
			t.Fatalf("%v, want %v without doubt", err, context.Canceled)
		}
	}
	if head, err := log.Head(patience(t)); head != 1 || err != nil {
		t.Errorf("the head is at %d, %v", head, err)
	}
}

func TestTimeDoesNotGoBackWithTheClock(t *testing.T) {
	t.Parallel()
	log, d := running(t)
	if _, err := d.owner.Exec(patience(t), `update log_head set recorded_at = '2200-01-01'`); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, log, next("a", 0))
	mustAppend(t, log, command(at{"a": 1}, fact("a", `1`), fact("a", `2`)))
	for _, r := range everything(t, log) {
		if r.At.Year() != 2200 {
			t.Errorf("recorded at %v", r.At)
		}
	}
}
