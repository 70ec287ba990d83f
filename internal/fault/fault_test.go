package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"foof/internal/fault"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestOf(t *testing.T) {
	t.Parallel()
	invalid := fault.Invalid("title", "is missing")
	down := fault.Unavailable(io.ErrClosedPipe)
	tests := []struct {
		name string
		err  error
		want *fault.Error
	}{
		{"no error is no fault", nil, nil},
		{"a fault is itself", invalid, invalid},
		{"a wrapped fault is found", fmt.Errorf("add item: %w", invalid), invalid},
		{"a fault beside its cause is found", fmt.Errorf("verify: %w: %w", fault.ErrForbidden, io.EOF), fault.ErrForbidden},
		{
			"the outermost fault counts", &fault.Error{Kind: fault.KindUnavailable, Info: "down", Cause: invalid},
			&fault.Error{Kind: fault.KindUnavailable, Info: "down", Cause: invalid},
		},
		{"a cause stays with its fault", down, down},
		{
			"anything else is internal and keeps its cause", io.ErrUnexpectedEOF,
			&fault.Error{Kind: fault.KindInternal, Info: "internal error", Cause: io.ErrUnexpectedEOF},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, fault.Of(test.err), cmpopts.EquateErrors()); diff != "" {
				t.Errorf("Of (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		err, target error
		want        bool
	}{
		{"a sentinel is found when wrapped", fmt.Errorf("query: %w", fault.ErrNone), fault.ErrNone, true},
		{"the same words are the same refusal", fault.Refused("no such user"), fault.Refused("no such user"), true},
		{"other words are another refusal", fault.Refused("no such user"), fault.Refused("item already traded"), false},
		{"another kind is another fault", fault.ErrNone, fault.ErrForbidden, false},
		{"the cause does not matter", fault.Unavailable(io.EOF), fault.Unavailable(nil), true},
		{"the cause is found too", fault.Unavailable(io.ErrClosedPipe), io.ErrClosedPipe, true},
		{"a stranger is not found", fault.Unavailable(io.ErrClosedPipe), io.EOF, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := errors.Is(test.err, test.target); got != test.want {
				t.Errorf("errors.Is(%v, %v) = %t, want %t", test.err, test.target, got, test.want)
			}
		})
	}
}

func TestInfoIsForPeopleAndErrorForOperators(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		fault       *fault.Error
		info, error string
	}{
		{"invalid names the field", fault.Invalid("price", "must be a number"), "price: must be a number", "invalid: price: must be a number"},
		{"refused speaks the contract's words", fault.Refused("item already traded"), "item already traded", "refused: item already traded"},
		{
			"unavailable hides its cause", fault.Unavailable(io.ErrClosedPipe), "temporarily unavailable",
			"unavailable: temporarily unavailable: io: read/write on closed pipe",
		},
		{"internal hides its cause", fault.Of(io.EOF), "internal error", "internal: internal error: EOF"},
		{"forbidden", fault.ErrForbidden, "Forbidden", "forbidden: Forbidden"},
		{"too large", fault.ErrTooLarge, "Request Entity Too Large", "too large: Request Entity Too Large"},
		{"too many", fault.TooMany(time.Minute), "too many requests", "too many: too many requests"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.fault.Info != test.info {
				t.Errorf("Info = %q, want %q", test.fault.Info, test.info)
			}
			if got := test.fault.Error(); got != test.error {
				t.Errorf("Error() = %q, want %q", got, test.error)
			}
		})
	}
}

func TestWhoHasToWaitIsToldHowLong(t *testing.T) {
	t.Parallel()
	if got := fault.TooMany(90 * time.Second).RetryAfter; got != 90*time.Second {
		t.Errorf("TooMany: RetryAfter = %s, want 1m30s", got)
	}
	if got := fault.Unavailable(io.EOF).RetryAfter; got <= 0 {
		t.Errorf("Unavailable: RetryAfter = %s, want more than 0", got)
	}
}

func TestEveryKindHasAName(t *testing.T) {
	t.Parallel()
	seen := map[string]fault.Kind{}
	for kind := fault.KindInternal; kind <= fault.KindNotAllowed; kind++ {
		name := kind.String()
		if other, taken := seen[name]; taken || name == "" {
			t.Errorf("kind %d is called %q, as is kind %d", uint8(kind), name, uint8(other))
		}
		seen[name] = kind
	}
	if got := fault.Kind(200).String(); got != "kind 200" {
		t.Errorf("Kind(200) = %q, want %q", got, "kind 200")
	}
}
