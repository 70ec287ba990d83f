package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// together has all of these appends wait before the writer begins, so that it takes as many at once as it can, and returns
// what each was answered.
func together(t *testing.T, pool *pgxpool.Pool, appends ...Append) []outcome {
	t.Helper()
	log := Open(pool)
	queue := make(chan *pending, len(appends))
	log.queue = queue
	waiting := make([]*pending, len(appends))
	for i, a := range appends {
		p, err := newPending(a)
		if err != nil {
			t.Fatal(err)
		}
		waiting[i] = p
		queue <- p
	}
	stop := start(t, log)
	defer stop()
	return answers(patience(t), t, waiting)
}

func answers(ctx context.Context, t fataler, waiting []*pending) []outcome {
	t.Helper()
	outcomes := make([]outcome, len(waiting))
	for i, p := range waiting {
		select {
		case outcomes[i] = <-p.done:
		case <-ctx.Done():
			t.Fatalf("append %d of %d was not answered", i, len(waiting))
		}
	}
	return outcomes
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func TestBatch(t *testing.T) {
	t.Parallel()
	wrong := func(stream string) Append { return command(at{stream: 0}, fact(stream, `not JSON`)) }
	twice := command(at{"a": 0, "b": 0}, fact("a", `1`), fact("b", `2`))
	once := next("a", 0)
	for name, c := range map[string]struct {
		given []Append
		when  []Append
		then  []string // what each is answered
		log   []string
	}{
		"appends to different streams all go in": {
			when: []Append{next("a", 0), twin("b", 0), next("c", 0)},
			then: []string{"at 1", "at 3", "at 4"},
			log:  []string{"a@1", "b@1", "b@2", "c@1"},
		},
		"one in conflict is refused alone": {
			given: []Append{next("b", 0)},
			when:  []Append{next("a", 0), twin("b", 0), twin("c", 0), next("b", 1)},
			then:  []string{"at 2", "b is at version 1, not 0", "at 4", "at 5"},
			log:   []string{"b@1", "a@1", "c@1", "c@2", "b@2"},
		},
		"all in conflict add nothing": {
			given: []Append{next("a", 0), next("b", 0)},
			when:  []Append{next("a", 0), twin("b", 0), next("b", 7)},
			then:  []string{"a is at version 1, not 0", "b is at version 1, not 0", "b is at version 1, not 7"},
			log:   []string{"a@1", "b@1"},
		},
		"one in conflict over several streams is refused once": {
			given: []Append{next("a", 0), next("b", 0)},
			when:  []Append{command(at{"a": 0, "b": 0, "c": 0}, fact("c", `1`)), next("c", 0)},
			then:  []string{"a or b is at version 1, not 0", "at 3"},
			log:   []string{"a@1", "b@1", "c@1"},
		},
		"one that the database refuses is refused alone": {
			when: []Append{next("a", 0), wrong("b"), twin("c", 0), wrong("d"), next("e", 0)},
			then: []string{"at 1", "refused", "at 3", "refused", "at 4"},
			log:  []string{"a@1", "c@1", "c@2", "e@1"},
		},
		"of two for one stream the second hears of the first": {
			when: []Append{next("a", 0), next("b", 0), twin("a", 0), next("c", 0), next("a", 1)},
			then: []string{"at 1", "at 2", "a is at version 1, not 0", "at 3", "at 4"},
			log:  []string{"a@1", "b@1", "c@1", "a@2"},
		},
		"one command that comes twice at once goes in once": {
			when: []Append{next("c", 0), once, twice, once, twice, next("d", 0)},
			then: []string{"at 1", "at 2", "a is at version 1, not 0", "at 2 again", "a is at version 1, not 0", "at 3"},
			log:  []string{"c@1", "a@1", "d@1"},
		},
		"one command over several streams that comes twice at once goes in once": {
			when: []Append{twice, twice, twice, next("d", 0)},
			then: []string{"at 2", "at 2 again", "at 2 again", "at 3"},
			log:  []string{"a@1", "b@1", "d@1"},
		},
		"repeated ones have their first receipts beside new ones": {
			given: []Append{twice, next("c", 0)},
			when:  []Append{next("d", 0), twice, twin("e", 0)},
			then:  []string{"at 4", "at 2 again", "at 6"},
			log:   []string{"a@1", "b@1", "c@1", "d@1", "e@1", "e@2"},
		},
		"repeated ones that were decided anew have their first receipts beside new ones": {
			given: []Append{twice},
			when: []Append{next("d", 0), {
				Command: twice.Command, Expect: at{"a": 1}, Events: []events.Encoded{fact("a", `3`)}, Meta: twice.Meta,
			}, wrong("e"), next("f", 0)},
			then: []string{"at 3", "at 2 again", "refused", "at 4"},
			log:  []string{"a@1", "b@1", "d@1", "f@1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newDatabase(t).service(t)
			for _, a := range c.given {
				together(t, pool, a)
			}
			var got []string
			for _, o := range together(t, pool, c.when...) {
				got = append(got, told(o))
			}
			if diff := cmp.Diff(c.then, got, cmp.Comparer(sameAnswer)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.log, places(everything(t, Open(pool)))); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

// twin is the append of two events to a stream at this version.
func twin(stream string, version events.Version) Append {
	return command(at{stream: version}, fact(stream, `1`), fact(stream, `2`))
}

// told puts an answer in words.
func told(o outcome) string {
	var refusal *pgconn.PgError
	switch {
	case errors.As(o.err, &refusal):
		return "refused"
	case o.err != nil:
		return o.err.Error()
	case o.receipt.Repeated:
		return fmt.Sprintf("at %d again", o.receipt.Position)
	default:
		return fmt.Sprintf("at %d", o.receipt.Position)
	}
}

func sameAnswer(a, b string) bool {
	return a == b || strings.Replace(a, "a or b", "a", 1) == b || strings.Replace(a, "a or b", "b", 1) == b ||
		strings.Replace(b, "a or b", "a", 1) == a || strings.Replace(b, "a or b", "b", 1) == a
}
