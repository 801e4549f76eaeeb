package safetensors

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"hbar/internal/memory"
)

// ReadFile reads the file at path.
func ReadFile(path string) (*File, error) {
	// Before it is opened: opening a pipe waits for whoever writes to it.
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the path
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out, err := Read(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// Read reads a file of size bytes.
func Read(r io.Reader, size int64) (*File, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	var head [8]byte
	if err := readFull(br, head[:]); err != nil {
		return nil, fmt.Errorf("not a safetensors file: %w", err)
	}
	n := le.Uint64(head[:])
	if n > maxHeader || int64(n) > size-8 {
		return nil, fmt.Errorf("not a safetensors file, or truncated: it claims a header of %d bytes; the file has %d, the limit is %d", n, size, maxHeader)
	}
	text := make([]byte, n)
	if err := readFull(br, text); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	entries, metadata, err := parseHeader(text, size-8-int64(n))
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := fits(entries, memory.Available()); err != nil {
		return nil, err
	}
	f := &File{Metadata: metadata}
	buf := make([]byte, 1<<16)
	for i := range entries {
		e := &entries[i]
		t, c := e.empty(), codecs[e.dtype]
		for left := e.end - e.begin; left > 0; {
			b := buf[:min(left, int64(len(buf)))]
			if err := readFull(br, b); err != nil {
				return nil, fmt.Errorf("tensor %s: %w", quote(e.name), err)
			}
			c.get(&t, b)
			left -= int64(len(b))
		}
		f.Tensors = append(f.Tensors, t)
	}
	return f, nil
}

// growth is the memory that reading takes for each byte of the tensors: they grow while they are read, and what they grew out of is
// not collected at once.
const growth = 2.5

// fits refuses tensors that do not fit in memory, before any is read. Half precision is widened to float32.
func fits(entries []entry, l memory.Limit) error {
	bytes := 0.0
	for i := range entries {
		e := &entries[i]
		n := float64(e.end-e.begin) / float64(codecs[e.dtype].size)
		bytes += n * float64(max(4, codecs[e.dtype].size))
	}
	return memory.Check(memory.Need{{What: "the weights", Bytes: growth * bytes}}, l, func(usable float64) string {
		return fmt.Sprintf("weights of %s in float32 would fit", memory.Bytes(usable/growth))
	})
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends early")
	}
	return err
}
