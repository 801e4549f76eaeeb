package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	metadataKey = "__metadata__"
	// maxHeader is the limit of the reference implementation.
	maxHeader = 100_000_000
	maxDims   = 16
	// maxData bounds the tensors together, for sparse files: as large as they say, with nothing in them.
	maxData = 16 << 30
)

// entry is a tensor's description.
type entry struct {
	name       string
	dtype      string
	shape      []int64
	begin, end int64
}

// count is the number of elements of a shape.
func count(shape []int64) (int64, error) {
	n := int64(1)
	for _, v := range shape {
		if v < 0 {
			return 0, errors.New("has a negative size")
		}
		if v != 0 && n > (1<<48)/v {
			return 0, errors.New("has more than 2⁴⁸ elements")
		}
		n *= v
	}
	return n, nil
}

// parseHeader reads the JSON and checks that the tensors tile dataSize bytes. Entries come back in data order.
func parseHeader(text []byte, dataSize int64) ([]entry, map[string]string, error) {
	if dataSize > maxData {
		return nil, nil, fmt.Errorf("%d bytes of data; at most %d are read", dataSize, int64(maxData))
	}
	if !utf8.Valid(text) {
		return nil, nil, errors.New("not UTF-8")
	}
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, errors.New("does not begin with {")
	}
	p := headerParser{json.NewDecoder(bytes.NewReader(text))}
	p.UseNumber()
	var entries []entry
	metadata := map[string]string{}
	err := p.object(func(key string) error {
		if key == metadataKey {
			return p.objectOrNull(func(k string) (err error) {
				metadata[k], err = p.str()
				return err
			})
		}
		e, err := p.entry()
		e.name = key
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := strings.TrimRight(string(text[p.InputOffset():]), " \t\r\n\x00"); rest != "" {
		return nil, nil, errors.New("text after the JSON object")
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if a.begin != b.begin {
			return int(min(max(a.begin-b.begin, -1), 1))
		}
		return int(min(max(a.end-b.end, -1), 1))
	})
	var at int64
	for _, e := range entries {
		if err := e.check(dataSize); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", quote(e.name), err)
		}
		if e.begin < at {
			return nil, nil, fmt.Errorf("tensor %s: offsets [%d, %d) overlap the tensor before, which ends at %d", quote(e.name), e.begin, e.end, at)
		}
		if e.begin > at {
			return nil, nil, fmt.Errorf("tensor %s: offsets [%d, %d) leave a gap after byte %d", quote(e.name), e.begin, e.end, at)
		}
		at = e.end
	}
	if at != dataSize {
		return nil, nil, fmt.Errorf("the tensors end at byte %d of %d bytes of data", at, dataSize)
	}
	return entries, metadata, nil
}

// check tests one entry against the data's size.
func (e *entry) check(dataSize int64) error {
	c, ok := codecs[e.dtype]
	if !ok {
		return fmt.Errorf("dtype %s not supported; have F32, F64, F16, BF16, I64", quote(e.dtype))
	}
	n, err := count(e.shape)
	if err != nil {
		return fmt.Errorf("shape %v %w", e.shape, err)
	}
	if e.begin > e.end || e.end > dataSize {
		return fmt.Errorf("offsets [%d, %d) lie outside the %d bytes of data", e.begin, e.end, dataSize)
	}
	if want := n * int64(c.size); e.end-e.begin != want {
		return fmt.Errorf("offsets [%d, %d) hold %d bytes; %s of shape %v needs %d", e.begin, e.end, e.end-e.begin, e.dtype, e.shape, want)
	}
	return nil
}

func quote(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:80]) + "…"
	}
	return strconv.Quote(s)
}

// headerParser reads JSON token by token, because json.Unmarshal silently keeps the last of two equal keys.
type headerParser struct{ *json.Decoder }

func (p headerParser) next() (json.Token, error) {
	t, err := p.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("the JSON ends early")
	}
	return t, err
}

func (p headerParser) delim(want json.Delim) error {
	t, err := p.next()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%s expected before byte %d", want, p.InputOffset())
	}
	return nil
}

func (p headerParser) str() (string, error) {
	t, err := p.next()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("a string expected before byte %d", p.InputOffset())
	}
	return s, nil
}

// object calls field for each key, which must read the value.
func (p headerParser) object(field func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	return p.fields(field)
}

// objectOrNull is object, or nothing where there is a null: how the reference implementation reads absent metadata.
func (p headerParser) objectOrNull(field func(key string) error) error {
	t, err := p.next()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("{ or null expected before byte %d", p.InputOffset())
	}
	return p.fields(field)
}

// fields reads the fields of an object that is open, to its end.
func (p headerParser) fields(field func(key string) error) error {
	seen := map[string]bool{}
	for p.More() {
		key, err := p.str()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("key %s occurs twice", quote(key))
		}
		seen[key] = true
		if err := field(key); err != nil {
			return fmt.Errorf("%s: %w", quote(key), err)
		}
	}
	return p.delim('}')
}

// integers reads an array of at most limit integers ≥ 0.
func (p headerParser) integers(limit int) ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	v := []int64{}
	for p.More() {
		t, err := p.next()
		if err != nil {
			return nil, err
		}
		num, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("an integer expected before byte %d", p.InputOffset())
		}
		n, err := strconv.ParseUint(num.String(), 10, 62)
		if err != nil {
			return nil, fmt.Errorf("%s is not an integer from 0 to 2⁶² − 1", quote(num.String()))
		}
		if len(v) == limit {
			return nil, fmt.Errorf("more than %d integers", limit)
		}
		v = append(v, int64(n))
	}
	return v, p.delim(']')
}

func (p headerParser) entry() (entry, error) {
	var e entry
	var offsets []int64
	fields := 0
	err := p.object(func(key string) (err error) {
		fields++
		switch key {
		case "dtype":
			e.dtype, err = p.str()
		case "shape":
			e.shape, err = p.integers(maxDims)
		case "data_offsets":
			offsets, err = p.integers(2)
		default:
			err = errors.New("unknown field; have dtype, shape, data_offsets")
		}
		return err
	})
	if err != nil {
		return e, err
	}
	if fields != 3 || len(offsets) != 2 {
		return e, errors.New("dtype, shape and two data_offsets are needed")
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, nil
}
