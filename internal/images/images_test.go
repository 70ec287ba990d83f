package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"foof/internal/fault"
)

// keep stores a picture of a width and gives its name.
func keep(t *testing.T, l *Library, album Album, width int) (name string, p Picture) {
	t.Helper()
	made, err := l.Prepare(t.Context(), asJPEG(t, corners(width, 9)))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := l.Keep(t.Context(), album, made...)
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v: %v", paths, err)
	}
	name, ok := strings.CutPrefix(paths[0], `image\`+string(album)+`\`)
	if !ok {
		t.Fatalf("its path is %s", paths[0])
	}
	return name, made[0]
}

func TestWhatIsKeptIsServed(t *testing.T) {
	t.Parallel()
	l := library(t, openFolder(t, t.TempDir()))
	for _, album := range []Album{Items, Avatars} {
		name, p := keep(t, l, album, 1000)
		tags := map[string]bool{}
		for _, width := range []int{0, 200, 800} {
			shown, err := l.Open(t.Context(), album, name, width)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(shown)
			if err := errors.Join(err, shown.Close()); err != nil || !bytes.Equal(got, p.files[width]) {
				t.Errorf("%s, width %d: %d bytes, want %d: %v", name, width, len(got), len(p.files[width]), err)
			}
			if shown.Type != "image/jpeg" || !shown.Immutable || tags[shown.Tag] {
				t.Errorf("width %d: %q %q %t", width, shown.Type, shown.Tag, shown.Immutable)
			}
			tags[shown.Tag] = true
		}
		other := map[Album]Album{Items: Avatars, Avatars: Items}[album]
		if _, err := l.Open(t.Context(), other, name, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("in the other album: %v", err)
		}
	}
}

func TestTheDefaultAvatarIsServed(t *testing.T) {
	t.Parallel()
	l := library(t, nil)
	var tags []string
	for width, want := range map[int]int{0: 512, 200: 200, 800: 512} {
		shown, err := l.Open(t.Context(), Avatars, "default.jpg", width)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(shown)
		if err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, data, "jpg").Bounds().Dx(); got != want || shown.Immutable || shown.Type != "image/jpeg" {
			t.Errorf("width %d: it has %d, %q, immutable %t", width, got, shown.Type, shown.Immutable)
		}
		tags = append(tags, shown.Tag)
	}
	slices.Sort(tags)
	if len(slices.Compact(tags)) != 3 {
		t.Errorf("the tags are %v", tags)
	}
	if _, err := l.Open(t.Context(), Items, "default.jpg", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("among items: %v", err)
	}
}

func TestOnlyNamesThatWereGivenAreServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := library(t, openFolder(t, dir))
	name, _ := keep(t, l, Items, 20)
	for _, wrong := range []string{
		"", ".", "..", "0", name[:len(name)-1], name + "g", "/" + name, "./" + name, "../item/" + name, `..\item\` + name, name + "/", name + "\x00",
		strings.Replace(name, ".jpg", ".png", 1), strings.Replace(name, ".jpg", ".JPG", 1), strings.Replace(name, ".jpg", ".w200.jpg", 1),
		"1" + name[1:], strings.Replace(name, "0.", "0.0", 1), "０" + name[1:], "new/x", strings.Repeat("0", 10_000), "0.%2e.jpg",
	} {
		if shown, err := l.Open(t.Context(), Items, wrong, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v %v", wrong, shown, err)
		}
	}
	for _, album := range []Album{"", ".", "new", "..", "item/", "ITEM"} {
		if _, err := l.Open(t.Context(), album, name, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("album %q: %v", album, err)
		}
	}
}

func TestNamesCannotBeGuessed(t *testing.T) {
	t.Parallel()
	l := library(t, openFolder(t, t.TempDir()))
	p := prepared(t, asJPEG(t, corners(3, 3)))
	const drawn = 100
	paths, err := l.Keep(t.Context(), Items, slices.Repeat([]Picture{p}, drawn)...)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^image\\item\\0\.([0-9]{39})\.jpg$`) // 10^39 is more than 2^129
	seen := [39][10]int{}
	for _, path := range paths {
		match := form.FindStringSubmatch(path)
		if match == nil {
			t.Fatalf("a path is %s", path)
		}
		for place, digit := range match[1] {
			seen[place][digit-'0']++
		}
	}
	for place, digits := range seen {
		for digit, n := range digits {
			if n > drawn/2 { // once in 10^20 tests
				t.Errorf("digit %d of %d is %d in %d of %d names", place, len(seen), digit, n, drawn)
			}
		}
	}
	if slices.Sort(paths); len(slices.Compact(paths)) != drawn {
		t.Error("a name was drawn twice")
	}
}

// failing is a store whose nth Put fails, and perhaps has stored the file all the same.
type failing struct {
	Store

	at        int
	persists  bool
	undeleted bool // Remove fails too
	puts      []string
}

var errDisk = errors.New("the disk is full")

func (f *failing) Put(ctx context.Context, name string, data []byte) error {
	f.puts = append(f.puts, name)
	if len(f.puts) != f.at {
		return f.Store.Put(ctx, name, data)
	}
	if f.persists {
		if err := f.Store.Put(ctx, name, data); err != nil {
			return err
		}
	}
	return errDisk
}

func (f *failing) Remove(ctx context.Context, name string) error {
	if f.undeleted {
		return errDisk
	}
	return f.Store.Remove(ctx, name)
}

func TestAStoreThatFailsAtAnyStepLeavesNothing(t *testing.T) {
	t.Parallel()
	pictures := []Picture{prepared(t, asJPEG(t, corners(30, 30))), prepared(t, asPNG(t, corners(20, 20)))}
	for at := 1; at <= 6; at++ {
		for _, persists := range []bool{false, true} {
			dir := t.TempDir()
			store := &failing{Store: openFolder(t, dir), at: at, persists: persists}
			paths, err := library(t, store).Keep(t.Context(), Items, pictures...)
			if f := fault.Of(err); paths != nil || f == nil || f.Kind != fault.KindUnavailable || !errors.Is(err, errDisk) {
				t.Errorf("step %d: %v, %v", at, paths, err)
			}
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("step %d, persists %t: left are %v", at, persists, left)
			}
		}
	}

	t.Log("what cannot be removed either is no whole picture with less than its thumbnails")
	for at := 1; at <= 6; at++ {
		dir := t.TempDir()
		store := &failing{Store: openFolder(t, dir), at: at, undeleted: true}
		if _, err := library(t, store).Keep(t.Context(), Items, pictures...); err == nil {
			t.Errorf("step %d: no error", at)
		}
		left := files(t, dir)
		for _, name := range left {
			if nameForm.MatchString(name) && len(left) < 3 {
				t.Errorf("step %d: left are %v", at, left)
			}
		}
	}
}

func TestKeepingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	store := &failing{Store: openFolder(t, dir)}
	l := library(t, &cancelling{store, cancel})
	_, err := l.Keep(ctx, Items, prepared(t, asJPEG(t, corners(30, 30))))
	if !errors.Is(err, context.Canceled) || fault.Of(err).Kind == fault.KindUnavailable {
		t.Errorf("%v", err)
	}
	if left := files(t, dir); len(left) > 0 || len(store.puts) != 2 {
		t.Errorf("put were %v, left are %v", store.puts, left)
	}
}

// cancelling ends the context after the first Put.
type cancelling struct {
	*failing

	cancel func()
}

func (c *cancelling) Put(ctx context.Context, name string, data []byte) error {
	defer c.cancel()
	return c.failing.Put(ctx, name, data)
}

// files are the names of all files in a folder and in those below.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, entry.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
