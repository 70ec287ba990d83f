package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"foof/commands"
	"foof/events"
	"foof/events/store"
	"foof/internal/feed"
	"foof/internal/images"
	"foof/internal/inbox"
	"foof/internal/mail"
	"foof/internal/metrics"
	"foof/internal/once"
	"foof/internal/openapi"
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
	operation

	config   config
	logger   *slog.Logger
	pool     *pgxpool.Pool
	log      *store.Log
	runners  []*projections.Runner
	reactors *feed.Router
	sessions *readapi.Sessions
	bell     *inbox.Bell
	auth     *web.Auth
	limits   limits
	handler  http.Handler
}

// surroundings is what the service meets outside of its database.
type surroundings struct {
	logger  *slog.Logger
	texts   sms.Sender
	mails   mail.Sender // nil: no mail is sent
	retries feed.Retries
	now     func() time.Time
}

// newApp puts the service together over a database that has been migrated. extra adds routes.
func newApp(ctx context.Context, c config, around surroundings, extra ...func(*app) func(gin.IRouter)) (_ *app, err error) {
	master, err := c.masterKey()
	if err != nil {
		return nil, err
	}
	a := &app{config: c, operation: operation{metrics: metrics.New()}, bell: inbox.NewBell(c.StreamsPerAccount)}
	if around.logger, err = a.startTracing(ctx, c, around.logger); err != nil {
		return nil, err
	}
	a.logger = around.logger
	if a.pool, err = connect(ctx, string(c.DatabaseURL), a.queries()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.pool.Close()
		}
	}()
	a.log = store.Open(a.pool)
	secrets, err := vault.Open(ctx, a.pool, master)
	if err != nil {
		return nil, err
	}
	codec := events.NewCodec(events.Types, secrets)
	progress := a.project(codec)
	a.sessions = readapi.NewSessions(a.pool, a.log, codec, a.logger)
	if err := a.react(codec, secrets, around); err != nil {
		return nil, err
	}
	a.watch(c, a.pool, a.reactors.Readers())
	a.count()
	if err := a.limit(); err != nil {
		return nil, err
	}
	routes, err := a.api(ctx, around, secrets, codec, progress)
	if err != nil {
		return nil, err
	}
	for _, add := range extra {
		routes = append(routes, add(a))
	}
	if err := a.serve(routes, secrets); err != nil { //nolint:contextcheck // requests have their own
		return nil, err
	}
	return a, nil
}

// api makes the routes of the two sides.
func (a *app) api(
	ctx context.Context, around surroundings, secrets *vault.Vault, codec *events.Codec, progress *projections.Progress,
) ([]func(gin.IRouter), error) {
	c := a.config
	numbering, err := phone.NewNumbering(c.PhoneRegion)
	if err != nil {
		return nil, err
	}
	signer, err := token.NewSigner(c.jwtSecrets(), c.TokenLifetime, around.now)
	if err != nil {
		return nil, err
	}
	pictures, err := openImages(ctx, c)
	if err != nil {
		return nil, err
	}
	a.auth = &web.Auth{Signer: signer, TokensSince: a.sessions.TokensSince, PerAccount: a.limits.accounts}
	messages := &inbox.Inbox{Pool: a.pool}
	reading := &readapi.API{
		Pool: a.pool, Auth: a.auth, Signer: signer, Passwords: secrets, Phones: numbering, Images: pictures,
		Inbox: messages, Bell: a.bell, Log: a.log, Await: progress.Await, Heartbeat: c.Heartbeat,
		LoginsPerAddress: a.limits.logins, WrongPerNumber: a.limits.wrong,
	}
	writing := &writeapi.API{
		Engine: a.engine(codec), Auth: a.auth, Vault: secrets, Tickets: secrets, Log: a.log,
		Inbox: messages, Fetches: commands.NewTurns(), Phones: numbering, Images: pictures,
		Await: func(ctx context.Context, position events.Position) error {
			return errors.Join(progress.Await(ctx, position), a.sessions.Await(ctx, position))
		},
		Now:        around.now,
		CodeLimits: c.codeLimits(), CodesPerAddress: a.limits.codes, MinPassword: c.MinPassword, Logger: a.logger,
	}
	if around.mails != nil {
		writing.CampusDomain, writing.MailLimits = c.CampusDomain, c.mailLimits()
	}
	return []func(gin.IRouter){reading.Routes, writing.Routes}, nil
}

// serve prepares to answer at these routes, and at those that describe the service and tell how it is.
func (a *app) serve(routes []func(gin.IRouter), secrets *vault.Vault) error {
	describing, err := openapi.Routes()
	if err != nil {
		return err
	}
	routes = append(routes, describing)
	if a.config.AdminAddr == "" {
		routes = append(routes, a.routes)
	}
	repeats := &once.Once{Pool: a.pool, Auth: a.auth, Sealer: secrets, Logger: a.logger}
	a.handler, err = web.New(web.Options{
		Logger: a.logger, TrustedProxies: a.config.TrustedProxies, Timeout: a.config.RequestTimeout,
		Around: a.around(), PerAddress: a.limits.addresses, Within: []gin.HandlerFunc{repeats.Handle},
	}, routes...)
	return err
}

// limits are how often one may do what, in this process.
type limits struct {
	addresses, accounts, codes, logins, wrong *web.Limiter
}

func (a *app) limit() error {
	c, l := a.config, &a.limits
	for limiter, of := range map[**web.Limiter]struct {
		times  uint64
		within time.Duration
	}{
		&l.addresses: {c.PostsPerAddress, time.Minute}, &l.accounts: {c.PostsPerAccount, time.Minute},
		&l.codes: {c.CodesPerAddress, 15 * time.Minute}, &l.logins: {c.LoginsPerAddress, 15 * time.Minute},
		&l.wrong: {c.WrongPerNumber, 15 * time.Minute},
	} {
		made, err := web.NewLimiter(of.times, of.within)
		if err != nil {
			return err
		}
		*limiter = made
	}
	return nil
}

func (l limits) close() {
	for _, limiter := range []*web.Limiter{l.addresses, l.accounts, l.codes, l.logins, l.wrong} {
		_ = limiter.Close() // of memory: it has nothing to say
	}
}

// project prepares the read models' runners.
func (a *app) project(codec *events.Codec) *projections.Progress {
	progress := projections.NewProgress(a.pool, projections.Names()...)
	for _, projector := range projections.All {
		runner := &projections.Runner{Projector: projector, Log: a.log, Codec: codec, Progress: progress, Logger: a.logger}
		if a.tracing != nil {
			runner.Trace = a.tracing.Projection
		}
		a.runners = append(a.runners, runner)
	}
	return progress
}

// react prepares what leaves the log.
func (a *app) react(codec *events.Codec, secrets *vault.Vault, around surroundings) error {
	router, err := feed.NewRouter(a.log, &feed.Poison{DB: a.pool}, feed.Options{
		Logger: a.logger, Retries: around.retries, CloseTimeout: a.config.ShutdownTimeout, Observer: a.observer(),
	})
	if err != nil {
		return err
	}
	texts := &sms.Reactor{Codec: codec, Codes: secrets, Sender: around.texts, Now: around.now, Logger: a.logger}
	router.Add(sms.Reader, sms.Types, texts.Handle)
	chat := &inbox.Reactor{Bell: a.bell, Logger: a.logger}
	router.Broadcast(inbox.Reader, inbox.Types, chat.Handle)
	if around.mails != nil {
		mails := &mail.Reactor{
			Codec: codec, Tickets: secrets, Sender: around.mails, Links: strings.TrimRight(a.config.PublicURL, "/") + writeapi.LinkPath,
			Now: around.now, Logger: a.logger,
		}
		router.Add(mail.Reader, mail.Types, mails.Handle)
	}
	a.reactors = router
	return nil
}

// Run serves on listener until ctx ends or something breaks for good. Then requests in flight are answered first, and after
// them what they need winds up: nothing that was acknowledged is lost. It returns when all has ended.
func (a *app) Run(ctx context.Context, listener net.Listener) error {
	defer a.stopTracing(ctx, a.logger)
	defer a.pool.Close()
	defer a.limits.close() //nolint:contextcheck // they are of memory, and do not wait

	// What requests need ends after them.
	background, windUp := context.WithCancel(context.WithoutCancel(ctx))
	defer windUp()
	g, failed := errgroup.WithContext(ctx)
	g.Go(func() error { return a.log.Run(background) })
	for _, runner := range a.runners {
		g.Go(func() error { return runner.Run(background) })
	}
	g.Go(func() error { return a.reactors.Run(background) })
	g.Go(func() error { return a.sessions.Run(background) })
	g.Go(func() error { return a.serveOperators(background) })

	server := &http.Server{
		Handler: web.Slashes(a.handler), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		WriteTimeout:   5 * time.Minute, // of an answer; streams have their own, for each piece
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
		a.ready.Leave()
		if ctx.Err() != nil { // told to stop, and not broken
			a.drain(background)
		}
		a.bell.Close() // streams end, as requests do
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
func connect(ctx context.Context, databaseURL string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL: not a PostgreSQL URL or DSN") // the parser's words may hold the password
	}
	pc.ConnConfig.RuntimeParams["role"] = "foof_service"
	pc.ConnConfig.RuntimeParams["application_name"] = "foof"
	// Every question that the service asks has its index. A plan that was made while a table was empty reads the whole of it, and is
	// kept until the table is analyzed: in a new database each command would read the log from its beginning.
	pc.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	pc.ConnConfig.ConnectTimeout = 5 * time.Second
	pc.ConnConfig.Tracer = tracer
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
