package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	hiddenPassword = "hunter2-of-the-database"
	hiddenWebhook  = "the-webhooks-own-secret"
	hiddenRelay    = "the-relays-own-password"
)

func rightEnvironment() map[string]string {
	return map[string]string{
		"DATABASE_URL": "postgres://foof:" + hiddenPassword + "@db/foof", "FOOF_JWT_SECRETS": testSecret, "FOOF_MASTER_KEY": testMaster,
		"FOOF_SMS_WEBHOOK": "https://sms.example/send", "FOOF_SMS_WEBHOOK_SECRET": hiddenWebhook,
		"FOOF_IMAGES": filepath.Join(pictures, "right"),
	}
}

// rightMail is what mail needs besides.
func rightMail() map[string]string {
	return map[string]string{
		"FOOF_SMTP_URL": "smtp://foof:" + hiddenRelay + "@relay", "FOOF_MAIL_FROM": "FOOF <noreply@foof.example>",
		"FOOF_CAMPUS_DOMAIN": "campus.example", "FOOF_PUBLIC_URL": "https://foof.example",
	}
}

func TestConfigurationIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change map[string]string // "-": not set
		want   []string
	}{
		"nothing at all is set": {
			map[string]string{"DATABASE_URL": "-", "FOOF_JWT_SECRETS": "-", "FOOF_MASTER_KEY": "-", "FOOF_SMS_WEBHOOK": "-", "FOOF_SMS_WEBHOOK_SECRET": "-"},
			[]string{
				"DATABASE_URL is not set", "FOOF_JWT_SECRETS is not set", "FOOF_MASTER_KEY is not set", "FOOF_SMS_WEBHOOK is not set",
				"FOOF_SMS_WEBHOOK_SECRET is not set",
			},
		},
		"what is required is empty": {
			map[string]string{"DATABASE_URL": "", "FOOF_JWT_SECRETS": ""}, []string{"DATABASE_URL is empty", "FOOF_JWT_SECRETS is empty"},
		},
		"a token secret of 31 bytes": {
			map[string]string{"FOOF_JWT_SECRETS": testSecret[1:]},
			[]string{"FOOF_JWT_SECRETS has 31 bytes in secret 1; it takes at least 32, for instance of `openssl rand -hex 32`"},
		},
		"a second token secret of 31 bytes": {
			map[string]string{"FOOF_JWT_SECRETS": testSecret + "," + testSecret[1:]},
			[]string{"FOOF_JWT_SECRETS has 31 bytes in secret 2; it takes at least 32, for instance of `openssl rand -hex 32`"},
		},
		"streams that nobody could open, and hearts that do not beat": {
			map[string]string{"FOOF_STREAMS_PER_ACCOUNT": "0", "FOOF_HEARTBEAT": "0s"},
			[]string{"FOOF_STREAMS_PER_ACCOUNT must be at least 1", "FOOF_HEARTBEAT must be longer than nothing"},
		},
		"a master key that is too short": {
			map[string]string{"FOOF_MASTER_KEY": testMaster[2:]},
			[]string{"FOOF_MASTER_KEY must be 64 hexadecimal digits, for instance of `openssl rand -hex 32`"},
		},
		"a master key that is too long": {
			map[string]string{"FOOF_MASTER_KEY": testMaster + "00"},
			[]string{"FOOF_MASTER_KEY must be 64 hexadecimal digits, for instance of `openssl rand -hex 32`"},
		},
		"a master key that is not hexadecimal": {
			map[string]string{"FOOF_MASTER_KEY": strings.Repeat("x", 64)},
			[]string{"FOOF_MASTER_KEY must be 64 hexadecimal digits, for instance of `openssl rand -hex 32`"},
		},
		"something that is not set and something that is wrong": {
			map[string]string{"DATABASE_URL": "-", "FOOF_JWT_SECRETS": "short"},
			[]string{"DATABASE_URL is not set", "FOOF_JWT_SECRETS has 5 bytes in secret 1; it takes at least 32, for instance of `openssl rand -hex 32`"},
		},
		"numbers and times that are none": {
			map[string]string{"FOOF_MIN_PASSWORD": "eight", "FOOF_TOKEN_LIFETIME": "a month", "FOOF_CODES_PER_ADDRESS": "-1"},
			[]string{
				`FOOF_TOKEN_LIFETIME cannot be read: unable to parse duration: time: invalid duration "a month"`,
				`FOOF_MIN_PASSWORD cannot be read: strconv.ParseInt: parsing "eight": invalid syntax`,
				`FOOF_CODES_PER_ADDRESS cannot be read: strconv.ParseUint: parsing "-1": invalid syntax`,
			},
		},
		"numbers and times out of bounds": {
			map[string]string{
				"FOOF_MIN_PASSWORD": "129", "FOOF_TOKEN_LIFETIME": "-1s", "FOOF_CODES_PER_DAY": "101", "FOOF_CODES_PER_QUARTER_HOUR": "0",
				"FOOF_REQUEST_TIMEOUT": "0s", "FOOF_SHUTDOWN_TIMEOUT": "0s",
			},
			[]string{
				"FOOF_MIN_PASSWORD must be from 1 to 128", "FOOF_CODES_PER_QUARTER_HOUR must be from 1 to 100", "FOOF_CODES_PER_DAY must be from 1 to 100",
				"FOOF_TOKEN_LIFETIME must be longer than nothing", "FOOF_REQUEST_TIMEOUT must be longer than nothing",
				"FOOF_SHUTDOWN_TIMEOUT must be longer than nothing",
			},
		},
		"a webhook that is no URL": {map[string]string{"FOOF_SMS_WEBHOOK": "sms"}, []string{"FOOF_SMS_WEBHOOK must be a URL"}},
		"mail without what it needs": {
			map[string]string{"FOOF_SMTP_URL": "smtp://relay"},
			[]string{
				"FOOF_MAIL_FROM is not set, and FOOF_SMTP_URL is", "FOOF_CAMPUS_DOMAIN is not set, and FOOF_SMTP_URL is",
				"FOOF_PUBLIC_URL is not set, and FOOF_SMTP_URL is",
			},
		},
		"mail that cannot be": {
			map[string]string{
				"FOOF_SMTP_URL": "smtp://foof:" + hiddenPassword + "@relay?tls=none", "FOOF_MAIL_FROM": "noreply@foof.example",
				"FOOF_CAMPUS_DOMAIN": "@campus.example", "FOOF_PUBLIC_URL": "foof.example", "FOOF_MAILS_PER_DAY": "0",
			},
			[]string{
				"FOOF_MAILS_PER_DAY must be from 1 to 100", "FOOF_SMTP_URL or FOOF_MAIL_FROM cannot be used: a password is not sent without TLS",
				"FOOF_CAMPUS_DOMAIN must be a domain", "FOOF_PUBLIC_URL must be a URL like https://foof.example",
			},
		},
		"proxies that are none": {
			map[string]string{"FOOF_TRUSTED_PROXIES": "10.0.0.0/8,example.com,::1,10.0.0.0/33"},
			[]string{
				`FOOF_TRUSTED_PROXIES has "example.com", which is neither an address nor a network`,
				`FOOF_TRUSTED_PROXIES has "10.0.0.0/33", which is neither an address nor a network`,
			},
		},
		"too few and too many pixels": {map[string]string{"FOOF_IMAGE_PIXELS": "999999"}, []string{"FOOF_IMAGE_PIXELS must be from 1000000 to 1000000000"}},
		"S3 without what it takes": {
			map[string]string{"FOOF_IMAGES": "s3://", "FOOF_S3_ENDPOINT": "s3.example"},
			[]string{
				"FOOF_IMAGES must name a bucket, as in s3://bucket/prefix", "FOOF_S3_ENDPOINT must be a URL of https or http, without a path",
				"FOOF_S3_ACCESS_KEY and FOOF_S3_SECRET_KEY must be set, as FOOF_IMAGES is in S3",
			},
		},
		"a collector that is no URL": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT must be a URL, with http or https before it"},
		},
		"a drain that is less than nothing": {
			map[string]string{"FOOF_DRAIN": "-1s"}, []string{"FOOF_DRAIN must not be less than nothing"},
		},
		"a region that is none": {
			map[string]string{"FOOF_PHONE_REGION": "china"},
			[]string{`FOOF_PHONE_REGION cannot be used: phone region "china": not a region, which has two capital letters such as CN`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := rightEnvironment()
			for name, v := range c.change {
				environment[name] = v
				if v == "-" {
					delete(environment, name)
				}
			}
			_, err := configFrom(environment)
			if want := "configuration: " + strings.Join(c.want, "\n"); err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

func TestConfigurationHasDefaults(t *testing.T) {
	t.Parallel()
	defaults := rightEnvironment()
	delete(defaults, "FOOF_IMAGES")
	c, err := configFrom(defaults)
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		DatabaseURL: secret(rightEnvironment()["DATABASE_URL"]), Addr: ":8080", JWTSecrets: []secret{secret(testSecret)}, MasterKey: secret(testMaster),
		TokenLifetime: 30 * 24 * time.Hour, MinPassword: 8, SMSWebhook: "https://sms.example/send", SMSWebhookSecret: hiddenWebhook,
		CodesPerQuarterHour: 5, CodesPerDay: 10, CodesPerAddress: 30, MailsPerQuarterHour: 5, MailsPerDay: 10,
		LoginsPerAddress: 300, WrongPerNumber: 20, PostsPerAddress: 6000, PostsPerAccount: 1200, StreamsPerAccount: 20, Heartbeat: 15 * time.Second,
		RequestTimeout: 15 * time.Second, ShutdownTimeout: 20 * time.Second,
		Images: "images", ImagePixels: 40_000_000, S3Endpoint: "https://s3.amazonaws.com",
		ReadyEvents: 1000, ReadyTime: 30 * time.Second,
	}
	if !reflect.DeepEqual(c, want) {
		t.Error("it is not what the contract says")
	}
	environment := rightEnvironment()
	maps.Copy(environment, map[string]string{"FOOF_PHONE_REGION": "CN", "FOOF_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1", "FOOF_MIN_PASSWORD": "12"})
	c, err = configFrom(environment)
	if err != nil || c.PhoneRegion != "CN" || len(c.TrustedProxies) != 2 || c.MinPassword != 12 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhatIsNotSetIsNotPrintedAsASecret(t *testing.T) {
	t.Parallel()
	c, err := configFrom(rightEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", c); !strings.Contains(text, " SMTPURL: ") || !strings.Contains(text, " MasterKey:"+unprinted) {
		t.Errorf("without mail: %s", text)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	environment := rightEnvironment()
	maps.Copy(environment, rightMail())
	c, err := configFrom(environment)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(handler).Info("x", slog.Any("config", c), slog.Any("pointer", &c), slog.Any("secret", c.JWTSecrets), slog.Any("map", map[string]any{"c": c}))
	}
	encoded, err := json.Marshal(c) //nolint:musttag // that it has no tags is what somebody might forget
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{"slog": logged.String(), "JSON": string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%-10.2v", "%T %[1]v"} {
		printed[verb] = fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &c) + fmt.Sprintf(verb, c.MasterKey) + fmt.Sprintf(verb, []any{c.JWTSecrets})
	}
	printed["an error"] = fmt.Errorf("%w: %v", errors.ErrUnsupported, c).Error()
	for how, text := range printed {
		if len(text) < 20 {
			t.Errorf("%s prints %q: does it print at all?", how, text)
		}
		for _, hidden := range []string{hiddenPassword, testSecret, testMaster, hiddenWebhook, hiddenRelay} {
			for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprintf("%d", []byte(hidden))} {
				if strings.Contains(text, form) {
					t.Errorf("%s prints the secret %s", how, hidden)
				}
			}
		}
	}
}
