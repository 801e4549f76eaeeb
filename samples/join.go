package samples

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"hbar/data"
	"hbar/internal/atomicfile"
)

// Part is an output that holds some of the samples of a larger one.
type Part struct {
	Path string
	N    int // samples
}

// Join writes the output that one writer of all samples would have written from parts of it, in order, byte for byte. The name of path says
// of what kind they all are: .npy, .csv, or what Create takes. o describes the samples of all parts together; labels are taken from the parts.
func Join(path string, parts []Part, o Options) error {
	o = o.withDefaults()
	err := o.validate()
	n := 0
	for _, p := range parts {
		n += p.N
	}
	if err == nil && n != o.N {
		err = fmt.Errorf("parts of %d samples; want %d", n, o.N)
	}
	if err == nil {
		ext := strings.ToLower(filepath.Ext(path))
		switch {
		case IsFolder(path):
			err = joinFolders(path, parts, o)
		case ext == ".npz":
			err = joinNpz(path, parts, o)
		case ext == ".wav":
			err = joinWav(path, parts, o)
		case ext == ".txt":
			err = joinText(path, parts, o)
		case ext == ".csv":
			err = joinTables(path, parts)
		default:
			err = JoinNpy(path, parts, o.DType, o.Shape...)
		}
	}
	if err != nil {
		return fmt.Errorf("samples: %s: %w", path, err)
	}
	return nil
}

// JoinNpy joins .npy files of rows of one type and shape.
func JoinNpy(path string, parts []Part, dtype data.DType, tail ...int) error {
	w, err := data.CreateNpy(path, dtype, tail...)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, p := range parts {
		before := w.Rows()
		if err := w.Append(p.Path); err != nil {
			return err
		}
		if n := w.Rows() - before; n != int64(p.N) {
			return fmt.Errorf("%s has %d rows; want %d", p.Path, n, p.N)
		}
	}
	return w.Commit()
}

// joinTables joins .csv files: one header, and the lines after it of all.
func joinTables(path string, parts []Part) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	var header string
	for i, p := range parts {
		err := withFile(p.Path, func(r *bufio.Reader) error {
			line, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("no header: %w", err)
			}
			if i == 0 {
				header = line
				_, err = io.WriteString(f, line)
			} else if line != header {
				err = fmt.Errorf("its columns are %q, and those of %s %q", strings.TrimSpace(line), parts[0].Path, strings.TrimSpace(header))
			}
			if err != nil {
				return err
			}
			count := &lineCounter{w: f}
			if _, err := io.Copy(count, r); err != nil {
				return err
			}
			if count.n != p.N {
				return fmt.Errorf("%d rows; want %d", count.n, p.N)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return f.Commit()
}

type lineCounter struct {
	w io.Writer
	n int
}

func (c *lineCounter) Write(b []byte) (int, error) {
	c.n += bytes.Count(b, []byte{'\n'})
	return c.w.Write(b)
}

// withFile reads a file, and names it in errors.
func withFile(path string, read func(r *bufio.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := read(bufio.NewReaderSize(f, 1<<18)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func joinWav(path string, parts []Part, o Options) error {
	all, err := o.checkSound(o.N)
	if err != nil {
		return err
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(wavHeader(all, o.Shape[1], o.SampleRate)); err != nil {
		return err
	}
	for _, p := range parts {
		size := 2 * int64(p.N) * int64(o.d())
		err := withFile(p.Path, func(r *bufio.Reader) error {
			return copyAfter(f, r, wavHeader(size, o.Shape[1], o.SampleRate), size)
		})
		if err != nil {
			return err
		}
	}
	return f.Commit()
}

// copyAfter copies exactly size bytes that follow a known header.
func copyAfter(w io.Writer, r io.Reader, header []byte, size int64) error {
	have := make([]byte, len(header))
	if _, err := io.ReadFull(r, have); err != nil || !bytes.Equal(have, header) {
		return fmt.Errorf("its header is not that of such a part")
	}
	if n, err := io.Copy(w, r); err != nil || n != size {
		return fmt.Errorf("%d bytes follow the header; want %d (%v)", n, size, err)
	}
	return nil
}

func joinNpz(path string, parts []Part, o Options) error {
	archives := make([]*zip.ReadCloser, len(parts))
	for i, p := range parts {
		z, err := zip.OpenReader(p.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
		defer z.Close()
		archives[i] = z
	}
	w, err := createNpz(path, o)
	if err != nil {
		return err
	}
	defer w.Abort()
	dtype := "|u1"
	if !o.IsImage() {
		dtype = string(o.DType)
	}
	size := int64(o.d())
	switch {
	case o.IsImage():
	case o.DType == data.Float64:
		size *= 8
	default:
		size *= 4
	}
	if err := w.copyArrays("arr_0", parts, archives, dtype, o.Shape, size); err != nil {
		return err
	}
	labels := 0
	for _, z := range archives {
		if f, err := z.Open("arr_1.npy"); err == nil {
			f.Close()
			labels++
		}
	}
	if labels > 0 {
		if err := w.array("arr_1", "<i8", []int{o.N}); err != nil {
			return err
		}
		if err := w.copyArrays("arr_1", parts, archives, "<i8", nil, 8); err != nil {
			return err
		}
	}
	w.n, w.o.Label = o.N, nil // all have come, with their labels
	return w.Commit()
}

// copyArrays copies the elements of an array of all parts behind the header that has been written. row is the bytes of a sample.
func (w *npz) copyArrays(name string, parts []Part, archives []*zip.ReadCloser, dtype string, shape []int, row int64) error {
	for i, z := range archives {
		p := parts[i]
		f, err := z.Open(name + ".npy")
		if err != nil {
			return fmt.Errorf("%s has no %s", p.Path, name)
		}
		err = copyAfter(w.now, f, npyHeader(dtype, append([]int{p.N}, shape...)), int64(p.N)*row)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", p.Path, name, err)
		}
	}
	return nil
}

// joinFolders copies the files of folders under their numbers in the whole, and joins their labels.
func joinFolders(path string, parts []Part, o Options) error {
	ending := ".png"
	if len(o.Shape) == 2 {
		ending = ".wav"
	}
	dir, err := atomicfile.CreateDir(path)
	if err != nil {
		return err
	}
	defer dir.Abort()
	at := 0
	var labels []int
	for _, p := range parts {
		for i := range p.N {
			b, err := os.ReadFile(filepath.Join(p.Path, fileName(i, p.N, ending)))
			if err != nil {
				return err
			}
			if err := dir.WriteFile(fileName(at+i, o.N, ending), b); err != nil {
				return err
			}
		}
		at += p.N
		some, err := readLabels(p, ending)
		if err != nil {
			return err
		}
		labels = append(labels, some...)
	}
	if at != o.N || len(labels) != 0 && len(labels) != o.N {
		return fmt.Errorf("%d samples with %d labels; want %d", at, len(labels), o.N)
	}
	if o.Label = nil; len(labels) > 0 {
		o.Label = func(i int) int { return labels[i] }
	}
	if err := writeLabels(dir, o, ending); err != nil {
		return err
	}
	return dir.Commit()
}

// readLabels reads what writeLabels wrote; nil if there is none.
func readLabels(p Part, ending string) ([]int, error) {
	name := filepath.Join(p.Path, "dataset.json")
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list struct {
		Labels [][2]json.RawMessage `json:"labels"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(list.Labels) != p.N {
		return nil, fmt.Errorf("%s has %d labels; want %d", name, len(list.Labels), p.N)
	}
	out := make([]int, p.N)
	for i, pair := range list.Labels {
		var file string
		if json.Unmarshal(pair[0], &file) != nil || file != fileName(i, p.N, ending) || json.Unmarshal(pair[1], &out[i]) != nil {
			return nil, fmt.Errorf("%s: label %d is not that of sample %d", name, i, i)
		}
	}
	return out, nil
}
