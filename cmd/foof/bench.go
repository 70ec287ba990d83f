package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"foof/internal/bench"
)

type benchCommand struct {
	Log benchLog `cmd:"" help:"How fast the log takes appends and replays, beside the same done with bare SQL on the same server."`
}

type benchLog struct {
	DatabaseURL string        `help:"A database of the server to measure on; its user must be allowed to create databases. Without it: a PostgreSQL of our own, thrown away afterwards."`
	Duration    time.Duration `help:"How long each measurement takes." default:"3s"`
	Rounds      int           `help:"How often each is made, in turn; medians are reported." default:"3"`
	Events      int           `help:"How many events are replayed." default:"200000"`
	Appenders   []int         `help:"How many append at once." default:"1,8,32,256"`
	JSON        bool          `name:"json" help:"Print JSON."`
}

// Run measures and prints the report.
func (b benchLog) Run(ctx context.Context, t terminal) error {
	options := bench.LogOptions{
		DatabaseURL: b.DatabaseURL, Duration: b.Duration, Rounds: b.Rounds, Events: b.Events, Appenders: b.Appenders,
	}
	report, err := bench.Log(ctx, options, func(what string) { fmt.Fprintln(t.err, what) })
	if err != nil {
		return err
	}
	if b.JSON {
		return json.NewEncoder(t.out).Encode(report)
	}
	return report.WriteTable(t.out)
}
