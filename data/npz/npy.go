package npz

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"

	"hbar/internal/float16"
)

// Array is an array of any shape, row-major. A scalar has an empty shape and one element.
type Array struct {
	Shape []int
	X     []float64
	// Single says that the array is written as float32. Read does not set it.
	Single bool
}

// maxElements bounds an array: 8 GiB of float64.
const maxElements = 1 << 30

// ReadNpy reads a .npy file.
func ReadNpy(path string) (*Array, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := read(bufio.NewReaderSize(f, 1<<16), size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// open opens a regular file. A pipe is refused before it is opened, because opening it waits for whoever writes to it.
func open(path string) (*os.File, int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return f, st.Size(), nil
}

var (
	descrField   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([<>|=]?)([a-zA-Z?])(\d*)['"]`)
	orderField   = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeField   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9L,\s]*)\)`)
	wrongElement = "elements of type %q are not numbers that are read; have float16, float32, float64, bool and integers of 1 to 8 bytes"
)

// read reads numpy's format (NEP 1), versions 1 to 3, from a stream of the given size.
func read(r io.Reader, size int64) (*Array, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:10]); err != nil || string(head[:6]) != "\x93NUMPY" {
		return nil, errors.New("not an .npy array: it does not begin with numpy's mark")
	}
	length, start := int64(binary.LittleEndian.Uint16(head[8:])), int64(10)
	if head[6] >= 2 {
		if _, err := io.ReadFull(r, head[10:]); err != nil {
			return nil, errors.New("the .npy header is cut off")
		}
		length, start = int64(binary.LittleEndian.Uint32(head[8:])), 12
	}
	if head[6] < 1 || head[6] > 3 || length > 1<<16 || start+length > size {
		return nil, fmt.Errorf(".npy header of version %d with %d bytes is not one that is read", head[6], length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, errors.New("the .npy header is cut off")
	}
	descr, order, shape := descrField.FindSubmatch(text), orderField.FindSubmatch(text), shapeField.FindSubmatch(text)
	if descr == nil || order == nil || shape == nil {
		return nil, errors.New(".npy header without a plain descr, fortran_order and shape; structured types are not read")
	}
	get, width := element(string(descr[1]), string(descr[2]), string(descr[3]))
	if get == nil {
		return nil, fmt.Errorf(wrongElement, string(descr[1])+string(descr[2])+string(descr[3]))
	}
	a := &Array{}
	n := int64(1)
	for _, field := range strings.Split(string(shape[1]), ",") {
		if field = strings.TrimSuffix(strings.TrimSpace(field), "L"); field == "" {
			continue
		}
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil || v > maxElements || v > 0 && n > maxElements/v {
			return nil, fmt.Errorf("an array of shape (%s) has more than 2³⁰ elements", shape[1])
		}
		n *= v
		a.Shape = append(a.Shape, int(v))
	}
	if have := size - start - length; n*int64(width) != have {
		return nil, fmt.Errorf("an array of shape %v needs %d bytes and %d follow the header", a.Shape, n*int64(width), have)
	}
	a.X = make([]float64, n)
	buf := make([]byte, (1<<12)*width)
	for i := 0; i < len(a.X); {
		k := min(1<<12, len(a.X)-i)
		if _, err := io.ReadFull(r, buf[:k*width]); err != nil {
			return nil, fmt.Errorf("the array ends early: %w", err)
		}
		for j := range k {
			a.X[i+j] = get(buf[j*width:])
		}
		i += k
	}
	if string(order[1]) == "True" && len(a.Shape) > 1 {
		a.X = rowMajor(a.X, a.Shape)
	}
	return a, nil
}

// element is the reader of one number and its bytes, or nil.
func element(order, kind, bytes string) (func([]byte) float64, int) {
	var o binary.ByteOrder = binary.LittleEndian
	if order == ">" {
		o = binary.BigEndian
	}
	switch kind + bytes {
	case "f2":
		return func(b []byte) float64 { return float64(float16.Float32(o.Uint16(b))) }, 2
	case "f4":
		return func(b []byte) float64 { return float64(math.Float32frombits(o.Uint32(b))) }, 4
	case "f8":
		return func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) }, 8
	case "i1":
		return func(b []byte) float64 { return float64(int8(b[0])) }, 1
	case "u1", "?", "b1":
		return func(b []byte) float64 { return float64(b[0]) }, 1
	case "i2":
		return func(b []byte) float64 { return float64(int16(o.Uint16(b))) }, 2
	case "u2":
		return func(b []byte) float64 { return float64(o.Uint16(b)) }, 2
	case "i4":
		return func(b []byte) float64 { return float64(int32(o.Uint32(b))) }, 4
	case "u4":
		return func(b []byte) float64 { return float64(o.Uint32(b)) }, 4
	case "i8":
		return func(b []byte) float64 { return float64(int64(o.Uint64(b))) }, 8
	case "u8":
		return func(b []byte) float64 { return float64(o.Uint64(b)) }, 8
	}
	return nil, 0
}

// rowMajor turns first-index-fastest into row-major order.
func rowMajor(x []float64, shape []int) []float64 {
	out := make([]float64, len(x))
	stride := make([]int, len(shape)) // of the row-major result
	stride[len(shape)-1] = 1
	for k := len(shape) - 2; k >= 0; k-- {
		stride[k] = stride[k+1] * shape[k+1]
	}
	index := make([]int, len(shape))
	to := 0
	for _, v := range x {
		out[to] = v
		for k := range index {
			index[k]++
			to += stride[k]
			if index[k] < shape[k] {
				break
			}
			to -= stride[k] * shape[k]
			index[k] = 0
		}
	}
	return out
}
