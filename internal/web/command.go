package web

import (
	"context"

	"github.com/google/uuid"
)

type commandKey struct{}

// WithCommand says under which id the command of a request is carried out, once, however often the request comes.
func WithCommand(ctx context.Context, id uuid.UUID) context.Context {
	return context.WithValue(ctx, commandKey{}, id)
}

// Command is that id, and uuid.Nil if each time counts.
func Command(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(commandKey{}).(uuid.UUID)
	return id
}
