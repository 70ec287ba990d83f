// Package s3test gives tests an S3 service of their own: a real one, versitygw over a folder, built from the module in
// testdata/versitygw, whose go.sum pins it. It is built once a machine and kept in the user's cache folder.
package s3test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Service is a running one.
type Service struct {
	Endpoint             string // its URL
	AccessKey, SecretKey string

	folder  string
	program string
	address string
	process *exec.Cmd
	said    *bytes.Buffer
}

const (
	// buildLimit bounds what a test waits for the program to be built, which takes a minute on a small machine.
	buildLimit = 10 * time.Minute
	// startLimit bounds what it waits for the service.
	startLimit = time.Minute
)

// Start runs a service until the test ends.
func Start(t testing.TB) *Service {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	program, err := build(ctx)
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	s := &Service{AccessKey: "foof", SecretKey: "the secret of a test", folder: t.TempDir(), program: program}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	s.address = listener.Addr().String() // it takes no listener, so that somebody could be faster
	s.Endpoint = "http://" + s.address
	if err := listener.Close(); err != nil {
		t.Fatalf("s3test: %v", err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the S3 service said:\n%s", s.said)
		}
	})
	s.Run(t)
	return s
}

// Run starts the service again, with what it had.
func (s *Service) Run(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"buckets", "notes"} {
		if err := os.MkdirAll(filepath.Join(s.folder, dir), 0o755); err != nil {
			t.Fatalf("s3test: %v", err)
		}
	}
	s.said = &bytes.Buffer{}
	// Its notes on objects are in files: not every file system has extended attributes.
	s.process = exec.CommandContext(context.Background(), s.program, "--port", s.address, "--keep-alive", "--quiet", "--health", "/health",
		"posix", "--sidecar", filepath.Join(s.folder, "notes"), filepath.Join(s.folder, "buckets"))
	s.process.Dir = s.folder
	s.process.Env = []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey, "HOME=" + s.folder}
	s.process.Stdout, s.process.Stderr = s.said, s.said
	s.process.SysProcAttr = dyingWithUs()
	if err := s.process.Start(); err != nil {
		t.Fatalf("s3test: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := s.await(ctx); err != nil {
		s.Stop()
		t.Fatalf("s3test: %v\n%s", err, s.said)
	}
}

// await looks every few milliseconds whether the service is there, which gives no signal.
func (s *Service) await(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/health", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err == nil {
			_ = answer.Body.Close()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Stop kills the service. It may be called again.
func (s *Service) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Client is one who may do everything.
func (s *Service) Client(t testing.TB) *minio.Client {
	t.Helper()
	client, err := minio.New(s.address, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	return client
}

// Bucket makes one.
func (s *Service) Bucket(t testing.TB, name string) {
	t.Helper()
	if err := s.Client(t).MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("s3test: make a bucket: %v", err)
	}
}

// build gives the path of the program, which is built if there is none yet. Processes that want it at the same time wait for
// one.
func build(ctx context.Context) (string, error) {
	module, err := moduleFolder()
	if err != nil {
		return "", err
	}
	version := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		_, _ = version.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil || os.MkdirAll(filepath.Join(cache, "foof"), 0o755) != nil {
		cache = os.TempDir()
	}
	program := filepath.Join(cache, "foof", fmt.Sprintf("versitygw-%.6x-%s", version.Sum(nil), runtime.Version()))
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	lock := flock.New(program + ".lock")
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return "", fmt.Errorf("wait for versitygw to be built: %w", errors.Join(err, lock.Close()))
	}
	defer lock.Close()
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-o", program+".new", "github.com/versity/versitygw/cmd/versitygw")
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build versitygw: %w\n%s", err, said)
	}
	return program, os.Rename(program+".new", program)
}

// moduleFolder finds testdata/versitygw from wherever in the project a test runs.
func moduleFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		module := filepath.Join(dir, "internal", "s3test", "testdata", "versitygw")
		if _, err := os.Stat(module); err == nil {
			return module, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the module of versitygw is not above the working folder")
		}
		dir = parent
	}
}
