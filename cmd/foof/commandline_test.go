package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"foof/internal/pgtest"
	"foof/migrations"

	"github.com/jackc/pgx/v5"
)

// ran carries out a command line in this process.
func ran(t *testing.T, args ...string) (out, complained string, err error) {
	t.Helper()
	var printed, said bytes.Buffer
	err = run(patience(t), terminal{&printed, &said}, args)
	return printed.String(), said.String(), err
}

func TestHelp(t *testing.T) {
	t.Parallel()
	settings := []string{"All settings come from the environment"}
	for field := range reflect.TypeFor[config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		help := field.Tag.Get("help")
		if name == "" || len(help) < 20 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s is not described", field.Name)
		}
		settings = append(settings, name+": "+help)
	}
	for line, want := range map[string][]string{
		"--help":                 {"Usage: foof <command>", "dev", "serve", "migrate up", "migrate status", "reactors list", "reactors replay", "reactors discard", "health", "bench log"},
		"dev --help":             {"--addr=", "127.0.0.1:8080", "--data=", ".foof", "/dev/outbox", "Ctrl-C"},
		"serve --help":           settings,
		"migrate --help":         {"up", "status"},
		"migrate up --help":      {"$DATABASE_URL"},
		"migrate status --help":  {"$DATABASE_URL", "--json"},
		"reactors --help":        {"list", "replay", "discard", "within seconds"},
		"reactors list --help":   {"$DATABASE_URL", "--json"},
		"reactors replay --help": {"$DATABASE_URL", "<reader>", "[<position> ...]", "--all"},
		"health --help":          {"--url", "--ready", "$FOOF_ADDR", "$FOOF_ADMIN_ADDR"},
		"bench log --help":       {"--json", "--duration"},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			out, complained, err := ran(t, strings.Fields(line)...)
			if err != nil || complained != "" {
				t.Errorf("%v %s", err, complained)
			}
			flowing := strings.Join(strings.Fields(out), " ")
			for _, words := range want {
				if !strings.Contains(flowing, words) {
					t.Errorf("it does not say %q:\n%s", words, out)
				}
			}
		})
	}
}

func TestCommandLinesThatAreNone(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                                `expected one of "dev", "serve", "migrate", "reactors", "health"`,
		"frobnicate":                      `unexpected argument frobnicate`,
		"dev --prot=1":                    `unknown flag --prot`,
		"dev here":                        `unexpected argument here; see foof dev --help`,
		"health --url http://127.0.0.1:1": `connection refused`,
		"health --addr nowhere":           `missing port in address`,
		"migrate":                         `expected one of "up", "status"`,
		"dev --addr":                      `--addr: expected string value`,
		"reactors replay":                 `; see foof reactors replay --help`,
		"dev --addr nowhere":              `cannot listen on nowhere`,
		"dev --addr 192.0.2.1:80":         `cannot listen on 192.0.2.1:80`,
		"dev --data=":                     `--data must name a folder`,
		"migrate up --database-url postgres://foof:" + hiddenPassword + "@127.0.0.1:1/foof": `connect to PostgreSQL`,
		"migrate up --database-url mysql://foof:" + hiddenPassword + "@127.0.0.1/foof":      `connect to PostgreSQL: cannot parse`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			out, _, err := ran(t, strings.Fields(line)...)
			if err == nil || !strings.Contains(err.Error(), want) || out != "" {
				t.Errorf("got %v and %q, want an error with %q", err, out, want)
			}
			if err != nil && strings.Contains(err.Error(), hiddenPassword) {
				t.Errorf("the error has the database's password in it: %v", err)
			}
		})
	}
}

func TestMigrating(t *testing.T) {
	t.Parallel()
	dsn := emptied(t)
	names := []string{
		"001_log.sql", "002_vault.sql", "003_read_models.sql", "004_favorites_messages.sql", "005_tickets.sql", "006_poison.sql", "007_answers.sql",
	}
	status := func() (text string, state migrations.Status) {
		t.Helper()
		text, _, err := ran(t, "migrate", "status", "--database-url", dsn)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := ran(t, "migrate", "status", "--json", "--database-url", dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &state); err != nil || strings.Count(out, "\n") != 1 {
			t.Errorf("%v in %q", err, out)
		}
		return text, state
	}

	text, state := status()
	latest := int(state.Latest)
	if state.Current != 0 || latest < len(names) || len(state.Pending) != latest || !strings.HasPrefix(text, "at migration 0 of ") ||
		strings.Count(text, "to come: ") != latest {
		t.Errorf("of a fresh database: %+v and %q", state, text)
	}
	for i, name := range names {
		if state.Pending[i] != name {
			t.Errorf("migration %d is %s, want %s", i+1, state.Pending[i], name)
		}
	}
	out, _, err := ran(t, "migrate", "up", "--database-url", dsn)
	if err != nil || strings.Count(out, "applying ") != latest || !strings.HasSuffix(out, "up to date\n") {
		t.Errorf("the first time: %v, %q", err, out)
	}
	out, _, err = ran(t, "migrate", "up", "--database-url", dsn)
	if err != nil || out != "up to date\n" {
		t.Errorf("the second time: %v, %q", err, out)
	}
	if text, state = status(); int(state.Current) != latest || state.Pending == nil || len(state.Pending) != 0 || strings.Contains(text, "to come") {
		t.Errorf("after that: %+v and %q", state, text)
	}
	start(t, over(dsn)).register(t)

	db := owner(t, dsn)
	if _, err := db.Exec(patience(t), `update schema_version set version = version + 1`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ran(t, "migrate", "up", "--database-url", dsn); err == nil || !strings.Contains(err.Error(), "run a newer foof") {
		t.Errorf("of a database from the future: %v", err)
	}
	if err := refuseUnmigrated(patience(t), dsn); err == nil || !strings.Contains(err.Error(), "run a newer foof") {
		t.Errorf("serving a database from the future: %v", err)
	}
}

// emptied is a database that nothing was done to.
func emptied(t *testing.T) string {
	t.Helper()
	dsn := pgtest.DSN(t)
	conn, err := pgx.Connect(patience(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `drop schema public cascade; create schema public`); err != nil {
		t.Fatal(err)
	}
	return dsn
}
