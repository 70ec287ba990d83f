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
	"slices"
	"strings"
	"time"

	"foof/commands"
	"foof/internal/phone"
	"foof/internal/token"
	"foof/internal/vault"

	"github.com/caarlos0/env/v11"
)

// config is how the service is run: foof serve reads it from the environment, and foof serve --help prints it.
type config struct {
	DatabaseURL secret `env:"DATABASE_URL,required,notEmpty" help:"The PostgreSQL that has everything: a URL or DSN as libpq takes it, with several hosts for failover."`
	Addr        string `env:"FOOF_ADDR" envDefault:":8080" help:"The address to listen on."`

	JWTSecret     secret        `env:"FOOF_JWT_SECRET,required,notEmpty" help:"What tokens are signed with: at least 32 bytes."`
	MasterKey     secret        `env:"FOOF_MASTER_KEY,required,notEmpty" help:"What all other keys are wrapped with: 64 hexadecimal digits. Without it personal data in the database is noise."`
	TokenLifetime time.Duration `env:"FOOF_TOKEN_LIFETIME" envDefault:"720h" help:"How long a token is good for."`
	MinPassword   int           `env:"FOOF_MIN_PASSWORD" envDefault:"8" help:"How many characters a password has at least."`

	PhoneRegion      string `env:"FOOF_PHONE_REGION" help:"The region whose phone numbers are taken, such as CN. Without it, whatever looks like a number."`
	SMSWebhook       string `env:"FOOF_SMS_WEBHOOK,required,notEmpty" help:"The URL that text messages are posted to; internal/sms/webhook.go says how."`
	SMSWebhookSecret secret `env:"FOOF_SMS_WEBHOOK_SECRET,required,notEmpty" help:"What those posts are signed with."`

	CodesPerQuarterHour int      `env:"FOOF_CODES_PER_QUARTER_HOUR" envDefault:"5" help:"How many codes a phone number is sent within 15 minutes."`
	CodesPerDay         int      `env:"FOOF_CODES_PER_DAY" envDefault:"10" help:"How many codes a phone number is sent within a day."`
	CodesPerAddress     uint64   `env:"FOOF_CODES_PER_ADDRESS" envDefault:"30" help:"How many codes one address may ask for within 15 minutes; 0: any number."`
	TrustedProxies      []string `env:"FOOF_TRUSTED_PROXIES" help:"The addresses or networks of proxies whose X-Forwarded-For is believed, with commas between."`

	Images      string `env:"FOOF_IMAGES" envDefault:"images" help:"Where pictures are kept: a folder, which all replicas must share, or s3://bucket/prefix."`
	ImagePixels int    `env:"FOOF_IMAGE_PIXELS" envDefault:"40000000" help:"How many pixels a picture has at most, with all its frames. While pictures are prepared they may take 32 bytes of memory for each of these pixels, all together."`
	S3Endpoint  string `env:"FOOF_S3_ENDPOINT" envDefault:"https://s3.amazonaws.com" help:"The URL of the S3 service, if pictures are kept there."`
	S3Region    string `env:"FOOF_S3_REGION" help:"The region of the bucket. Without it, the service is asked."`
	S3AccessKey string `env:"FOOF_S3_ACCESS_KEY" help:"The id of the key by which pictures are kept in S3."`
	S3SecretKey secret `env:"FOOF_S3_SECRET_KEY" help:"The secret of that key."`

	RequestTimeout  time.Duration `env:"FOOF_REQUEST_TIMEOUT" envDefault:"15s" help:"How long a request may take."`
	ShutdownTimeout time.Duration `env:"FOOF_SHUTDOWN_TIMEOUT" envDefault:"20s" help:"How long requests in flight may go on when the service is told to stop."`
}

// secret is text that is never printed, whichever way.
type secret string

const unprinted = "[secret]"

func (secret) String() string               { return unprinted }
func (secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, unprinted) }
func (secret) LogValue() slog.Value         { return slog.StringValue(unprinted) }
func (secret) MarshalText() ([]byte, error) { return []byte(unprinted), nil } //nolint:unparam // the interface has it

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

func (c config) check() []badSetting {
	var faults []badSetting
	complain := func(name, format string, args ...any) {
		faults = append(faults, badSetting{name, fmt.Sprintf(format, args...)})
	}
	if n := len(c.JWTSecret); n < token.MinSecret {
		complain("FOOF_JWT_SECRET", "has %d bytes; it takes at least %d, for instance of `openssl rand -hex 32`", n, token.MinSecret)
	}
	if _, err := c.masterKey(); err != nil {
		complain("FOOF_MASTER_KEY", "must be %d hexadecimal digits, for instance of `openssl rand -hex 32`", 2*vault.KeySize)
	}
	if c.MinPassword < 1 || c.MinPassword > 128 {
		complain("FOOF_MIN_PASSWORD", "must be from 1 to 128")
	}
	for _, s := range []struct {
		name  string
		codes int
	}{{"FOOF_CODES_PER_QUARTER_HOUR", c.CodesPerQuarterHour}, {"FOOF_CODES_PER_DAY", c.CodesPerDay}} {
		if s.codes < 1 || s.codes > commands.MostCodes {
			complain(s.name, "must be from 1 to %d", commands.MostCodes)
		}
	}
	for _, s := range []struct {
		name string
		span time.Duration
	}{
		{"FOOF_TOKEN_LIFETIME", c.TokenLifetime}, {"FOOF_REQUEST_TIMEOUT", c.RequestTimeout}, {"FOOF_SHUTDOWN_TIMEOUT", c.ShutdownTimeout},
	} {
		if s.span <= 0 {
			complain(s.name, "must be longer than nothing")
		}
	}
	if u, err := url.Parse(c.SMSWebhook); err != nil || u.Host == "" {
		complain("FOOF_SMS_WEBHOOK", "must be a URL")
	}
	for _, proxy := range c.TrustedProxies {
		_, notAddress := netip.ParseAddr(proxy)
		_, notNetwork := netip.ParsePrefix(proxy)
		if notAddress != nil && notNetwork != nil {
			complain("FOOF_TRUSTED_PROXIES", "has %q, which is neither an address nor a network", proxy)
		}
	}
	if _, err := phone.NewNumbering(c.PhoneRegion); err != nil {
		complain("FOOF_PHONE_REGION", "cannot be used: %v", err)
	}
	return append(faults, c.checkImages()...)
}

func (c config) checkImages() []badSetting {
	var faults []badSetting
	const leastPixels, mostPixels = 1_000_000, 1_000_000_000
	if c.ImagePixels < leastPixels || c.ImagePixels > mostPixels {
		faults = append(faults, badSetting{"FOOF_IMAGE_PIXELS", fmt.Sprintf("must be from %d to %d", leastPixels, mostPixels)})
	}
	bucket, _, inS3 := c.imagesBucket()
	if !inS3 {
		return faults
	}
	if bucket == "" {
		faults = append(faults, badSetting{"FOOF_IMAGES", "must name a bucket, as in s3://bucket/prefix"})
	}
	u, err := url.Parse(c.S3Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		faults = append(faults, badSetting{"FOOF_S3_ENDPOINT", "must be a URL of https or http, without a path"})
	}
	if c.S3AccessKey == "" || c.S3SecretKey == "" {
		faults = append(faults, badSetting{"FOOF_S3_ACCESS_KEY", "and FOOF_S3_SECRET_KEY must be set, as FOOF_IMAGES is in S3"})
	}
	return faults
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

func (c config) codeLimits() []commands.CodeLimit {
	return []commands.CodeLimit{
		{Codes: c.CodesPerQuarterHour, Within: 15 * time.Minute},
		{Codes: c.CodesPerDay, Within: 24 * time.Hour},
	}
}
