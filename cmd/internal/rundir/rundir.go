// Package rundir keeps what a run leaves behind: a directory with a name of its own and the options in it.
package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hbar/internal/atomicfile"
)

// Create makes a new directory root/name, or root/name-2, root/name-3, … if that exists, and returns its path.
func Create(root, name string) (string, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("run directory: %w", err)
	}
	for i := 1; ; i++ {
		path := filepath.Join(root, numbered(name, i))
		err := os.Mkdir(path, 0o755)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return path, wrap(err)
		}
	}
}

// Next is the path that Create would make.
func Next(root, name string) string {
	for i := 1; ; i++ {
		path := filepath.Join(root, numbered(name, i))
		if _, err := os.Lstat(path); err != nil {
			return path
		}
	}
}

// Latest is the last of the directories that Create made by that name, and whether there is one.
func Latest(root, name string) (path string, ok bool) {
	for i := 1; ; i++ {
		next := filepath.Join(root, numbered(name, i))
		if _, err := os.Stat(next); err != nil {
			return path, path != ""
		}
		path = next
	}
}

func numbered(name string, i int) string {
	if i == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, i)
}

// Prepare makes the directory path, parents included, unless it exists, and checks that files can be written there:
// better now than after an hour of work.
func Prepare(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return wrap(err)
	}
	f, err := atomicfile.Create(filepath.Join(path, "probe"))
	if err != nil {
		return wrap(err)
	}
	f.Abort()
	return nil
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run directory: %w", err)
}

// Exists reports whether the run at path has the named file.
func Exists(path, file string) bool {
	info, err := os.Stat(filepath.Join(path, file))
	return err == nil && !info.IsDir()
}

// WriteJSON writes v, indented, whole or not at all.
func WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, append(b, '\n'))
}

// ReadJSON reads into v, and refuses fields that v does not have.
func ReadJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
