package data

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The names that numpy.savez and its users give to samples and labels in an .npz file.
var (
	npzSamples = []string{"arr_0", "images", "samples", "data", "x", "X"}
	npzLabels  = []string{"arr_1", "labels", "label", "y", "Y"}
)

// readNpz reads an .npz file, a zip archive of .npy files stored or deflated: the samples, and their labels if it has any and labelled asks for
// them: labels that nobody wants need not be such as can be read.
func readNpz(r io.Reader, size int64, labelled bool) (*Dataset, error) {
	at, ok := r.(io.ReaderAt)
	if !ok {
		return nil, errors.New("an .npz file is read from a file only")
	}
	z, err := zip.NewReader(at, size)
	if errors.Is(err, zip.ErrFormat) {
		return nil, errors.New("not an .npz file, or a truncated one: the directory at its end is missing")
	}
	if err != nil {
		return nil, err
	}
	members := map[string]*zip.File{}
	var names []string
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			continue
		}
		if members[name] != nil {
			return nil, fmt.Errorf("array %q comes twice", name)
		}
		members[name], names = f, append(names, name)
	}
	samples := firstOf(npzSamples, names)
	if samples == "" && len(names) == 1 {
		samples = names[0]
	}
	if samples == "" {
		slices.Sort(names)
		return nil, fmt.Errorf("no array of samples; have %q, want arr_0 or images (and arr_1 or labels)", names)
	}
	s, err := readMember(members[samples], size, readNpy)
	if err != nil {
		return nil, err
	}
	if name := firstOf(npzLabels, names); name != "" && name != samples && labelled {
		labels, err := readMember(members[name], size, readNpyLabels)
		if err == nil {
			err = s.setLabels(labels, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w (--labels none leaves them away)", name, err)
		}
	}
	return s, nil
}

func firstOf(wanted, have []string) string {
	for _, name := range wanted {
		if slices.Contains(have, name) {
			return name
		}
	}
	return ""
}

// readMember reads one array of an archive of so many bytes.
func readMember[T any](f *zip.File, archive int64, read func(io.Reader, int64) (T, error)) (out T, err error) {
	if f.CompressedSize64 > uint64(archive) {
		return out, fmt.Errorf("%s: %d compressed bytes claimed in an archive of %d", f.Name, f.CompressedSize64, archive)
	}
	// Deflate makes at most 1032 bytes of one: a larger size cannot be true.
	if f.UncompressedSize64 > 1032*(f.CompressedSize64+1) {
		return out, fmt.Errorf("%s: %d bytes claimed of %d compressed ones", f.Name, f.UncompressedSize64, f.CompressedSize64)
	}
	r, err := f.Open()
	if err != nil {
		return out, fmt.Errorf("%s: %w", f.Name, err)
	}
	defer r.Close()
	out, err = read(r, int64(f.UncompressedSize64))
	if err != nil {
		return out, fmt.Errorf("%s: %w", f.Name, err)
	}
	return out, nil
}
