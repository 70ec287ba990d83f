package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect" //nolint:depguard // to print what config says of itself
	"strings"
	"time"

	"foof/internal/mail"
	"foof/internal/sms"
	"foof/migrations"

	"github.com/jackc/pgx/v5"
)

type serveCommand struct{}

func (serveCommand) Help() string { return "All settings come from the environment:\n\n" + settings() }

// Run serves until ctx ends.
func (serveCommand) Run(ctx context.Context, t terminal) error {
	c, err := configFrom(nil)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(t.err, nil))
	logger.InfoContext(ctx, "configuration", slog.String("config", fmt.Sprintf("%+v", c)))
	if err := refuseUnmigrated(ctx, string(c.DatabaseURL)); err != nil {
		return err
	}
	around, err := c.surroundings(logger)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, c, around)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		a.pool.Close()
		return fmt.Errorf("cannot listen on %s: %w; FOOF_ADDR takes another address", c.Addr, err)
	}
	logger.InfoContext(ctx, "serving", slog.String("addr", listener.Addr().String()))
	return a.Run(ctx, listener)
}

// surroundings are the real ones. None of them needs to be there yet.
func (c config) surroundings(logger *slog.Logger) (surroundings, error) {
	around := surroundings{logger: logger, now: time.Now, texts: &sms.Webhook{
		URL: c.SMSWebhook, Secret: []byte(c.SMSWebhookSecret), Client: &http.Client{Timeout: 10 * time.Second}, Now: time.Now,
	}}
	if c.SMTPURL != "" {
		relay, err := mail.NewSMTP(string(c.SMTPURL), c.MailFrom)
		if err != nil {
			return surroundings{}, fmt.Errorf("FOOF_SMTP_URL: %w", err)
		}
		around.mails = relay
	}
	return around, nil
}

func refuseUnmigrated(ctx context.Context, databaseURL string) error {
	return withConn(ctx, databaseURL, func(conn *pgx.Conn) error {
		state, err := migrations.State(ctx, conn)
		if err != nil {
			return err
		}
		if state.Current > state.Latest {
			return fmt.Errorf("the database is at migration %d and this foof knows %d: run a newer foof", state.Current, state.Latest)
		}
		if state.Current != state.Latest {
			return fmt.Errorf("the database is at migration %d and this foof needs %d: run foof migrate up", state.Current, state.Latest)
		}
		return nil
	})
}

// settings describes what can be set, from config itself.
func settings() string {
	var text strings.Builder
	for field := range reflect.TypeFor[config]().Fields() {
		key, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		fmt.Fprintf(&text, "%s: %s", key, field.Tag.Get("help"))
		if value := field.Tag.Get("envDefault"); value != "" {
			fmt.Fprintf(&text, " Default: %s.", value)
		}
		if strings.Contains(options, "required") {
			text.WriteString(" Required.")
		}
		text.WriteString("\n\n")
	}
	return text.String()
}
