package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"foof/internal/s3test"

	"github.com/minio/minio-go/v7"
)

// testStore is the contract of a Store. outside is a file that no name may lead to, if it has something outside.
func testStore(t *testing.T, store Store, outside string) {
	t.Helper()
	large := bytes.Repeat([]byte("0123456789abcdef"), 300_000)

	t.Run("what was put can be opened, read and sought in", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		for name, data := range map[string][]byte{"item/0.1.jpg": []byte("a picture"), "avatar/0.1.jpg": []byte("another"), "item/0.2.png": large} {
			if err := store.Put(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
			holdsFile(t, store, name, data)
			file, err := store.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			size, err := file.Seek(0, io.SeekEnd)
			if err != nil || size != int64(len(data)) {
				t.Errorf("%s: its end is at %d, want %d: %v", name, size, len(data), err)
			}
			if _, err := file.Seek(3, io.SeekStart); err != nil {
				t.Error(err)
			}
			got := make([]byte, 4)
			if _, err := io.ReadFull(file, got); err != nil || !bytes.Equal(got, data[3:7]) {
				t.Errorf("%s: from 3 on it reads %q, want %q: %v", name, got, data[3:7], err)
			}
			if file.Modified.Before(began.Add(-2*time.Second)) || file.Modified.After(time.Now().Add(2*time.Second)) {
				t.Errorf("%s: modified at %s", name, file.Modified)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("what is not there is not there", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"item/0.3.jpg", "avatar/0.2.png", "item/0.1", "item", "nothing/0.1.jpg"} {
			if _, err := store.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("what was removed is gone, and may be removed again", func(t *testing.T) {
		t.Parallel()
		const name = "item/0.4.jpg"
		if err := store.Put(t.Context(), name, []byte("a picture")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := store.Remove(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		if _, err := store.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after that: %v", err)
		}
	})
	t.Run("names lead nowhere else", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"../outside.jpg", "item/../../outside.jpg", outside} {
			err := store.Put(t.Context(), name, []byte("a picture"))
			if outside == "" { // in S3 nothing is above
				continue
			}
			if _, missing := os.Stat(outside); err == nil || missing == nil {
				t.Errorf("%s leads out: %v", name, err)
			}
		}
	})
	t.Run("nothing is put when the context has ended", func(t *testing.T) {
		t.Parallel()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := store.Put(ended, "item/0.5.jpg", []byte("a picture")); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := store.Open(t.Context(), "item/0.5.jpg"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after that: %v", err)
		}
	})
	t.Run("a file is there whole or not at all, while others put theirs", func(t *testing.T) {
		t.Parallel()
		var work sync.WaitGroup
		for i := range 20 {
			name, data := fmt.Sprintf("item/0.1%02d.jpg", i), bytes.Repeat([]byte{byte(i)}, 100_000*(1+i%3))
			put := make(chan struct{})
			work.Go(func() {
				defer close(put)
				if err := store.Put(t.Context(), name, data); err != nil {
					t.Error(err)
				}
			})
			work.Go(func() {
				for {
					file, err := store.Open(t.Context(), name)
					if err == nil {
						got, err := io.ReadAll(file)
						_ = file.Close()
						if err != nil || !bytes.Equal(got, data) {
							t.Errorf("%s: read %d bytes, want %d: %v", name, len(got), len(data), err)
						}
						return
					}
					select {
					case <-put:
						holdsFile(t, store, name, data)
						return
					default:
					}
				}
			})
		}
		work.Wait()
	})
}

func holdsFile(t *testing.T, store Store, name string, want []byte) {
	t.Helper()
	file, err := store.Open(t.Context(), name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: read %d bytes, want %d: %v", name, len(got), len(want), err)
	}
}

func openFolder(t testing.TB, dir string) *Folder {
	t.Helper()
	store, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestFolder(t *testing.T) {
	t.Parallel()
	t.Run("keeps the contract", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "some")
		testStore(t, openFolder(t, filepath.Join(dir, "where")), filepath.Join(dir, "outside.jpg"))
	})
	t.Run("is swept of what was given up, and of nothing else", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		store := openFolder(t, dir)
		if err := store.Put(t.Context(), "item/0.1.jpg", []byte("a picture")); err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-2 * givenUpAfter)
		old, young := filepath.Join(dir, unfinished, "OLD"), filepath.Join(dir, unfinished, "YOUNG")
		for _, path := range []string{old, young} {
			if err := os.WriteFile(path, []byte("a pic"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{old, filepath.Join(dir, "item", "0.1.jpg")} {
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
		again := openFolder(t, dir)
		holdsFile(t, again, "item/0.1.jpg", []byte("a picture"))
		if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was given up is still there: %v", err)
		}
		if _, err := os.Stat(young); err != nil {
			t.Errorf("what somebody may be at is gone: %v", err)
		}
	})
	t.Run("leaves nothing unfinished, whether it can put a file or not", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		store := openFolder(t, dir)
		if err := store.Put(t.Context(), "item/0.1.jpg", []byte("a picture")); err != nil {
			t.Error(err)
		}
		if err := os.Remove(filepath.Join(dir, "avatar")); err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), "avatar/0.1.jpg", []byte("a picture")); err == nil {
			t.Error("a file was put into a folder that is gone")
		}
		if left, err := os.ReadDir(filepath.Join(dir, unfinished)); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	t.Run("does not follow a link out of it, or take a folder for a file", func(t *testing.T) {
		t.Parallel()
		dir, outside := t.TempDir(), t.TempDir()
		store := openFolder(t, dir)
		secret := filepath.Join(outside, "secret.jpg")
		if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(secret, filepath.Join(dir, "item", "0.1.jpg")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "item", "0.2.jpg"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"item/0.1.jpg", "item/0.2.jpg"} {
			if file, err := store.Open(t.Context(), name); err == nil {
				t.Errorf("%s was opened", name)
				_ = file.Close()
			}
		}
	})
	t.Run("that cannot be one is refused", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFolder(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("%v", err)
		}
	})
}

func pictures(service *s3test.Service) S3Place {
	return S3Place{
		Endpoint: service.Endpoint, Region: "us-east-1", AccessKey: service.AccessKey, SecretKey: service.SecretKey,
		Bucket: "pictures", Prefix: "foof/here",
	}
}

func openS3(t *testing.T, place S3Place) *S3 {
	t.Helper()
	store, err := OpenS3(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestS3(t *testing.T) {
	t.Parallel()
	service := s3test.Start(t)
	service.Bucket(t, "pictures")
	place := pictures(service)

	t.Run("keeps the contract", func(t *testing.T) {
		t.Parallel()
		testStore(t, openS3(t, place), "")
	})
	t.Run("keeps objects under its prefix, with their types", func(t *testing.T) {
		t.Parallel()
		bare := place
		bare.Prefix, bare.Region = "", ""
		for key, place := range map[string]S3Place{"foof/here/item/0.7.png": place, "item/0.7.png": bare} {
			if err := openS3(t, place).Put(t.Context(), "item/0.7.png", []byte("a picture")); err != nil {
				t.Fatal(err)
			}
			info, err := service.Client(t).StatObject(t.Context(), "pictures", key, minio.StatObjectOptions{})
			if err != nil || info.ContentType != "image/png" || info.Size != 9 {
				t.Errorf("%s: %v, of %d bytes: %v", key, info.ContentType, info.Size, err)
			}
		}
	})
	t.Run("that cannot be opened says why", func(t *testing.T) {
		t.Parallel()
		for want, change := range map[string]func(*S3Place){
			"there is no bucket drawings":   func(p *S3Place) { p.Bucket = "drawings" },
			"look for the bucket pictures:": func(p *S3Place) { p.SecretKey = "wrong" },
		} {
			wrong := place
			change(&wrong)
			if _, err := OpenS3(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}

func TestS3ThatWasAwayWorksAgain(t *testing.T) {
	t.Parallel()
	service := s3test.Start(t)
	service.Bucket(t, "pictures")
	store := openS3(t, pictures(service))
	if err := store.Put(t.Context(), "item/0.8.jpg", []byte("a picture")); err != nil {
		t.Fatal(err)
	}
	service.Stop()
	if err := store.Put(t.Context(), "item/0.9.jpg", []byte("a picture")); err == nil {
		t.Error("it was put nowhere")
	}
	if _, err := store.Open(t.Context(), "item/0.8.jpg"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of one that may well be there: %v", err)
	}
	service.Run(t)
	holdsFile(t, store, "item/0.8.jpg", []byte("a picture"))
	if _, err := store.Open(t.Context(), "item/0.9.jpg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of one that could not be put: %v", err)
	}
}
