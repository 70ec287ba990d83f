package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"foof/commands"
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

	RequestTimeout  time.Duration `env:"FOOF_REQUEST_TIMEOUT" envDefault:"15s" help:"How long a request may take."`
	ShutdownTimeout time.Duration `env:"FOOF_SHUTDOWN_TIMEOUT" envDefault:"20s" help:"How long requests in flight may go on when the service is told to stop."`
}

// secret is text that is never printed.
type secret string

func (secret) String() string       { return "[secret]" }
func (secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// configFrom reads a configuration from an environment, and checks it.
func configFrom(environment map[string]string) (config, error) {
	c, err := env.ParseAsWithOptions[config](env.Options{Environment: environment})
	if err != nil {
		return config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, c.check()
}

func (c config) check() error {
	var wrong []error
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if n := len(c.JWTSecret); n < token.MinSecret {
		complain("FOOF_JWT_SECRET has %d bytes; it takes at least %d, for instance of `openssl rand -hex 32`", n, token.MinSecret)
	}
	if _, err := c.masterKey(); err != nil {
		complain("%w", err)
	}
	if c.TokenLifetime <= 0 {
		complain("FOOF_TOKEN_LIFETIME must be longer than nothing")
	}
	if c.MinPassword < 1 || c.MinPassword > 128 {
		complain("FOOF_MIN_PASSWORD must be from 1 to 128")
	}
	if c.CodesPerQuarterHour < 1 || c.CodesPerDay < 1 || c.CodesPerDay > commands.MostCodes || c.CodesPerQuarterHour > commands.MostCodes {
		complain("FOOF_CODES_PER_QUARTER_HOUR and FOOF_CODES_PER_DAY must be from 1 to %d", commands.MostCodes)
	}
	if c.SMSWebhook != "" {
		if u, err := url.Parse(c.SMSWebhook); err != nil || u.Host == "" {
			complain("FOOF_SMS_WEBHOOK must be a URL")
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("configuration: %w", errors.Join(wrong...))
	}
	return nil
}

func (c config) masterKey() ([]byte, error) {
	key, err := hex.DecodeString(string(c.MasterKey))
	if err != nil || len(key) != vault.KeySize {
		return nil, fmt.Errorf("FOOF_MASTER_KEY must be %d hexadecimal digits, for instance of `openssl rand -hex 32`", 2*vault.KeySize)
	}
	return key, nil
}

func (c config) codeLimits() []commands.CodeLimit {
	return []commands.CodeLimit{
		{Codes: c.CodesPerQuarterHour, Within: 15 * time.Minute},
		{Codes: c.CodesPerDay, Within: 24 * time.Hour},
	}
}
