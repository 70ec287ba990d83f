package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// A client does one thing, over and over, and says how many events that made durable. Each is used by one goroutine.
type client func(ctx context.Context) (int, error)

// sample is what one measurement found.
type sample struct {
	rate     float64 // events per second
	p50, p99 time.Duration
}

// drive lets clients work at once, each as fast as it is answered, and measures what is answered within d after a while to
// warm up.
func drive(ctx context.Context, clients []client, d time.Duration) (sample, error) {
	var (
		from  = time.Now().Add(min(d/4, time.Second/2))
		until = from.Add(d)
		added = make([]int, len(clients))
		took  = make([][]time.Duration, len(clients))
	)
	g, ctx := errgroup.WithContext(ctx)
	for i, work := range clients {
		g.Go(func() error {
			for begin := time.Now(); begin.Before(until); {
				n, err := work(ctx)
				if err != nil {
					return err
				}
				end := time.Now()
				if end.After(from) && end.Before(until) {
					added[i] += n
					took[i] = append(took[i], end.Sub(begin))
				}
				begin = end
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return sample{}, err
	}
	total := 0
	for _, n := range added {
		total += n
	}
	all := slices.Concat(took...)
	if total == 0 {
		return sample{}, fmt.Errorf("nothing was answered within %v: measure for longer", d)
	}
	return sample{rate: float64(total) / d.Seconds(), p50: percentile(all, 50), p99: percentile(all, 99)}, nil
}

// percentile sorts took and gives the smallest that p percent do not exceed; 0 if there is none.
func percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[max(0, (len(took)*p+99)/100-1)]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
