package store

import (
	"context"
	"errors"
	"testing"

	"foof/events"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	t.Run("goes on where the claim was left, and then live", func(t *testing.T) {
		t.Parallel()
		appending, d := running(t)
		ctx := patience(t)
		fill(t, appending, "a", 0, 10, `1`)
		log := Open(d.service(t)) // which has nothing of that in memory
		start(t, log)
		var seen []events.Recorded
		for _, last := range []events.Position{4, 10, 13} { // one owner after the other
			claim, err := log.Claim(ctx, "reader")
			if err != nil {
				t.Fatal(err)
			}
			if last > 10 {
				fill(t, appending, "b", 0, 3, `1`)
			}
			for page, err := range log.Follow(ctx, claim, 2) {
				if err != nil {
					t.Fatal(err)
				}
				seen = append(seen, page...)
				if err := claim.Advance(ctx, page[len(page)-1].Position, nil); err != nil {
					t.Fatal(err)
				}
				if claim.Position >= last {
					break
				}
			}
			claim.Release(ctx)
		}
		sameEvents(t, "followed", seen, everything(t, log))
		if got := d.checkpoint(ctx, t, "reader"); got != 13 {
			t.Errorf("the checkpoint is %d", got)
		}
	})
	t.Run("goes on after a page that was advanced over in part", func(t *testing.T) {
		t.Parallel()
		appending, d := running(t)
		ctx := patience(t)
		fill(t, appending, "a", 0, 10, `1`)
		log := Open(d.service(t))
		start(t, log)
		claim := claimed(ctx, t, log, "reader")
		for page, err := range log.Follow(ctx, claim, 4) {
			if err != nil {
				t.Fatal(err)
			}
			if page[0].Position != claim.Position+1 {
				t.Fatalf("%d comes after %d", page[0].Position, claim.Position)
			}
			if err := claim.Advance(ctx, page[0].Position, nil); err != nil {
				t.Fatal(err)
			}
			if claim.Position == 10 {
				break
			}
		}
	})
	for name, c := range map[string]struct {
		lose func(ctx context.Context, d *database, c *Claim) error
		want error // if it matters which
	}{
		"ends when its connection is lost while nothing happens": {
			lose: func(ctx context.Context, d *database, c *Claim) error {
				_, err := d.owner.Exec(ctx, `select pg_terminate_backend($1)`, c.conn.PgConn().PID())
				return err
			},
		},
		"ends when the checkpoint is moved while nothing happens": {
			lose: func(ctx context.Context, d *database, c *Claim) error {
				_, err := d.owner.Exec(ctx, `update checkpoints set position = 1 where reader = $1`, c.Reader)
				return err
			},
			want: ErrMoved,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, d := running(t)
			ctx := patience(t)
			fill(t, log, "a", 0, 3, `1`)
			claim := claimed(ctx, t, log, "reader")
			var got []error
			for page, err := range log.Follow(ctx, claim, 10) {
				if got = append(got, err); err != nil {
					continue // it is over
				}
				if err := claim.Advance(ctx, page[len(page)-1].Position, nil); err != nil {
					t.Fatal(err)
				}
				if err := c.lose(ctx, d, claim); err != nil {
					t.Fatal(err)
				}
			}
			if len(got) != 2 || got[0] != nil || got[1] == nil || c.want != nil && !errors.Is(got[1], c.want) {
				t.Errorf("it yielded %v, want a page and then %v", got, c.want)
			}
		})
	}
	t.Run("ends with its context", func(t *testing.T) {
		t.Parallel()
		log, _ := running(t)
		ctx, cancel := context.WithCancel(patience(t))
		claim := claimed(ctx, t, log, "reader")
		cancel()
		for _, err := range log.Follow(ctx, claim, 10) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want %v", err, context.Canceled)
			}
		}
	})
}
