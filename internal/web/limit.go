package web

import (
	"context"
	"fmt"
	"time"

	"foof/internal/fault"

	"github.com/gin-gonic/gin"
	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"
)

// Limiter bounds how often one address may ask for something. A nil Limiter does not. It is safe for concurrent use.
type Limiter struct {
	store limiter.Store
}

// NewLimiter allows each address that many requests within a span of time.
func NewLimiter(requests uint64, within time.Duration) (*Limiter, error) {
	store, err := memorystore.New(&memorystore.Config{Tokens: requests, Interval: within})
	if err != nil {
		return nil, fmt.Errorf("limiter: %w", err)
	}
	return &Limiter{store: store}, nil
}

// Take takes one of the caller's requests, or is a fault of kind TooMany.
func (l *Limiter) Take(c *gin.Context) error {
	if l == nil {
		return nil
	}
	_, _, reset, ok, err := l.store.Take(c.Request.Context(), c.ClientIP())
	if err != nil {
		return fmt.Errorf("limiter: %w", err)
	}
	if !ok {
		wait := time.Until(time.Unix(0, int64(reset))) //nolint:gosec // a time in ns
		return fault.TooMany(max(wait, time.Second))   // it may have come in the meantime
	}
	return nil
}

// Close stops the limiter's housekeeping.
func (l *Limiter) Close() error {
	if l == nil {
		return nil
	}
	return l.store.Close(context.Background())
}
