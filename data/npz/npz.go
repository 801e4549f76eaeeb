package npz

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"hbar/internal/atomicfile"
)

// Read reads all arrays of an .npz archive by their names, without the ".npy" that the archive adds to them.
func Read(path string) (map[string]*Array, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, fmt.Errorf("%s: not an .npz archive: %w", path, err)
	}
	arrays := map[string]*Array{}
	total := uint64(0)
	for _, member := range z.File {
		name, ok := strings.CutSuffix(member.Name, ".npy")
		if !ok {
			continue
		}
		if member.UncompressedSize64 > 8*maxElements-total {
			return nil, fmt.Errorf("%s: more than 8 GiB when unpacked", path)
		}
		total += member.UncompressedSize64
		if member.CompressedSize64 > uint64(size) {
			return nil, fmt.Errorf("%s: member %s claims %d packed bytes in an archive of %d", path, name, member.CompressedSize64, size)
		}
		if arrays[name] != nil {
			return nil, fmt.Errorf("%s: array %q comes twice", path, name)
		}
		// Deflate packs at most 1032 to one: a larger claim is not true.
		if member.UncompressedSize64/1100 > member.CompressedSize64+1 {
			return nil, fmt.Errorf("%s: member %s claims %d bytes packed in %d", path, name, member.UncompressedSize64, member.CompressedSize64)
		}
		r, err := member.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: member %s: %w", path, name, err)
		}
		a, err := read(io.LimitReader(r, int64(member.UncompressedSize64)), int64(member.UncompressedSize64))
		if err == nil { // the end, where the check sum is compared
			_, err = io.Copy(io.Discard, r)
		}
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: member %s: %w", path, name, err)
		}
		arrays[name] = a
	}
	if len(arrays) == 0 {
		return nil, fmt.Errorf("%s: the archive has no arrays", path)
	}
	return arrays, nil
}

// Names are the sorted names of arrays.
func Names(arrays map[string]*Array) []string {
	var names []string
	for name := range arrays {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Write writes arrays as an .npz archive, whole or not at all.
func Write(path string, arrays map[string]*Array) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	z := zip.NewWriter(f)
	for _, name := range Names(arrays) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
		if err != nil {
			return err
		}
		if err := write(w, arrays[name]); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Commit()
}

// WriteNpy writes one array as an .npy file, whole or not at all.
func WriteNpy(path string, a *Array) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := write(f, a); err != nil {
		return err
	}
	return f.Commit()
}

func write(w io.Writer, a *Array) error {
	shape := ""
	n := 1
	for _, v := range a.Shape {
		shape += fmt.Sprintf("%d, ", v)
		n *= v
	}
	if n != len(a.X) {
		return fmt.Errorf("an array of shape %v with %d elements", a.Shape, len(a.X))
	}
	if len(a.Shape) > 1 {
		shape = strings.TrimSuffix(shape, ", ")
	}
	descr := "<f8"
	if a.Single {
		descr = "<f4"
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, strings.TrimSuffix(shape, " "))
	dict += strings.Repeat(" ", (64-(10+len(dict)+1)%64)%64) + "\n"
	head := append([]byte("\x93NUMPY"), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(dict)))
	if _, err := w.Write(append(head, dict...)); err != nil {
		return err
	}
	buf := make([]byte, 0, 1<<16)
	for i, v := range a.X {
		if a.Single {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(float32(v)))
		} else {
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		}
		if len(buf) == cap(buf) || i == len(a.X)-1 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}
