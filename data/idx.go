package data

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds on gzip: image files compress about five times, a file made to exhaust memory a thousand times.
const (
	gzipMaxBytes = 256 << 20
	gzipMaxRatio = 200
)

// readIDX reads the format of yann.lecun.com/exdb/mnist: two zero bytes, a type byte, the number of dimensions, the
// sizes and the elements, all big-endian. A gzip file is recognised by its magic, whatever its name.
func readIDX(r io.Reader, size int64) (*Dataset, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	if magic, err := br.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		limit := int64(gzipMaxBytes)
		if size < limit/gzipMaxRatio {
			limit = max(size, 0) * gzipMaxRatio
		}
		s, err := readPlainIDX(z, nil, limit, 8*max(size, 0))
		if errors.Is(err, errShape) {
			err = fmt.Errorf("%w (after gunzip, limited to %d times the compressed size and to %d MiB; a larger set must come as a plain .idx)", err, gzipMaxRatio, gzipMaxBytes>>20)
		}
		return s, err
	}
	return readPlainIDX(br, r, size, size)
}

var errShape = errors.New("the array does not fit")

// readPlainIDX reads at most size bytes and makes room for at most room elements before they arrive. A file whose bytes these
// are may be given too, to be mapped.
func readPlainIDX(r, file io.Reader, size, room int64) (*Dataset, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, headerError(err)
	}
	if head[0] != 0 || head[1] != 0 {
		return nil, fmt.Errorf("not an .idx file: it starts with % x, want 00 00", head[:2])
	}
	e, err := idxElement(head[2])
	if err != nil {
		return nil, err
	}
	nd := int(head[3])
	if nd == 0 || nd > 8 {
		return nil, fmt.Errorf(".idx file of %d dimensions; want 1 to 8", nd)
	}
	raw := make([]byte, 4*nd)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, headerError(err)
	}
	shape := make([]int64, nd)
	for i := range shape {
		shape[i] = int64(binary.BigEndian.Uint32(raw[4*i:]))
	}
	n, err := elements(shape, (size-4-int64(len(raw)))/int64(e.size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errShape, err)
	}
	if isImages(shape) && head[2] == idxUint8 {
		if b := mapBytes(file, 4+int64(len(raw)), n, size); b != nil {
			return mappedImages(b, shape)
		}
		b, err := readBytes(r, n, room)
		if err != nil {
			return nil, err
		}
		return newImages(b, shape)
	}
	x, err := readElements(r, n, room, e)
	if err != nil {
		return nil, err
	}
	if err := atEnd(r); err != nil {
		return nil, err
	}
	return newDataset(x, sampleShape(shape))
}

func headerError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("truncated: the file ends within its header")
	}
	return err
}

const idxUint8 = 0x08

func idxElement(code byte) (element, error) {
	o := binary.BigEndian
	switch code {
	case idxUint8:
		return uint8Element(), nil
	case 0x09:
		return int8Element(), nil
	case 0x0B:
		return int16Element(o), nil
	case 0x0C:
		return int32Element(o), nil
	case 0x0D:
		return float32Element(o), nil
	case 0x0E:
		return float64Element(o), nil
	}
	return element{}, fmt.Errorf(".idx element type 0x%02x unknown; have 08 (uint8), 09, 0b, 0c (integers), 0d, 0e (floats)", code)
}
