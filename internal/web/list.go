package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"foof/internal/form"

	"github.com/gin-gonic/gin"
)

// Span is which part of a list is asked for.
type Span struct {
	After int64  // an id
	Limit *int32 // nil: all
}

const mostListed = 1000

// SpanOf reads the fields limit and after, which may both be left out.
func SpanOf(f *form.Form) Span {
	s := Span{Limit: f.OptionalInt("limit", form.Between(1, mostListed))}
	if text, _ := f.Lookup("after"); text != "0" { // from the beginning
		if after := f.OptionalID("after"); after != nil {
			s.After = *after
		}
	}
	return s
}

// List is an answer with a list that may be longer than one wants to have in memory. What was added is sent piece by piece; if
// something goes wrong after the first piece the answer breaks off, so that nobody takes it for whole.
type List struct {
	c       *gin.Context
	pending bytes.Buffer
	entries int
	err     error
}

// piece is how many bytes are gathered before they are sent.
const piece = 64 << 10

// BeginList begins an answer of status success with a list of this name.
func BeginList(c *gin.Context, name string) *List {
	l := &List{c: c}
	fmt.Fprintf(&l.pending, `{"status":"success",%q:[`, name)
	return l
}

// Add adds an entry.
func (l *List) Add(entry any) {
	if l.entries > 0 {
		l.pending.WriteByte(',')
	}
	l.entries++
	encoder := json.NewEncoder(&l.pending)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(entry); err != nil && l.err == nil {
		l.err = fmt.Errorf("answer: %w", err)
	}
	l.pending.Truncate(l.pending.Len() - len("\n"))
	if l.pending.Len() >= piece {
		l.send()
	}
}

// End ends the answer.
func (l *List) End() error {
	l.pending.WriteString("]}\n")
	l.send()
	return l.err
}

func (l *List) send() {
	if l.err != nil {
		return
	}
	if !l.c.Writer.Written() {
		l.c.Header("Content-Type", "application/json; charset=utf-8")
		l.c.Status(http.StatusOK)
	}
	if _, err := l.c.Writer.Write(l.pending.Bytes()); err != nil {
		l.err = fmt.Errorf("answer: %w", err)
	}
	l.pending.Reset()
}
