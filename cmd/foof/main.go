// Foof is the backend of a second-hand marketplace, event-sourced: see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Dev      devCommand      `cmd:"" help:"Run the whole service on this machine, on a PostgreSQL of its own. Needs nothing else."`
	Serve    serveCommand    `cmd:"" help:"Run the service in production, configured by the environment."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database's schema up to date, or say how it is."`
	Reactors reactorsCommand `cmd:"" help:"Show how far what leaves the log is, and what could not be sent; send that again, or forget it."`
	Health   healthCommand   `cmd:"" help:"Ask a running service how it is."`
	Bench    benchCommand    `cmd:"" help:"Measure the service on this machine."`
}

// terminal is where a command prints: results to out, what is going on to err.
type terminal struct{ out, err io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, terminal{os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "foof:", err)
		os.Exit(1)
	}
}

// run carries out one command line. It returns when the command has ended, or has wound up after ctx ended.
func run(ctx context.Context, t terminal, args []string) error {
	exit := -1
	parser, err := kong.New(&cli{},
		kong.Name("foof"),
		kong.Description("The backend of a second-hand marketplace: everything that happens is an event in a log, "+
			"and every view of it can be built again."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { exit = code }),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was asked for and given
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; see %s --help", err, reached(err))
	}
	return command.Run()
}

// reached is the command that a command line named before it went wrong.
func reached(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
		return wrong.Context.Selected().FullPath()
	}
	return "foof"
}
