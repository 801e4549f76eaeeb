package flags

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hbar/internal/atomicfile"
)

// File is a file that an option names; one with an empty path is not wanted.
type File struct {
	Name, Path string
	Picture    bool // it will hold a PNG image, and must be called so
	// Endings are those that its name may have, which say what it will hold; nil: any. "/" stands for a new folder of files.
	Endings []string
}

// folder reports whether the path is that of a folder, and may be.
func (f File) folder() bool {
	return slices.Contains(f.Endings, "/") && (strings.HasSuffix(f.Path, "/") || strings.HasSuffix(f.Path, string(filepath.Separator)))
}

// CheckOutputs finds what can be known to fail before the work begins: outputs whose folder does not exist or takes no new files, that are folders
// themselves, that would replace one another or one of the inputs, by whatever path or link these are named, pictures
// that are called anything but .png, and names with other endings than there are formats. It removes what killed processes left of earlier attempts at these outputs.
func CheckOutputs(outputs, inputs []File) error {
	taken := inputs
	for _, f := range outputs {
		if f.Path == "" {
			continue
		}
		folder := f.folder()
		if folder {
			if entries, err := os.ReadDir(f.Path); err == nil && len(entries) > 0 {
				return fmt.Errorf("--%s %s holds files already; name a new folder", f.Name, f.Path)
			}
			f.Path = filepath.Clean(f.Path)
			if st, err := os.Stat(f.Path); err == nil && !st.IsDir() {
				return fmt.Errorf("--%s %s is a file; name a new folder", f.Name, f.Path)
			}
		}
		dir := filepath.Dir(f.Path)
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return fmt.Errorf("--%s %s: there is no folder %s", f.Name, f.Path, dir)
		}
		if st, err := os.Stat(f.Path); err == nil && st.IsDir() && !folder {
			return fmt.Errorf("--%s %s is a directory; name a file", f.Name, f.Path)
		}
		for _, other := range taken {
			if other.Path != "" && sameFile(f.Path, other.Path) {
				return fmt.Errorf("--%s %s would replace the file of --%s; choose another name", f.Name, f.Path, other.Name)
			}
		}
		if ext := filepath.Ext(f.Path); f.Picture && !strings.EqualFold(ext, ".png") {
			return fmt.Errorf("--%s %s: pictures are PNG files; call it %s.png", f.Name, f.Path, strings.TrimSuffix(f.Path, ext))
		}
		if err := f.checkEnding(); err != nil && !folder {
			return err
		}
		taken = append(taken[:len(taken):len(taken)], f)
		atomicfile.RemoveStale(dir, filepath.Base(f.Path))
		if !folder {
			if err := f.checkFolder(); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFolder refuses a file whose folder takes no new ones, by making one there. What is no regular file, such as /dev/null, is not replaced, so that its folder does not matter.
func (f File) checkFolder() error {
	if st, err := os.Stat(f.Path); err == nil && !st.Mode().IsRegular() {
		return nil
	}
	tmp, err := atomicfile.Create(f.Path)
	if err != nil {
		return fmt.Errorf("--%s: %w", f.Name, err)
	}
	tmp.Abort()
	return nil
}

// checkEnding refuses a name whose ending asks for a format that is not written. A device such as /dev/null may have any.
func (f File) checkEnding() error {
	if f.Endings == nil || slices.Contains(f.Endings, strings.ToLower(filepath.Ext(f.Path))) {
		return nil
	}
	if st, err := os.Stat(f.Path); err == nil && !st.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("--%s %s: the ending of the name says what is written; have %s", f.Name, f.Path, strings.Join(f.Endings, ", "))
}

// sameFile reports whether two paths lead to one file, which need not exist yet.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX == nil && errY == nil {
		return os.SameFile(x, y)
	}
	return (errX == nil) == (errY == nil) && absolutePath(a) == absolutePath(b)
}

// absolutePath is the absolute path of a file, with the links of its folder resolved.
func absolutePath(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return path
	}
	return filepath.Join(dir, filepath.Base(path))
}

// Absolute is the absolute path of a file that exists; anything else is returned as it is.
func Absolute(path string) string {
	if _, err := os.Stat(path); err != nil {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
