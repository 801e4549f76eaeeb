package data

import (
	"fmt"
	"io"
	"slices"
)

// isImages reports whether an array of this shape, N×H×W or N×H×W×C, holds images.
func isImages(shape []int64) bool { return len(shape) == 3 || len(shape) == 4 }

// channelsLast refuses N×C×H×W, the order of PyTorch: read as N×H×W×C it would be learnt without a complaint, and wrongly.
func channelsLast(shape []int64) error {
	if len(shape) == 4 && (shape[1] == 1 || shape[1] == 3) && shape[2] > 4 && shape[3] > 4 {
		return fmt.Errorf("shape %v looks like N×C×H×W; images are N×H×W×C, channels last (x.transpose(0, 2, 3, 1) in numpy)", shape)
	}
	return nil
}

// newImages describes the bytes of an array of images.
func newImages(b []byte, shape []int64) (*Dataset, error) {
	if err := channelsLast(shape); err != nil {
		return nil, err
	}
	s := sampleShape(shape)
	return &Dataset{D: product(s), Shape: s, Bytes: b}, nil
}

// readBytes reads exactly n bytes, and fails if r has more to give. It makes room for the first room of them at once, for the
// others as they arrive.
func readBytes(r io.Reader, n, room int64) ([]byte, error) {
	const chunk = 1 << 20
	b := make([]byte, 0, min(n, room))
	for int64(len(b)) < n {
		have := len(b)
		k := int(min(n-int64(have), max(chunk, int64(cap(b)-have))))
		b = slices.Grow(b, k)[:have+k]
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			return nil, truncated(err, int64(have), n)
		}
	}
	return b, atEnd(r)
}
