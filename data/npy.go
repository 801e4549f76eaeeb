package data

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const npyMagic = "\x93NUMPY"

// npyMaxHeader bounds the header; numpy's own limit for untrusted files is 10 000 bytes.
const npyMaxHeader = 1 << 16

// readNpy reads numpy's format (NEP 1), versions 1 to 3: magic, version, header length, a Python dict literal with keys
// descr, fortran_order and shape, then the elements.
func readNpy(r io.Reader, size int64) (*Dataset, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	h, headerSize, err := readNpyHeader(br, size)
	if err != nil {
		return nil, err
	}
	e, err := npyElement(h.descr)
	if err != nil {
		return nil, err
	}
	if len(h.shape) == 0 {
		return nil, errors.New("a .npy scalar; want an array of N samples")
	}
	most := int64(maxSamples)
	if isImages(h.shape) && h.descr[1:] == "u1" {
		most = maxImageBytes
	}
	n, err := elementsUpTo(most, h.shape, (size-headerSize)/int64(e.size))
	if err != nil {
		return nil, err
	}
	if isImages(h.shape) && h.descr[1:] == "u1" {
		if b := mapBytes(r, headerSize, n, size); b != nil && !h.fortran {
			return mappedImages(b, h.shape)
		}
		b, err := readBytes(br, n, n)
		if err != nil {
			return nil, err
		}
		if h.fortran {
			b = fromFortran(b, h.shape)
		}
		return newImages(b, h.shape)
	}
	x, err := readElements(br, n, n, e)
	if err != nil {
		return nil, locate(err, h)
	}
	if err := atEnd(br); err != nil {
		return nil, err
	}
	if h.fortran && len(h.shape) > 1 {
		x = fromFortran(x, h.shape)
	}
	if err := channelsLast(h.shape); err != nil {
		return nil, err
	}
	return newDataset(x, sampleShape(h.shape))
}

type npyHeader struct {
	descr   string
	fortran bool
	shape   []int64
}

func readNpyHeader(r io.Reader, size int64) (npyHeader, int64, error) {
	var h npyHeader
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return h, 0, headerError(err)
	}
	if string(head[:6]) != npyMagic {
		return h, 0, fmt.Errorf("not an .npy file: it starts with %q", head[:6])
	}
	var lenSize int64
	switch head[6] {
	case 1:
		lenSize = 2
	case 2, 3:
		lenSize = 4
	default:
		return h, 0, fmt.Errorf(".npy version %d.%d unknown; have 1, 2, 3", head[6], head[7])
	}
	var lenBytes [4]byte
	if _, err := io.ReadFull(r, lenBytes[:lenSize]); err != nil {
		return h, 0, headerError(err)
	}
	n := int64(binary.LittleEndian.Uint32(lenBytes[:]))
	start := 8 + lenSize
	if n > size-start {
		return h, 0, fmt.Errorf(".npy header of %d bytes claimed in a file of %d", n, size)
	}
	if n > npyMaxHeader {
		return h, 0, fmt.Errorf(".npy header of %d bytes; at most %d are read", n, npyMaxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, 0, headerError(err)
	}
	h, err := parseNpyHeader(string(text))
	if err != nil {
		return h, 0, fmt.Errorf(".npy header: %w", err)
	}
	return h, start + n, nil
}

// npyTypes are the dtypes that are read, for messages.
const npyTypes = "bool, int8 … int64, uint8 … uint64, float16, float32, float64"

// npyElement maps a dtype to its reader. '|u1' and '<u1' name the same type; '=' does not occur in files.
func npyElement(descr string) (element, error) {
	if len(descr) < 2 {
		return element{}, fmt.Errorf("dtype %s unknown; have %s", quoteText([]byte(descr)), npyTypes)
	}
	var o binary.ByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		o = binary.BigEndian
	}
	switch descr[1:] {
	case "b1":
		return boolElement(), nil
	case "i1":
		return int8Element(), nil
	case "i2":
		return int16Element(o), nil
	case "i4":
		return int32Element(o), nil
	case "i8":
		return int64Element(o), nil
	case "u1":
		return uint8Element(), nil
	case "u2":
		return uint16Element(o), nil
	case "u4":
		return uint32Element(o), nil
	case "u8":
		return uint64Element(o), nil
	case "f2":
		return float16Element(o), nil
	case "f4":
		return float32Element(o), nil
	case "f8":
		return float64Element(o), nil
	}
	kinds := map[byte]string{'O': "Python objects", 'S': "text", 'U': "text", 'a': "text", 'c': "complex numbers", 'M': "dates", 'm': "spans of time", 'V': "records",
		'f': "floats wider than 64 bits"}
	if kind := kinds[descr[1]]; kind != "" {
		return element{}, fmt.Errorf("dtype %s holds %s; save an array of %s instead (for instance by x.astype('float64'))", quoteText([]byte(descr)), kind, npyTypes)
	}
	return element{}, fmt.Errorf("dtype %s unknown; have %s", quoteText([]byte(descr)), npyTypes)
}

// locate turns the index of an element in the file into a row and a coordinate.
func locate(err error, h npyHeader) error {
	var inexact *inexactError
	if !errors.As(err, &inexact) {
		return err
	}
	row, coordinate, rest := int64(0), int64(0), inexact.at
	if h.fortran {
		row, rest = rest%h.shape[0], rest/h.shape[0]
		stride := int64(1)
		for k := len(h.shape) - 1; k > 0; k-- {
			stride *= h.shape[k]
		}
		for k := 1; k < len(h.shape); k++ {
			stride /= h.shape[k]
			coordinate += rest % h.shape[k] * stride
			rest /= h.shape[k]
		}
	} else {
		d := int64(product(sampleShape(h.shape)))
		row, coordinate = rest/d, rest%d
	}
	return fmt.Errorf("row %d, coordinate %d is %s: values must be exact in float64 (integers up to 2⁵³)", row, coordinate, inexact.text)
}

// fromFortran turns first-index-fastest into row-major order.
func fromFortran[T any](x []T, shape []int64) []T {
	out := make([]T, len(x))
	n := len(shape)
	stride := make([]int64, n) // of the row-major result
	stride[n-1] = 1
	for k := n - 2; k >= 0; k-- {
		stride[k] = stride[k+1] * shape[k+1]
	}
	index := make([]int64, n)
	var to int64
	for _, v := range x {
		out[to] = v
		for k := range n {
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

// parseNpyHeader reads the dict literal. Only what numpy writes is accepted: string keys, a string or list descr, True or
// False, a tuple of integers.
func parseNpyHeader(s string) (npyHeader, error) {
	var h npyHeader
	p := pyParser{s: strings.TrimRight(s, " \n\x00")}
	seen := map[string]bool{}
	if err := p.expect('{'); err != nil {
		return h, err
	}
	for !p.accept('}') {
		key, err := p.str()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("key %s twice", quoteText([]byte(key)))
		}
		seen[key] = true
		if err := p.expect(':'); err != nil {
			return h, err
		}
		switch key {
		case "descr":
			if p.peek() == '[' {
				return h, errors.New("a structured dtype (records); save one plain array, for instance by np.stack([x[f] for f in x.dtype.names], axis=1)")
			}
			h.descr, err = p.str()
		case "fortran_order":
			h.fortran, err = p.boolean()
		case "shape":
			h.shape, err = p.tuple()
		default:
			err = fmt.Errorf("unknown key %s", quoteText([]byte(key)))
		}
		if err != nil {
			return h, err
		}
		if !p.accept(',') {
			if err := p.expect('}'); err != nil {
				return h, err
			}
			break
		}
	}
	if p.space(); p.i != len(p.s) {
		return h, errors.New("text after the dict")
	}
	for _, k := range []string{"descr", "fortran_order", "shape"} {
		if !seen[k] {
			return h, fmt.Errorf("key %q missing", k)
		}
	}
	return h, nil
}

// pyParser is a cursor over a Python literal.
type pyParser struct {
	s string
	i int
}

func (p *pyParser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n' || p.s[p.i] == '\t') {
		p.i++
	}
}

// peek is the next byte that is not space, or 0.
func (p *pyParser) peek() byte {
	p.space()
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *pyParser) accept(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

func (p *pyParser) expect(c byte) error {
	if !p.accept(c) {
		return fmt.Errorf("%q expected at byte %d", c, p.i)
	}
	return nil
}

func (p *pyParser) str() (string, error) {
	q := p.peek()
	if q != '\'' && q != '"' {
		return "", fmt.Errorf("a string expected at byte %d", p.i)
	}
	p.i++
	n := strings.IndexByte(p.s[p.i:], q)
	if n < 0 || strings.IndexByte(p.s[p.i:p.i+n], '\\') >= 0 {
		return "", fmt.Errorf("a plain string expected at byte %d", p.i)
	}
	v := p.s[p.i : p.i+n]
	p.i += n + 1
	return v, nil
}

func (p *pyParser) boolean() (bool, error) {
	p.space()
	for _, v := range []struct {
		word string
		is   bool
	}{{"True", true}, {"False", false}} {
		if strings.HasPrefix(p.s[p.i:], v.word) {
			p.i += len(v.word)
			return v.is, nil
		}
	}
	return false, fmt.Errorf("a truth value (True or False) expected at byte %d", p.i)
}

// npyMaxDims is numpy's own limit.
const npyMaxDims = 64

func (p *pyParser) tuple() ([]int64, error) {
	if err := p.expect('('); err != nil {
		return nil, err
	}
	var v []int64
	for !p.accept(')') {
		n, err := p.integer()
		if err != nil {
			return nil, err
		}
		if len(v) == npyMaxDims {
			return nil, fmt.Errorf("more than %d dimensions", npyMaxDims)
		}
		v = append(v, n)
		if !p.accept(',') {
			if err := p.expect(')'); err != nil {
				return nil, err
			}
			break
		}
	}
	return v, nil
}

// integer reads digits, with the L that Python 2 wrote.
func (p *pyParser) integer() (int64, error) {
	p.space()
	start := p.i
	var n int64
	for ; p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9'; p.i++ {
		c := int64(p.s[p.i] - '0')
		if n > (1<<62-c)/10 {
			return 0, fmt.Errorf("a size beyond 2⁶² at byte %d", start)
		}
		n = 10*n + c
	}
	if p.i == start {
		return 0, fmt.Errorf("a size (integer ≥ 0) expected at byte %d", start)
	}
	if p.i < len(p.s) && p.s[p.i] == 'L' {
		p.i++
	}
	return n, nil
}
