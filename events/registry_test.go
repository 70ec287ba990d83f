package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewRegistryPanics(t *testing.T) {
	t.Parallel()
	same := func(data []byte) ([]byte, error) { return data, nil }
	for name, types := range map[string][]Type{
		"where a name comes twice":       {Define[ItemTraded]("item.traded", 1), Define[ItemModified]("item.traded", 1)},
		"where a Go type comes twice":    {Define[ItemTraded]("item.traded", 1), Define[ItemTraded]("item.sold", 1)},
		"where an upcast is missing":     {Define[ItemTraded]("item.traded", 3, same)},
		"where there are no upcasts":     {Define[ItemTraded]("item.traded", 2)},
		"where there is one too many":    {Define[ItemTraded]("item.traded", 1, same)},
		"where there is no form at all":  {Define[ItemTraded]("item.traded", 0)},
		"where the version is below one": {Define[ItemTraded]("item.traded", -1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("it did not")
				}
			}()
			NewRegistry(types...)
		})
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r := NewRegistry(Define[ItemTraded]("item.traded", 1), Define[boxMoved]("box.moved", 3, addFloor, joinSpot))

	t.Run("lists types in the order of the table", func(t *testing.T) {
		t.Parallel()
		var names []string
		for _, kind := range r.All() {
			names = append(names, kind.Name)
		}
		if diff := cmp.Diff([]string{"item.traded", "box.moved"}, names); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("finds the type of an event", func(t *testing.T) {
		t.Parallel()
		kind, ok := r.Of(boxMoved{})
		if !ok || kind.Name != "box.moved" || kind.Schema != 3 {
			t.Errorf("it finds %q v%d, %t", kind.Name, kind.Schema, ok)
		}
	})
	t.Run("finds no type where there is none", func(t *testing.T) {
		t.Parallel()
		for name, event := range map[string]Event{"a stranger": ItemModified{}, "a pointer": &ItemTraded{}, "nothing": nil} {
			if kind, ok := r.Of(event); ok {
				t.Errorf("%s is %s", name, kind.Name)
			}
		}
	})
}
