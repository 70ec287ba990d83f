package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"foof/internal/localpg"
	"foof/internal/mail"
	"foof/internal/outbox"
	"foof/internal/sms"
	"foof/internal/web"
	"foof/projections"

	"github.com/gin-gonic/gin"
)

type devCommand struct {
	Addr string `help:"The address to listen on." default:"127.0.0.1:8080"`
	Data string `help:"The folder that keeps everything between runs: the database, the pictures and the secrets." default:".foof" type:"path"`
}

func (devCommand) Help() string {
	return `The data folder has a PostgreSQL of its own; the machine's programs are used if it has them, else they are fetched once.
Codes for phones and links for campus mail are not sent: they are printed, and GET /dev/outbox shows them. Limits per address
and per account are off. Ctrl-C stops all of it. To begin anew, delete the folder.`
}

// Run serves until ctx ends.
func (d devCommand) Run(ctx context.Context, t terminal) (err error) {
	if d.Data == "" { // "$UNSET": not whatever folder this happens to be
		return errors.New("--data must name a folder")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; --addr takes another address", d.Addr, err)
	}
	defer listener.Close()
	logger := slog.New(slog.NewTextHandler(t.err, nil))

	say := func(what string) { fmt.Fprintln(t.err, what) }
	server, err := localpg.Start(ctx, localpg.Options{Dir: filepath.Join(d.Data, "postgres"), Progress: say})
	if errors.Is(err, localpg.ErrInUse) {
		return fmt.Errorf("another foof dev runs on %s: stop it first, or choose another folder with --data (%w)", d.Data, err)
	}
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		err = errors.Join(err, server.Stop(stopping))
	}()

	c, err := d.config(server.DSN("postgres"), "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	tell := func(name string) { logger.InfoContext(ctx, "migrating", slog.String("to", name)) }
	if err := migrate(ctx, string(c.DatabaseURL), tell); err != nil {
		return err
	}
	messages := &outbox.Outbox{Tell: func(ctx context.Context, m outbox.Message) { // only here may a log tell a secret
		logger.InfoContext(ctx, "message", slog.String("channel", m.Channel), slog.String("to", m.To),
			slog.String("code", m.Code), slog.String("link", m.Link))
	}}
	around := surroundings{logger: logger, texts: messages, mails: messages, now: time.Now}
	a, err := newApp(ctx, c, around, devRoutes(messages)) //nolint:contextcheck // requests have their own
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-server.Exited():
			cancel(errors.New("PostgreSQL ended; its log is " + filepath.Join(d.Data, "postgres", "postgres.log")))
		case <-ctx.Done():
		}
	}()
	fmt.Fprintf(t.out, "FOOF is up at http://%s (data in %s; Ctrl-C stops it)\n", listener.Addr(), d.Data)
	err = a.Run(ctx, listener)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// config is the production configuration with the limits per address lifted, and with secrets that are kept in the data
// folder.
func (d devCommand) config(databaseURL, publicURL string) (config, error) {
	kept, err := keepSecrets(filepath.Join(d.Data, "secrets.json"))
	if err != nil {
		return config{}, err
	}
	c, err := configFrom(map[string]string{
		"DATABASE_URL": databaseURL, "FOOF_JWT_SECRETS": kept.JWT, "FOOF_MASTER_KEY": kept.Master,
		"FOOF_SMS_WEBHOOK": "http://localhost", "FOOF_SMS_WEBHOOK_SECRET": "none", // there is an outbox instead
		"FOOF_CAMPUS_DOMAIN": "campus.example", "FOOF_PUBLIC_URL": publicURL, "FOOF_IMAGES": filepath.Join(d.Data, "images"),
		"FOOF_CODES_PER_ADDRESS": "0", "FOOF_LOGINS_PER_ADDRESS": "0", "FOOF_POSTS_PER_ADDRESS": "0",
		"FOOF_POSTS_PER_ACCOUNT": "0", // whoever tries the service out does so from few accounts
	})
	return c, err
}

type secrets struct {
	JWT    string `json:"jwt"`
	Master string `json:"master"`
}

// keepSecrets reads the secrets of a data folder, and draws them the first time.
func keepSecrets(path string) (secrets, error) {
	var s secrets
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = secrets{JWT: drawSecret(), Master: drawSecret()}
		text, err = json.Marshal(s) //nolint:gosec // into a file that is its owner's alone
		if err != nil {
			return s, fmt.Errorf("secrets: %w", err)
		}
		// Whole or not at all: without the master key what is in the database is lost.
		partial := path + ".new"
		if err := os.WriteFile(partial, text, 0o600); err != nil {
			return s, fmt.Errorf("secrets: %w", err)
		}
		if err := os.Rename(partial, path); err != nil {
			return s, fmt.Errorf("secrets: %w", err)
		}
		return s, nil
	case err != nil:
		return s, fmt.Errorf("secrets: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("secrets: %s is damaged: %w", path, err)
	}
	return s, nil
}

func drawSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// devRoutes adds what only development has: a look at the messages that were not sent.
func devRoutes(messages *outbox.Outbox) func(*app) func(gin.IRouter) {
	return func(a *app) func(gin.IRouter) {
		reactors := projections.NewProgress(a.pool, sms.Reader, mail.Reader)
		show := func(c *gin.Context) error {
			ctx := c.Request.Context()
			head, err := a.log.Head(ctx)
			if err != nil {
				return err
			}
			if err := reactors.Await(ctx, head); err != nil { // so that what was asked for before is there
				return err
			}
			to := c.Query("to")
			if digits, abroad := strings.CutPrefix(to, " "); abroad { // a + that was not written as %2B
				to = "+" + digits
			}
			web.Answer(c, messages.Messages(to))
			return nil
		}
		return func(r gin.IRouter) { r.GET("/dev/outbox", web.Handle(show)) }
	}
}
