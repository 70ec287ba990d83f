// Package bench measures FOOF against what the server that it runs on can do at all. What is compared is measured in turn, in
// several rounds of one run on one server, because machines differ from each other and a busy one from itself: the ratios
// count, not the figures.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"foof/events/store"

	"golang.org/x/sync/errgroup"
)

// LogOptions say what to measure. Zero values are the defaults.
type LogOptions struct {
	// DatabaseURL is a database of the server to measure on, whose user may create databases. A database is made beside it
	// and dropped at the end; nothing else is touched. Empty: a PostgreSQL of our own in a temporary folder, as durable as in
	// production.
	DatabaseURL string
	// Duration of one measurement: 3 s.
	Duration time.Duration
	// Rounds is how often each measurement is made: 3.
	Rounds int
	// Events is how many there are in the log that is replayed: 200,000.
	Events int
	// Appenders are the numbers of concurrent appenders: 1, 8, 32, 256.
	Appenders []int
}

func (o LogOptions) withDefaults() (LogOptions, error) {
	if o.Duration == 0 {
		o.Duration = 3 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.Events == 0 {
		o.Events = 200_000
	}
	if len(o.Appenders) == 0 {
		o.Appenders = []int{1, 8, 32, 256}
	}
	for _, n := range o.Appenders {
		if n < 1 {
			return o, fmt.Errorf("%d appenders: at least 1", n)
		}
	}
	if o.Duration < 0 || o.Rounds < 0 || o.Events < 0 {
		return o, errors.New("a duration, a number of rounds and one of events are positive")
	}
	return o, nil
}

// Log measures appends and replay of the log beside the same done with bare SQL. It tells progress before whatever takes
// seconds. It leaves nothing behind, also when it fails or ctx ends.
func Log(ctx context.Context, o LogOptions, progress func(string)) (report LogReport, err error) {
	if o, err = o.withDefaults(); err != nil {
		return LogReport{}, err
	}
	samples, err := newSamples(ctx)
	if err != nil {
		return LogReport{}, fmt.Errorf("make events to append: %w", err)
	}
	at, err := openPlace(ctx, o.DatabaseURL, progress)
	if err != nil {
		return LogReport{}, err
	}
	defer func() {
		if err = errors.Join(err, at.close(ctx)); err != nil {
			report = LogReport{}
		}
	}()
	report = LogReport{
		Machine: machine(), Server: at.facts, Events: o.Events,
		Rounds: o.Rounds, Seconds: o.Duration.Seconds(), DataBytes: samples.dataBytes(),
	}
	if report.Replay, err = replays(ctx, o, at, samples, progress); err != nil {
		return LogReport{}, fmt.Errorf("measure replay: %w", err)
	}
	if report.Appends, err = appends(ctx, o, at, samples, progress); err != nil {
		return LogReport{}, fmt.Errorf("measure appends: %w", err)
	}
	report.Targets = targets(report)
	return report, nil
}

// withLog runs a log of its own, as a process of the service has one, while use runs.
func withLog(ctx context.Context, at *place, use func(ctx context.Context, log *store.Log) error) error {
	running, stop := context.WithCancel(ctx)
	log := store.Open(at.pool)
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return log.Run(running) })
	g.Go(func() error {
		defer stop()
		return use(running, log)
	})
	return g.Wait()
}
