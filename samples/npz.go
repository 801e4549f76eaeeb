package samples

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"hbar/data"
	"hbar/internal/atomicfile"
)

// npz writes an .npz file in numpy's own way: arr_0.npy and arr_1.npy, stored without compression. The same samples give the same
// bytes: the archive has no times.
type npz struct {
	rows
	f    *atomicfile.File
	buf  *bufio.Writer
	z    *zip.Writer
	now  io.Writer // the array that is being written
	line []byte
}

func createNpz(path string, o Options) (*npz, error) {
	w := &npz{}
	w.rows = rows{o: o, take: w.sample}
	f, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	w.f, w.buf = f, bufio.NewWriterSize(f, 1<<18)
	w.z = zip.NewWriter(w.buf)
	dtype := "|u1"
	if !o.IsImage() {
		dtype = string(o.DType)
	}
	if err := w.array("arr_0", dtype, append([]int{o.N}, o.Shape...)); err != nil {
		f.Abort()
		return nil, err
	}
	return w, nil
}

// array begins an array.
func (w *npz) array(name, dtype string, shape []int) (err error) {
	if w.now, err = w.z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store}); err != nil {
		return err
	}
	_, err = w.now.Write(npyHeader(dtype, shape))
	return err
}

// npyHeader is the header of an .npy file of version 1, of a multiple of 64 bytes.
func npyHeader(dtype string, shape []int) []byte {
	dims := ""
	for _, v := range shape {
		dims += fmt.Sprintf("%d, ", v)
	}
	if len(shape) > 1 {
		dims = dims[:len(dims)-2]
	} else {
		dims = dims[:len(dims)-1]
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, dims)
	size := (10 + len(dict) + 1 + 63) / 64 * 64
	b := append([]byte("\x93NUMPY"), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(size-10))
	b = append(b, dict...)
	for len(b) < size-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

func (w *npz) sample(_ int, x []float64) error {
	w.line = w.line[:0]
	for _, v := range x {
		switch {
		case w.o.IsImage():
			w.line = append(w.line, w.o.toByte(v))
		case w.o.DType == data.Float64:
			w.line = binary.LittleEndian.AppendUint64(w.line, math.Float64bits(v))
		default:
			w.line = binary.LittleEndian.AppendUint32(w.line, math.Float32bits(float32(v)))
		}
	}
	_, err := w.now.Write(w.line)
	return err
}

// Commit writes the labels and gives the file its name.
func (w *npz) Commit() error {
	err := w.complete()
	if err == nil && w.o.Label != nil {
		err = w.labels()
	}
	if err == nil {
		err = w.z.Close()
	}
	return commit(w.f, w.buf, err)
}

func (w *npz) labels() error {
	if err := w.array("arr_1", "<i8", []int{w.o.N}); err != nil {
		return err
	}
	for i := range w.o.N {
		if _, err := w.now.Write(binary.LittleEndian.AppendUint64(nil, uint64(w.o.Label(i)))); err != nil {
			return err
		}
	}
	return nil
}

// Abort discards the file.
func (w *npz) Abort() { w.f.Abort() }
