package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// settingNames are the variables that the service reads.
func settingNames() []string {
	var names []string
	for field := range reflect.TypeFor[config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		names = append(names, name)
	}
	return names
}

func TestWhatIsDeployedHasTheSettingsThatThereAre(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../deploy/*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %v", files, err)
	}
	named := regexp.MustCompile(`\b(FOOF|DATABASE)_[A-Z0-9_]+\b`)
	for _, file := range append(files, "../../README.md", "../../docs/operate.md", "../../docs/webhooks.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if !slices.Contains(settingNames(), name) {
				t.Errorf("%s names %s, which is no setting", filepath.Base(file), name)
			}
		}
	}
}

// composed is deploy/compose.yaml as docker compose reads it.
func composed(t *testing.T, environment types.Mapping) (*types.Project, error) {
	t.Helper()
	folder := t.TempDir()
	for from, to := range map[string]string{"compose.yaml": "compose.yaml", "env.example": ".env"} {
		text, err := os.ReadFile(filepath.Join("../../deploy", from))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, to), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: folder, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(folder, "compose.yaml")}}, Environment: environment,
	})
}

func TestCompose(t *testing.T) {
	t.Parallel()
	whole := types.Mapping{
		"POSTGRES_PASSWORD": "x", "FOOF_JWT_SECRETS": testSecret, "FOOF_MASTER_KEY": testMaster, "FOOF_SMS_WEBHOOK": "https://sms.example",
		"FOOF_SMS_WEBHOOK_SECRET": "x",
	}
	for missing := range whole {
		environment := maps.Clone(whole)
		environment[missing] = ""
		if _, err := composed(t, environment); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	project, err := composed(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(project.Services)); !slices.Equal(got, []string{"db", "foof", "migrate", "nginx"}) {
		t.Errorf("its services are %v", got)
	}
	environment := map[string]string{}
	for name, v := range project.Services["foof"].Environment {
		if v != nil {
			environment[name] = *v
		}
	}
	if _, err := configFrom(environment); err != nil {
		t.Errorf("foof would not start with it: %v", err)
	}
}
