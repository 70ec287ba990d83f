// Package images takes the pictures that people upload, makes them fit to be shown to everybody, and keeps them.
//
// What is served is never what was uploaded: a picture is decoded and written anew, so that it is a picture and nothing else,
// with no camera's notes in it, the right way up, and with two thumbnails.
package images

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // the default avatar
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"foof/internal/fault"

	"golang.org/x/sync/semaphore"
)

// Album says what pictures are for. It is a part of their paths.
type Album string

// The albums.
const (
	Items   Album = "item"
	Avatars Album = "avatar"
)

// Store keeps files by name: an album, a slash, and letters, digits and dots. It may be used by several goroutines.
type Store interface {
	// Put stores a file under a name that is new. Once it has returned nil, the file outlasts a crash of everything. A file is
	// never there in part: when Put fails, it is there whole, or not at all.
	Put(ctx context.Context, name string, data []byte) error
	// Open opens a file that was stored. The error is fs.ErrNotExist if there is none of that name. ctx holds for Open and for
	// what is read.
	Open(ctx context.Context, name string) (File, error)
	// Remove removes a file, if it is there.
	Remove(ctx context.Context, name string) error
}

// File is a file in a store, opened.
type File struct {
	io.ReadSeekCloser

	Modified time.Time // zero: unknown
}

// Library is all pictures, in the albums of a store. It may be used by several goroutines.
type Library struct {
	store   Store
	most    int // pixels of one picture
	memory  *semaphore.Weighted
	avatar  func() (Picture, error) // everybody's, at first; prepared when it is first asked for
	perTurn int64                   // what a picture takes of memory at least, so that no more are at work than there are processors
}

const (
	// atOnce is how many pictures of the most pixels may be in memory at once, whatever the number of processors.
	atOnce = 2
	// together is how many times the pixels of one picture all those of one upload may have.
	together = 4
)

// It is drawn in avatar_test.go.
//
//go:embed default.jpg
var defaultAvatar []byte

const defaultName = "default.jpg"

// New opens a library. most is how many pixels a picture may have, all frames of an animation counted; some 16 bytes of memory
// are needed for each while one is prepared.
func New(store Store, most int) *Library {
	memory := int64(atOnce * most)
	return &Library{
		store: store, most: most, memory: semaphore.NewWeighted(memory), perTurn: memory / int64(runtime.GOMAXPROCS(0)),
		avatar: sync.OnceValues(func() (Picture, error) {
			up, err := inspect(defaultAvatar, most)
			if err != nil {
				return Picture{}, err
			}
			return up.picture()
		}),
	}
}

// UnfitError says why one of several uploads is not taken.
type UnfitError struct {
	Index int    // of the upload
	Why   string // for people: "is …"
}

func (e *UnfitError) Error() string { return fmt.Sprintf("upload %d %s", e.Index+1, e.Why) }

// Prepare makes pictures of uploads: JPEG, PNG, GIF or WebP, by what they are and not by what they are called. The error is an
// UnfitError if one of them is something else, is damaged, or would have too many pixels, which is found out before any is
// unpacked; or the context's.
func (l *Library) Prepare(ctx context.Context, uploads ...[]byte) ([]Picture, error) {
	checked := make([]upload, len(uploads))
	all := 0
	for i, data := range uploads {
		up, err := inspect(data, l.most)
		if err != nil {
			return nil, &UnfitError{i, err.Error()}
		}
		if all += up.pixels; all > together*l.most {
			return nil, &UnfitError{i, fmt.Sprintf("is too much: all pictures of one request may have %d pixels", together*l.most)}
		}
		checked[i] = up
	}
	pictures := make([]Picture, len(uploads))
	for i, up := range checked {
		picture, err := l.prepare(ctx, up)
		if why, unfit := errors.AsType[unfitness](err); unfit {
			return nil, &UnfitError{i, string(why)}
		}
		if err != nil {
			return nil, fmt.Errorf("prepare a picture: %w", err)
		}
		pictures[i] = picture
	}
	return pictures, nil
}

// prepare waits until there is memory for one more.
func (l *Library) prepare(ctx context.Context, up upload) (Picture, error) {
	weight := max(int64(up.pixels), l.perTurn)
	if err := l.memory.Acquire(ctx, weight); err != nil {
		return Picture{}, err
	}
	defer l.memory.Release(weight)
	return up.picture()
}

// digits of a name: more than 128 bits.
const digits = 39

var nameForm = regexp.MustCompile(`^0\.[0-9]{` + strconv.Itoa(digits) + `}\.(jpg|png|gif)$`)

// Keep stores pictures under names that nobody can guess, and gives their paths: image\item\0.….jpg. When it has returned
// them, they are durable, thumbnails and all. If it fails, none is meant to be there: what was stored already is removed as far
// as that is possible, and nobody knows the names of what could not be. The error is a fault of kind Unavailable, or the
// context's.
func (l *Library) Keep(ctx context.Context, album Album, pictures ...Picture) (paths []string, err error) {
	var stored []string
	defer func() {
		if err != nil {
			l.discard(ctx, stored)
		}
	}()
	for _, p := range pictures {
		drawn, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil))
		if err != nil {
			return nil, fmt.Errorf("draw a name: %w", err)
		}
		name := fmt.Sprintf("0.%0*d.%s", digits, drawn, p.extension)
		for _, width := range [...]int{Widths[0], Widths[1], 0} { // the picture itself last: then all of it is there
			file := string(album) + "/" + fileName(name, width)
			stored = append(stored, file)
			if err := l.store.Put(ctx, file, p.files[width]); err != nil {
				return nil, broken(ctx, fmt.Errorf("store %s: %w", file, err))
			}
		}
		paths = append(paths, `image\`+string(album)+`\`+name)
	}
	return paths, nil
}

func (l *Library) discard(ctx context.Context, files []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, file := range slices.Backward(files) {
		_ = l.store.Remove(ctx, file) // it may be what is broken
	}
}

// broken is a store's error as a fault, unless it was the context that ended.
func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fault.Unavailable(err)
}

// fileName is what a picture, or its thumbnail of a width, is called in a store.
func fileName(name string, width int) string {
	if width == 0 {
		return name
	}
	extension := extensionOf(name)
	return strings.TrimSuffix(name, extension) + "w" + strconv.Itoa(width) + "." + thumbnailOf[extension]
}

// Image is a stored picture, or its thumbnail, opened.
type Image struct {
	File

	Type      string // such as image/jpeg
	Tag       string // is that of these bytes alone
	Immutable bool   // its path will never show anything else
}

// Open opens a picture by its name in an album, or with a width, which is one of Widths, its thumbnail. The error is
// fs.ErrNotExist if there is no such picture, else a fault of kind Unavailable, or the context's.
func (l *Library) Open(ctx context.Context, album Album, name string, width int) (Image, error) {
	isDefault := album == Avatars && name == defaultName
	if album != Items && album != Avatars || !isDefault && !nameForm.MatchString(name) {
		return Image{}, fmt.Errorf("a picture of that name: %w", fs.ErrNotExist)
	}
	file := fileName(name, width)
	shown := Image{Type: mediaTypes[extensionOf(file)], Tag: file, Immutable: !isDefault}
	if isDefault {
		avatar, err := l.avatar()
		if err != nil {
			return Image{}, fmt.Errorf("the default avatar: %w", err)
		}
		data := avatar.files[width]
		shown.File = File{ReadSeekCloser: inMemory{bytes.NewReader(data)}}
		shown.Tag = fmt.Sprintf("%s-%x", file, sha256.Sum256(data)) // another release may have another one
		return shown, nil
	}
	var err error
	shown.File, err = l.store.Open(ctx, string(album)+"/"+file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Image{}, err
	case err != nil:
		return Image{}, broken(ctx, fmt.Errorf("open %s: %w", file, err))
	}
	return shown, nil
}

// inMemory is a file that needs no closing.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
