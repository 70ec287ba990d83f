package images

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
)

// Folder is a Store in a folder, which several processes may share. Nothing in it leads out of it, by whatever name.
type Folder struct {
	root *os.Root
}

const (
	// unfinished is where files are until they are whole.
	unfinished = "new"
	// givenUpAfter is the age at which an unfinished file is one that a process which was killed has left.
	givenUpAfter = time.Hour
)

// OpenFolder opens a folder, makes it if there is none, and removes what processes that were killed have left unfinished.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	f := &Folder{root: root}
	if err := f.arrange(); err != nil {
		return nil, fmt.Errorf("images: %w", errors.Join(err, root.Close()))
	}
	return f, nil
}

func (f *Folder) arrange() error {
	for _, dir := range []string{unfinished, string(Items), string(Avatars)} {
		if err := f.root.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := f.sync("."); err != nil {
		return err
	}
	left, err := fs.ReadDir(f.root.FS(), unfinished)
	if err != nil {
		return err
	}
	for _, entry := range left {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < givenUpAfter {
			continue // it may be somebody's who is at it
		}
		if err := f.root.Remove(path.Join(unfinished, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Put writes a file elsewhere first. When it is all on the disk it is renamed, and then the folder that it is in is written.
func (f *Folder) Put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	partial := path.Join(unfinished, rand.Text())
	err := f.write(partial, data)
	if err == nil {
		err = f.root.Rename(partial, name)
	}
	if err != nil {
		_ = f.root.Remove(partial)
		return err
	}
	return f.sync(path.Dir(name))
}

func (f *Folder) write(name string, data []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// sync makes durable which files are in a folder.
func (f *Folder) sync(dir string) error {
	opened, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// Open opens a file.
func (f *Folder) Open(_ context.Context, name string) (File, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return File{}, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return File{}, errors.Join(err, file.Close())
	}
	return File{ReadSeekCloser: file, Modified: info.ModTime()}, nil
}

// Remove removes a file.
func (f *Folder) Remove(_ context.Context, name string) error {
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
