package web

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"foof/internal/fault"

	"github.com/gin-gonic/gin"
	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"
)

// Limiter bounds how often something may be done within a span of time, by each of those who do it, in this process. A nil Limiter
// does not. It is safe for concurrent use.
type Limiter struct {
	store limiter.Store
}

// NewLimiter allows each key that many times within a span. For 0 it is nil: any number.
func NewLimiter(times uint64, within time.Duration) (*Limiter, error) {
	if times == 0 {
		return nil, nil //nolint:nilnil // a nil Limiter is a Limiter
	}
	store, err := memorystore.New(&memorystore.Config{
		Tokens: times, Interval: within, SweepInterval: within, SweepMinTTL: within, // so that nothing is kept of who was here once
	})
	if err != nil {
		return nil, fmt.Errorf("limiter: %w", err)
	}
	return &Limiter{store: store}, nil
}

// Take takes one of a key's times, or is a fault of kind TooMany.
func (l *Limiter) Take(ctx context.Context, key string) error {
	if l == nil {
		return nil
	}
	_, _, reset, ok, err := l.store.Take(ctx, key)
	if err != nil {
		return fmt.Errorf("limiter: %w", err)
	}
	if !ok {
		return tooMany(reset)
	}
	return nil
}

// Left is a fault of kind TooMany if a key has no times left. It takes none.
func (l *Limiter) Left(ctx context.Context, key string) error {
	if l == nil {
		return nil
	}
	most, left, err := l.store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("limiter: %w", err)
	}
	if most > 0 && left == 0 { // most is 0 for who was never here
		return l.Take(ctx, key) // refused, and says until when; or let through, as that is now
	}
	return nil
}

func tooMany(reset uint64) error {
	wait := time.Until(time.Unix(0, int64(reset))) //nolint:gosec // a time in ns
	return fault.TooMany(max(wait, time.Second))   // it may have come in the meantime
}

// Close stops the limiter's housekeeping.
func (l *Limiter) Close() error {
	if l == nil {
		return nil
	}
	return l.store.Close(context.Background())
}

// Address is whose request it is as far as limits go: an IPv4 address, or what one subscriber has of IPv6, a /64.
func Address(c *gin.Context) string {
	address, err := netip.ParseAddr(c.ClientIP())
	if err != nil {
		return c.ClientIP()
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(64) // of an address that has 128 bits
	return prefix.String()
}

// bounded limits how often an address may post.
func bounded(perAddress *Limiter) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		if c.Request.Method != http.MethodPost {
			return nil
		}
		return perAddress.Take(c.Request.Context(), Address(c))
	})
}
