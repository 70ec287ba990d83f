package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// A batch is answered as if its appends came one by one, in order, and the log is what follows from that.
func TestABatchIsLikeItsAppendsOneByOne(t *testing.T) {
	t.Parallel()
	var (
		ctx  = patience(t)
		pool = newDatabase(t).service(t)
		log  = Open(pool)
		w    = &writer{pool: pool, tail: newTail()}
	)
	defer w.disconnect(ctx)
	rapid.Check(t, func(t *rapid.T) {
		before, err := log.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		m := newModel(before)
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			b := batch{streams: map[string]bool{}, commands: map[uuid.UUID]bool{}}
			for range rapid.IntRange(1, 8).Draw(t, "appends") {
				p, err := newPending(m.draw(t))
				if err != nil {
					t.Fatal(err)
				}
				b.add(p)
			}
			var want [][]string
			for _, p := range b.appends {
				want = append(want, m.append(p))
			}
			w.settle(ctx, b.appends)
			for i, o := range answers(ctx, t, b.appends) {
				if got := told(o); !slices.Contains(want[i], got) {
					t.Fatalf("append %d of %d, %v, was answered %q, want one of %q", i+1, len(b.appends), b.appends[i].Append, got, want[i])
				}
			}
		}
		stored, err := log.ReadAfter(ctx, before, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.log, places(stored)); diff != "" {
			t.Fatalf("log (-want +got):\n%s", diff)
		}
	})
}

// model is what a log ought to be and to answer.
type model struct {
	names    []string
	head     events.Position
	streams  map[string]events.Version
	receipts map[uuid.UUID]events.Position
	appended []Append
	log      []string
}

func newModel(head events.Position) *model {
	m := &model{head: head, streams: map[string]events.Version{}, receipts: map[uuid.UUID]events.Position{}}
	for i := range 12 {
		m.names = append(m.names, fmt.Sprintf("%d-%d", head, i)) // nobody else's
	}
	return m
}

// append is what this append may be answered now. If it does not hold in several streams, any of them may be named.
func (m *model) append(p *pending) []string {
	if first, ok := m.receipts[p.Command]; ok {
		return []string{fmt.Sprintf("at %d again", first)}
	}
	var conflicts []string
	for stream, version := range p.Expect {
		if actual := m.streams[stream]; actual != version {
			conflicts = append(conflicts, (&ConflictError{stream, version, actual}).Error())
		}
	}
	if len(conflicts) > 0 {
		return conflicts
	}
	if slices.ContainsFunc(p.Events, func(e events.Encoded) bool { return string(e.Data) == wrongData }) {
		return []string{"refused"}
	}
	for _, e := range p.Events {
		m.head++
		m.streams[e.Stream]++
		m.log = append(m.log, fmt.Sprintf("%s@%d", e.Stream, m.streams[e.Stream]))
	}
	m.receipts[p.Command] = m.head
	m.appended = append(m.appended, p.Append)
	return []string{fmt.Sprintf("at %d", m.head)}
}

const wrongData = `{"n":`

// draw makes up an append: mostly one that is right, at times one that is behind or ahead of a stream, wrong in itself, or
// of a command that was appended before.
func (m *model) draw(t *rapid.T) Append {
	const isRight, isOff, isWrong, isRepeated, isAnew = 4, 6, 7, 8, 9
	kind := rapid.IntRange(0, isAnew).Draw(t, "kind")
	if kind == isRepeated && len(m.appended) > 0 {
		return rapid.SampledFrom(m.appended).Draw(t, "repeated")
	}
	a := command(at{})
	for _, stream := range rapid.SliceOfNDistinct(rapid.SampledFrom(m.names), 1, 3, rapid.ID).Draw(t, "streams") {
		a.Expect[stream] = m.streams[stream]
		if kind > isRight && kind <= isOff {
			a.Expect[stream] += events.Version(rapid.IntRange(-1, 1).Draw(t, "off by"))
		}
	}
	known := slices.Sorted(maps.Keys(a.Expect))
	for i := range rapid.IntRange(1, 4).Draw(t, "events") {
		a.Events = append(a.Events, fact(rapid.SampledFrom(known).Draw(t, "stream"), fmt.Sprint(i)))
	}
	switch {
	case kind == isWrong:
		a.Events[len(a.Events)-1].Data = []byte(wrongData)
	case kind == isAnew && len(m.appended) > 0:
		first := rapid.SampledFrom(m.appended).Draw(t, "decided anew")
		a.Command, a.Meta = first.Command, first.Meta
	}
	return a
}
