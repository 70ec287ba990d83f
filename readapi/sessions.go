package readapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"foof/events"
	"foof/internal/fault"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// RevocationLog is what Sessions needs of the log.
type RevocationLog interface {
	LogEnd
	Load(ctx context.Context, streams ...string) ([]events.Recorded, error)
	Subscribe(ctx context.Context, position events.Position, limit int) iter.Seq2[[]events.Recorded, error]
}

// Sessions knows from when on users' tokens count: of those who were asked about lately from memory, and of others from the
// read model. It follows the log, so that what is revoked in one process is revoked in the others as soon as they see it there;
// a process that has not seen the end of the log for staleAfter asks the read model each time. It is safe for concurrent use.
type Sessions struct {
	pool   *pgxpool.Pool
	log    RevocationLog
	codec  *events.Codec
	logger *slog.Logger

	mu      sync.Mutex
	since   map[events.UserID]int64 // ms since 1970
	reached events.Position         // everything up to here is in since, of users that are
	revoked events.Position         // the newest revocation, of whomever: what is older in the read model may be stale
	current time.Time               // when reached was the end of the log
	changed chan struct{}           // closed when reached moves
}

const (
	staleAfter = 500 * time.Millisecond
	remembered = 1 << 17 // users
	restAfter  = 100 * time.Millisecond
)

// NewSessions makes a Sessions. Without Run it asks the read model each time.
func NewSessions(pool *pgxpool.Pool, log RevocationLog, codec *events.Codec, logger *slog.Logger) *Sessions {
	return &Sessions{
		pool: pool, log: log, codec: codec, logger: logger,
		since: map[events.UserID]int64{}, reached: -1, changed: make(chan struct{}),
	}
}

// Run follows the log until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.logger.ErrorContext(ctx, "sessions interrupted", slog.Any("error", err), slog.Duration("again_in", restAfter))
			rest(ctx, restAfter)
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *Sessions) follow(ctx context.Context) error {
	head, err := s.log.Head(ctx)
	if err != nil {
		return err
	}
	s.begin(head)
	for page, err := range s.log.Subscribe(ctx, head, 1000) {
		if err != nil {
			return err
		}
		if err := s.take(ctx, page); err != nil {
			return err
		}
	}
	return nil
}

// begin forgets everything: what was revoked up to here is in the read model, or will be.
func (s *Sessions) begin(head events.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.since)
	s.revoked = head
	s.reach(head)
}

func (s *Sessions) take(ctx context.Context, page []events.Recorded) error {
	for i := range page {
		user, at, err := s.revocation(ctx, page[i:i+1])
		if err != nil {
			return err
		}
		if user != 0 {
			s.revoke(user, at, page[i].Position)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reach(page[len(page)-1].Position)
	return nil
}

// revocation is whose tokens an event revokes, and when. The user is 0 if it revokes none.
func (s *Sessions) revocation(ctx context.Context, event []events.Recorded) (user events.UserID, at time.Time, err error) {
	if kind := event[0].Type; kind != "user.password_changed" && kind != "user.logged_out" {
		return 0, at, nil
	}
	if err := s.codec.Decode(ctx, event); err != nil {
		return 0, at, err
	}
	switch e := event[0].Event.(type) {
	case events.UserPasswordChanged:
		return e.User, e.At, nil
	case events.UserLoggedOut:
		return e.User, e.At, nil
	}
	return 0, at, nil
}

func (s *Sessions) revoke(user events.UserID, at time.Time, position events.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(user, at.UnixMilli())
	s.revoked = position
}

func (s *Sessions) remember(user events.UserID, since int64) {
	if len(s.since) >= remembered {
		clear(s.since)
	}
	s.since[user] = since
}

func (s *Sessions) reach(position events.Position) {
	s.reached = position
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await returns once what is revoked up to position is, in this process, or with the error of ctx.
func (s *Sessions) Await(ctx context.Context, position events.Position) error {
	for {
		s.mu.Lock()
		reached, changed := s.reached, s.changed
		s.mu.Unlock()
		if reached >= position {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("sessions are at %d, not %d: %w", reached, position, ctx.Err())
		}
	}
}

// TokensSince says from when on a user's tokens count, in ms since 1970. It never goes back: somebody has seen it at least there,
// and what is older in memory does not count. It is fault.ErrForbidden for a user that there is not.
func (s *Sessions) TokensSince(ctx context.Context, user events.UserID, atLeast int64) (int64, error) {
	if since, ok := s.known(user); ok && since >= atLeast {
		return since, nil
	}
	const sql = `select tokens_since, (select position from checkpoints where reader = 'users') from users where id = $1`
	var (
		since int64
		asOf  *events.Position
	)
	err := s.pool.QueryRow(ctx, sql, user).Scan(&since, &asOf)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("%w: there is no user %d", fault.ErrForbidden, user)
	}
	if err != nil {
		return 0, fmt.Errorf("tokens of user %d: %w", user, err)
	}
	if s.behind(asOf) {
		if since, err = s.fromLog(ctx, user, since); err != nil {
			return 0, fmt.Errorf("tokens of user %d: %w", user, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	since = max(since, s.since[user]) // the read model may be behind, and it only ever grows
	if asOf != nil && *asOf >= s.revoked {
		s.remember(user, since)
	}
	return since, nil
}

// behind tells whether there are revocations that a read model which has come so far does not show.
func (s *Sessions) behind(asOf *events.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return asOf == nil || *asOf < s.revoked
}

// fromLog is from when on a user's tokens count, where the read model says since and may be behind.
func (s *Sessions) fromLog(ctx context.Context, user events.UserID, since int64) (int64, error) {
	history, err := s.log.Load(ctx, user.Stream())
	if err != nil {
		return 0, err
	}
	for i := range history {
		revoked, at, err := s.revocation(ctx, history[i:i+1])
		if err != nil {
			return 0, err
		}
		if revoked == user {
			since = max(since, at.UnixMilli())
		}
	}
	return since, nil
}

func (s *Sessions) known(user events.UserID) (int64, bool) {
	end, at := s.log.Looked()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reached >= end && at.After(s.current) {
		s.current = at
	}
	since, ok := s.since[user]
	return since, ok && time.Since(s.current) < staleAfter
}
