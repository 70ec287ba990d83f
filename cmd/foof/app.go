package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"foof/commands"
	"foof/events"
	"foof/events/store"
	"foof/internal/feed"
	"foof/internal/images"
	"foof/internal/phone"
	"foof/internal/sms"
	"foof/internal/token"
	"foof/internal/vault"
	"foof/internal/web"
	"foof/migrations"
	"foof/projections"
	"foof/readapi"
	"foof/writeapi"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// app is the service, put together.
type app struct {
	config   config
	logger   *slog.Logger
	pool     *pgxpool.Pool
	log      *store.Log
	runners  []*projections.Runner
	reactors *feed.Router
	limiter  *web.Limiter
	handler  http.Handler
}

// surroundings is what the service meets outside of its database.
type surroundings struct {
	logger *slog.Logger
	sender sms.Sender // of its text messages
	now    func() time.Time
}

// newApp puts the service together over a database that has been migrated. extra adds routes.
func newApp(ctx context.Context, c config, around surroundings, extra ...func(*app) func(gin.IRouter)) (*app, error) {
	master, err := c.masterKey()
	if err != nil {
		return nil, err
	}
	numbering, err := phone.NewNumbering(c.PhoneRegion)
	if err != nil {
		return nil, err
	}
	signer, err := token.NewSigner([]byte(c.JWTSecret), c.TokenLifetime, around.now)
	if err != nil {
		return nil, err
	}
	pictures, err := openImages(ctx, c)
	if err != nil {
		return nil, err
	}
	pool, err := connect(ctx, string(c.DatabaseURL))
	if err != nil {
		return nil, err
	}
	a := &app{config: c, logger: around.logger, pool: pool, log: store.Open(pool)}
	secrets, err := vault.Open(ctx, pool, master)
	if err != nil {
		pool.Close()
		return nil, err
	}
	codec := events.NewCodec(events.Types, secrets)
	progress := a.project(codec)
	if err := a.react(codec, secrets, around); err != nil {
		pool.Close()
		return nil, err
	}
	if c.CodesPerAddress > 0 {
		if a.limiter, err = web.NewLimiter(c.CodesPerAddress, 15*time.Minute); err != nil {
			pool.Close()
			return nil, err
		}
	}

	auth := &web.Auth{Signer: signer, TokensSince: readapi.TokensSince(pool)}
	reading := &readapi.API{Pool: pool, Auth: auth, Signer: signer, Passwords: secrets, Phones: numbering, Images: pictures}
	writing := &writeapi.API{
		Engine: commands.NewEngine(a.log, codec), Auth: auth, Vault: secrets, Numbers: a.log, Phones: numbering, Images: pictures,
		Await: progress.Await, Now: around.now,
		CodeLimits: c.codeLimits(), PerAddress: a.limiter, MinPassword: c.MinPassword, Logger: around.logger,
	}
	routes := []func(gin.IRouter){reading.Routes, writing.Routes}
	for _, add := range extra {
		routes = append(routes, add(a))
	}
	options := web.Options{Logger: around.logger, TrustedProxies: c.TrustedProxies, Timeout: c.RequestTimeout}
	a.handler, err = web.New(options, routes...) //nolint:contextcheck // requests have their own
	if err != nil {
		pool.Close()
		return nil, err
	}
	return a, nil
}

// project prepares the read models' runners.
func (a *app) project(codec *events.Codec) *projections.Progress {
	progress := projections.NewProgress(a.pool, projections.Names()...)
	for _, projector := range projections.All {
		a.runners = append(a.runners, &projections.Runner{
			Projector: projector, Log: a.log, Codec: codec, Progress: progress, Logger: a.logger,
		})
	}
	return progress
}

// react prepares what leaves the log.
func (a *app) react(codec *events.Codec, secrets *vault.Vault, around surroundings) error {
	router, err := feed.NewRouter(a.log, a.logger, a.config.ShutdownTimeout)
	if err != nil {
		return err
	}
	texts := &sms.Reactor{Codec: codec, Codes: secrets, Sender: around.sender, Now: around.now, Logger: a.logger}
	router.Add(sms.Reader, sms.Types, texts.Handle)
	a.reactors = router
	return nil
}

// Run serves on listener until ctx ends or something breaks for good. Then requests in flight are answered first, and after
// them what they need winds up: nothing that was acknowledged is lost. It returns when all has ended.
func (a *app) Run(ctx context.Context, listener net.Listener) error {
	defer a.pool.Close()
	defer a.limiter.Close() //nolint:contextcheck // it is of memory, and does not wait

	// What requests need ends after them.
	background, windUp := context.WithCancel(context.WithoutCancel(ctx))
	defer windUp()
	g, failed := errgroup.WithContext(ctx)
	g.Go(func() error { return a.log.Run(background) })
	for _, runner := range a.runners {
		g.Go(func() error { return runner.Run(background) })
	}
	g.Go(func() error { return a.reactors.Run(background) })

	server := &http.Server{
		Handler: web.Slashes(a.handler), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-failed.Done()
		defer windUp()
		within, cancel := context.WithTimeout(background, a.config.ShutdownTimeout)
		defer cancel()
		if err := server.Shutdown(within); err != nil {
			return fmt.Errorf("requests were still in flight after %s: %w", a.config.ShutdownTimeout, err)
		}
		return nil
	})
	return g.Wait()
}

// openImages opens the library of pictures where the configuration has it.
func openImages(ctx context.Context, c config) (*images.Library, error) {
	bucket, prefix, inS3 := c.imagesBucket()
	var (
		store images.Store
		err   error
	)
	if inS3 {
		store, err = images.OpenS3(ctx, images.S3Place{
			Endpoint: c.S3Endpoint, Region: c.S3Region, AccessKey: c.S3AccessKey, SecretKey: string(c.S3SecretKey),
			Bucket: bucket, Prefix: prefix,
		})
	} else {
		store, err = images.OpenFolder(c.Images)
	}
	if err != nil {
		return nil, fmt.Errorf("FOOF_IMAGES: %w", err)
	}
	return images.New(store, c.ImagePixels), nil
}

// connect opens a pool that acts as foof_service, which cannot rewrite history.
func connect(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL: not a PostgreSQL URL or DSN") // the parser's words may hold the password
	}
	pc.ConnConfig.RuntimeParams["role"] = "foof_service"
	pc.ConnConfig.RuntimeParams["application_name"] = "foof"
	pc.ConnConfig.ConnectTimeout = 5 * time.Second
	pc.MaxConns = max(pc.MaxConns, 16)
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pool, nil
}

// migrate brings a database's schema up to date.
func migrate(ctx context.Context, databaseURL string, tell func(string)) error {
	return withConn(ctx, databaseURL, func(conn *pgx.Conn) error { return migrations.Up(ctx, conn, tell) })
}

func withConn(ctx context.Context, databaseURL string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return use(conn)
}
