package events_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
)

var writeCatalogue = flag.Bool("catalogue", false, "write docs/events.md anew")

func TestCatalogue(t *testing.T) {
	t.Parallel()
	t.Run("docs/events.md lists every event type as it is", func(t *testing.T) {
		t.Parallel()
		const path = "../docs/events.md"
		want := catalogue()
		if *writeCatalogue {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("docs/events.md is not up to date; go test ./events -run Catalogue -catalogue writes it\n%s", diff)
		}
	})
}

// catalogue describes the registry in Markdown.
func catalogue() string {
	var b strings.Builder
	b.WriteString("# Events\n\nWritten from the registry by `go test ./events -run Catalogue -catalogue`. " +
		"*private*: sealed under a key of the person whom it is about. *optional*: absent where the event does not speak of it.\n")
	for _, t := range events.Types.All() {
		fact := t.New()
		fmt.Fprintf(&b, "\n## %s, version %d\n\nStream `%s`.\n\n| field | type | |\n| --- | --- | --- |\n",
			t.Name, t.Schema, strings.TrimSuffix(strings.TrimSuffix(fact.Stream(), "0"), "-")+"-…")
		form := reflect.TypeOf(fact)
		for field := range form.Fields() {
			name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
			kind, notes := field.Type.String(), []string{}
			if field.Type == reflect.TypeFor[events.Private]() {
				kind, notes = "text", append(notes, "private")
			}
			if option != "" {
				notes = append(notes, "optional")
			}
			kind = strings.TrimPrefix(strings.TrimPrefix(kind, "*"), "events.")
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, kind, strings.Join(notes, ", "))
		}
	}
	return b.String()
}
