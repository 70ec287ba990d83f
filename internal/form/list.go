package form

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const notAList = "must be a JSON list of positive whole numbers, such as [1,2,3]"

// List reads a required list of ids (see ID), at most so many, in the order
// sent and with repetitions: a JSON list, as text or, in a JSON body, as it is.
// The ids in it may be numbers or text. Unless there is a fault, it is not nil.
func (f *Form) List(name string, most int) []int64 {
	if !f.Has(name) {
		f.fail(name, "is missing")
		return nil
	}
	text, _ := f.fields[name].raw()
	ids, wrong := parseIDs(text, most)
	if wrong != "" {
		f.fail(name, wrong)
		return nil
	}
	return ids
}

func parseIDs(text string, most int) (ids []int64, wrong string) {
	d := jsontext.NewDecoder(strings.NewReader(text))
	if open, err := d.ReadToken(); err != nil || open.Kind() != '[' {
		return nil, notAList
	}
	ids = []int64{}
	for {
		entry, err := d.ReadToken()
		if err != nil {
			return nil, notAList
		}
		if entry.Kind() == ']' {
			break
		}
		if len(ids) == most {
			return nil, fmt.Sprintf("must have at most %d entries", most)
		}
		id, ok := parseID(entry.String())
		if !ok {
			return nil, fmt.Sprintf("entry %d must be a positive whole number", len(ids)+1)
		}
		ids = append(ids, id)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, notAList
	}
	return ids, ""
}
