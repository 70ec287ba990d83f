package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadme runs the walk of README.md as it stands there, against a new service, and compares what it prints.
func TestReadme(t *testing.T) {
	t.Parallel()
	t.Run("the walk with curl answers what the README says", func(t *testing.T) {
		t.Parallel()
		for _, tool := range []string{"sh", "curl", "sed"} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skipf("the walk needs %s, which is not on this machine", tool)
			}
		}
		walkReadme(t, start(t).url)
	})
}

// walkReadme runs the walk against the service at an address.
func walkReadme(t *testing.T, url string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```sh walk\n")
	script, _, ended := strings.Cut(after, "```\n")
	if !found || !ended {
		t.Fatal("README.md has no block ```sh walk")
	}
	const address = "http://127.0.0.1:8080"
	if !strings.Contains(script, address) {
		t.Fatalf("the walk does not name %s", address)
	}
	var want []string
	for line := range strings.Lines(script) {
		if answer, ok := strings.CutPrefix(line, "#> "); ok {
			want = append(want, answer)
		}
	}

	walk := exec.CommandContext(t.Context(), "sh", "-eu")
	walk.Stdin = strings.NewReader(strings.ReplaceAll(script, address, url))
	var printed, complained bytes.Buffer
	walk.Stdout, walk.Stderr = &printed, &complained
	if err := walk.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &complained)
	}
	if diff := cmp.Diff(strings.Join(want, ""), printed.String()); diff != "" {
		t.Errorf("the walk printed something else:\n%s", diff)
	}
}
