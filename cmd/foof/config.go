package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect" //nolint:depguard // to name the variable of a field of config
	"regexp"
	"slices"
	"strings"
	"time"

	"foof/commands"
	"foof/internal/mail"
	"foof/internal/phone"
	"foof/internal/token"
	"foof/internal/vault"

	"github.com/caarlos0/env/v11"
)

// config is how the service is run: foof serve reads it from the environment, and foof serve --help prints it.
type config struct {
	DatabaseURL secret `env:"DATABASE_URL,required,notEmpty" help:"The PostgreSQL that has everything: a URL or DSN as libpq takes it, with several hosts for failover."`
	Addr        string `env:"FOOF_ADDR" envDefault:":8080" help:"The address to listen on."`

	JWTSecrets    []secret      `env:"FOOF_JWT_SECRETS,required,notEmpty" help:"What tokens are signed with: at least 32 bytes. Several with commas between: the first signs, all are good for checking. To change it: old,new in all processes, then new,old in all, then, when the old one's tokens have expired, new."`
	MasterKey     secret        `env:"FOOF_MASTER_KEY,required,notEmpty" help:"What all other keys are wrapped with: 64 hexadecimal digits. Without it personal data in the database is noise."`
	TokenLifetime time.Duration `env:"FOOF_TOKEN_LIFETIME" envDefault:"720h" help:"How long a token is good for."`
	MinPassword   int           `env:"FOOF_MIN_PASSWORD" envDefault:"8" help:"How many characters a password has at least."`

	PhoneRegion      string `env:"FOOF_PHONE_REGION" help:"The region whose phone numbers are taken, such as CN. Without it, whatever looks like a number."`
	SMSWebhook       string `env:"FOOF_SMS_WEBHOOK,required,notEmpty" help:"The URL that text messages are posted to; docs/webhooks.md says how."`
	SMSWebhookSecret secret `env:"FOOF_SMS_WEBHOOK_SECRET,required,notEmpty" help:"What those posts are signed with."`

	SMTPURL      secret `env:"FOOF_SMTP_URL" help:"The relay for mail: smtp://user:password@host:587 for STARTTLS, smtps://user:password@host:465 for TLS from the beginning, smtp://host:25?tls=none for one on the same machine. Without it no mail is sent, and asking for it is answered 503."`
	MailFrom     string `env:"FOOF_MAIL_FROM" help:"The address that mail comes from, such as FOOF <noreply@foof.example>. Required for mail."`
	CampusDomain string `env:"FOOF_CAMPUS_DOMAIN" help:"The domain of the campus mail that users verify. Required for mail."`
	PublicURL    string `env:"FOOF_PUBLIC_URL" help:"Where users reach this service: what links in mail begin with. Required for mail."`

	MailsPerQuarterHour int `env:"FOOF_MAILS_PER_QUARTER_HOUR" envDefault:"5" help:"How many links a user is mailed within 15 minutes."`
	MailsPerDay         int `env:"FOOF_MAILS_PER_DAY" envDefault:"10" help:"How many links a user is mailed within a day."`

	CodesPerQuarterHour int      `env:"FOOF_CODES_PER_QUARTER_HOUR" envDefault:"5" help:"How many codes a phone number is sent within 15 minutes."`
	CodesPerDay         int      `env:"FOOF_CODES_PER_DAY" envDefault:"10" help:"How many codes a phone number is sent within a day."`
	CodesPerAddress     uint64   `env:"FOOF_CODES_PER_ADDRESS" envDefault:"30" help:"How many codes one address may ask for within 15 minutes; 0: any number."`
	LoginsPerAddress    uint64   `env:"FOOF_LOGINS_PER_ADDRESS" envDefault:"300" help:"How often one address may log in, or try to, within 15 minutes; 0: any number."`
	WrongPerNumber      uint64   `env:"FOOF_WRONG_PASSWORDS_PER_NUMBER" envDefault:"20" help:"How many wrong passwords are looked at for one phone number within 15 minutes; 0: any number."`
	PostsPerAddress     uint64   `env:"FOOF_POSTS_PER_ADDRESS" envDefault:"6000" help:"How many POST requests one address may make within a minute; 0: any number."`
	PostsPerAccount     uint64   `env:"FOOF_POSTS_PER_ACCOUNT" envDefault:"1200" help:"How many POST requests one account may make within a minute; 0: any number."`
	TrustedProxies      []string `env:"FOOF_TRUSTED_PROXIES" help:"The addresses or networks of proxies whose X-Forwarded-For is believed, with commas between."`

	StreamsPerAccount int           `env:"FOOF_STREAMS_PER_ACCOUNT" envDefault:"20" help:"How many streams of messages an account may have open, of one foof serve."`
	Heartbeat         time.Duration `env:"FOOF_HEARTBEAT" envDefault:"15s" help:"How often a stream shows that it lives."`

	Images      string `env:"FOOF_IMAGES" envDefault:"images" help:"Where pictures are kept: a folder, which all replicas must share, or s3://bucket/prefix."`
	ImagePixels int    `env:"FOOF_IMAGE_PIXELS" envDefault:"40000000" help:"How many pixels a picture has at most, with all its frames. While pictures are prepared they may take 32 bytes of memory for each of these pixels, all together."`
	S3Endpoint  string `env:"FOOF_S3_ENDPOINT" envDefault:"https://s3.amazonaws.com" help:"The URL of the S3 service, if pictures are kept there."`
	S3Region    string `env:"FOOF_S3_REGION" help:"The region of the bucket. Without it, the service is asked."`
	S3AccessKey string `env:"FOOF_S3_ACCESS_KEY" help:"The id of the key by which pictures are kept in S3."`
	S3SecretKey secret `env:"FOOF_S3_SECRET_KEY" help:"The secret of that key."`

	RequestTimeout  time.Duration `env:"FOOF_REQUEST_TIMEOUT" envDefault:"15s" help:"How long a request may take."`
	ShutdownTimeout time.Duration `env:"FOOF_SHUTDOWN_TIMEOUT" envDefault:"20s" help:"How long requests in flight may go on when the service is told to stop."`
	Drain           time.Duration `env:"FOOF_DRAIN" envDefault:"0s" help:"How long before that /readyz says no while all requests are still answered: as long as what balances the load takes to see it."`

	AdminAddr   string        `env:"FOOF_ADMIN_ADDR" help:"An address of their own for /healthz, /readyz, /metrics and, only there, /debug/pprof. Without it the first three are at FOOF_ADDR."`
	ReadyEvents int64         `env:"FOOF_READY_LAG_EVENTS" envDefault:"1000" help:"How many events a read model or a reactor may be behind while /readyz says yes, if it is further behind than FOOF_READY_LAG_TIME too."`
	ReadyTime   time.Duration `env:"FOOF_READY_LAG_TIME" envDefault:"30s" help:"How old the oldest of those events may be."`

	Collector       string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" help:"The URL of an OpenTelemetry collector that takes OTLP over HTTP. Without it, and without the next, nothing is traced. The other OTEL_ variables count as OpenTelemetry's SDK for Go reads them."`
	TracesCollector string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" help:"The same for traces alone, with its whole path, such as http://localhost:4318/v1/traces."`
}

// secret is text that is never printed, whichever way.
type secret string

const unprinted = "[secret]"

func (s secret) String() string {
	if s == "" {
		return "" // so that one sees what is not set
	}
	return unprinted
}
func (s secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, s.String()) }
func (s secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil } //nolint:unparam // the interface has it

// configFrom reads a configuration from an environment, and checks it. The error names every setting that is wrong.
func configFrom(environment map[string]string) (config, error) {
	c, err := env.ParseAsWithOptions[config](env.Options{Environment: environment})
	unread := unreadable(err)
	faults := slices.Clone(unread)
	for _, f := range c.check() { // of what could not even be read, that is enough
		if !slices.ContainsFunc(unread, func(known badSetting) bool { return known.name == f.name }) {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		lines := make([]error, len(faults))
		for i, f := range faults {
			lines[i] = errors.New(f.name + " " + f.why)
		}
		return config{}, fmt.Errorf("configuration: %w", errors.Join(lines...))
	}
	return c, nil
}

// badSetting is a variable that cannot be used, and why.
type badSetting struct{ name, why string }

// unreadable says what the environment lacks, or has in a form that cannot be read.
func unreadable(err error) []badSetting {
	var all env.AggregateError
	if err != nil && !errors.As(err, &all) {
		all.Errors = []error{err}
	}
	faults := make([]badSetting, len(all.Errors))
	for i, err := range all.Errors {
		var (
			unset    env.VarIsNotSetError
			empty    env.EmptyVarError
			unparsed env.ParseError
		)
		switch {
		case errors.As(err, &unset):
			faults[i] = badSetting{unset.Key, "is not set"}
		case errors.As(err, &empty):
			faults[i] = badSetting{empty.Key, "is empty"}
		case errors.As(err, &unparsed):
			field, _ := reflect.TypeFor[config]().FieldByName(unparsed.Name)
			name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
			faults[i] = badSetting{name, "cannot be read: " + unparsed.Err.Error()}
		default:
			faults[i] = badSetting{"the environment", "cannot be read: " + err.Error()}
		}
	}
	return faults
}

// badSettings gathers what is wrong.
type badSettings []badSetting

func (b *badSettings) addf(name, format string, args ...any) {
	*b = append(*b, badSetting{name, fmt.Sprintf(format, args...)})
}

func (c config) check() badSettings {
	var bad badSettings
	c.checkSecrets(&bad)
	c.checkNumbers(&bad)
	c.checkPlaces(&bad)
	c.checkMail(&bad)
	c.checkImages(&bad)
	c.checkOperation(&bad)
	return bad
}

func (c config) checkSecrets(bad *badSettings) {
	const generate = "for instance of `openssl rand -hex 32`"
	for i, secret := range c.JWTSecrets {
		if n := len(secret); n < token.MinSecret {
			bad.addf("FOOF_JWT_SECRETS", "has %d bytes in secret %d; it takes at least %d, %s", n, i+1, token.MinSecret, generate)
		}
	}
	if _, err := c.masterKey(); err != nil {
		bad.addf("FOOF_MASTER_KEY", "must be %d hexadecimal digits, %s", 2*vault.KeySize, generate)
	}
}

func (c config) checkNumbers(bad *badSettings) {
	if c.MinPassword < 1 || c.MinPassword > 128 {
		bad.addf("FOOF_MIN_PASSWORD", "must be from 1 to 128")
	}
	if c.StreamsPerAccount < 1 {
		bad.addf("FOOF_STREAMS_PER_ACCOUNT", "must be at least 1")
	}
	for _, s := range []struct {
		name  string
		codes int
	}{
		{"FOOF_CODES_PER_QUARTER_HOUR", c.CodesPerQuarterHour},
		{"FOOF_CODES_PER_DAY", c.CodesPerDay},
		{"FOOF_MAILS_PER_QUARTER_HOUR", c.MailsPerQuarterHour},
		{"FOOF_MAILS_PER_DAY", c.MailsPerDay},
	} {
		if s.codes < 1 || s.codes > commands.MostCodes {
			bad.addf(s.name, "must be from 1 to %d", commands.MostCodes)
		}
	}
	for _, s := range []struct {
		name string
		span time.Duration
	}{
		{"FOOF_TOKEN_LIFETIME", c.TokenLifetime},
		{"FOOF_REQUEST_TIMEOUT", c.RequestTimeout},
		{"FOOF_SHUTDOWN_TIMEOUT", c.ShutdownTimeout},
		{"FOOF_HEARTBEAT", c.Heartbeat},
	} {
		if s.span <= 0 {
			bad.addf(s.name, "must be longer than nothing")
		}
	}
}

func (c config) checkPlaces(bad *badSettings) {
	if u, err := url.Parse(c.SMSWebhook); err != nil || u.Host == "" {
		bad.addf("FOOF_SMS_WEBHOOK", "must be a URL")
	}
	for _, proxy := range c.TrustedProxies {
		_, notAddress := netip.ParseAddr(proxy)
		_, notNetwork := netip.ParsePrefix(proxy)
		if notAddress != nil && notNetwork != nil {
			bad.addf("FOOF_TRUSTED_PROXIES", "has %q, which is neither an address nor a network", proxy)
		}
	}
	if _, err := phone.NewNumbering(c.PhoneRegion); err != nil {
		bad.addf("FOOF_PHONE_REGION", "cannot be used: %v", err)
	}
}

// domainForm is a domain in ASCII; one in other letters is written as DNS has it, xn--….
var domainForm = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

func (c config) checkMail(bad *badSettings) {
	for _, s := range []struct{ name, value string }{
		{"FOOF_MAIL_FROM", c.MailFrom}, {"FOOF_CAMPUS_DOMAIN", c.CampusDomain}, {"FOOF_PUBLIC_URL", c.PublicURL},
	} {
		if c.SMTPURL != "" && s.value == "" {
			bad.addf(s.name, "is not set, and FOOF_SMTP_URL is")
		}
	}
	if c.SMTPURL != "" && c.MailFrom != "" {
		if _, err := mail.NewSMTP(string(c.SMTPURL), c.MailFrom); err != nil {
			bad.addf("FOOF_SMTP_URL", "or FOOF_MAIL_FROM cannot be used: %v", err)
		}
	}
	if c.CampusDomain != "" && (!domainForm.MatchString(c.CampusDomain) || len(c.CampusDomain) > 180) {
		bad.addf("FOOF_CAMPUS_DOMAIN", "must be a domain")
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" &&
		(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		bad.addf("FOOF_PUBLIC_URL", "must be a URL like https://foof.example")
	}
}

func (c config) checkImages(bad *badSettings) {
	const leastPixels, mostPixels = 1_000_000, 1_000_000_000
	if c.ImagePixels < leastPixels || c.ImagePixels > mostPixels {
		bad.addf("FOOF_IMAGE_PIXELS", "must be from %d to %d", leastPixels, mostPixels)
	}
	bucket, _, inS3 := c.imagesBucket()
	if !inS3 {
		return
	}
	if bucket == "" {
		bad.addf("FOOF_IMAGES", "must name a bucket, as in s3://bucket/prefix")
	}
	u, err := url.Parse(c.S3Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		bad.addf("FOOF_S3_ENDPOINT", "must be a URL of https or http, without a path")
	}
	if c.S3AccessKey == "" || c.S3SecretKey == "" {
		bad.addf("FOOF_S3_ACCESS_KEY", "and FOOF_S3_SECRET_KEY must be set, as FOOF_IMAGES is in S3")
	}
}

// imagesBucket takes FOOF_IMAGES apart, if it is in S3.
func (c config) imagesBucket() (bucket, prefix string, inS3 bool) {
	place, inS3 := strings.CutPrefix(c.Images, "s3://")
	bucket, prefix, _ = strings.Cut(place, "/")
	return bucket, prefix, inS3
}

func (c config) masterKey() ([]byte, error) {
	key, err := hex.DecodeString(string(c.MasterKey))
	if err != nil || len(key) != vault.KeySize {
		return nil, errors.New("FOOF_MASTER_KEY is no key")
	}
	return key, nil
}

func (c config) jwtSecrets() [][]byte {
	secrets := make([][]byte, len(c.JWTSecrets))
	for i, secret := range c.JWTSecrets {
		secrets[i] = []byte(secret)
	}
	return secrets
}

func (c config) codeLimits() []commands.CodeLimit {
	return []commands.CodeLimit{
		{Codes: c.CodesPerQuarterHour, Within: 15 * time.Minute},
		{Codes: c.CodesPerDay, Within: 24 * time.Hour},
	}
}

func (c config) mailLimits() []commands.CodeLimit {
	return []commands.CodeLimit{
		{Codes: c.MailsPerQuarterHour, Within: 15 * time.Minute},
		{Codes: c.MailsPerDay, Within: 24 * time.Hour},
	}
}
