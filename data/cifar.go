package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// The binary version of CIFAR (Krizhevsky 2009, "Learning multiple layers of features from tiny images"): records of a label (two in
// CIFAR-100, the second being the finer) and 32×32 pixels, all red ones, then green, then blue.
const (
	cifarSide  = 32
	cifarPlane = cifarSide * cifarSide
	cifarD     = 3 * cifarPlane
)

// isBatch reports whether a file of a folder belongs to the training set of CIFAR: data_batch_*.bin, or train.bin of CIFAR-100.
func isBatch(base string) bool {
	return strings.HasPrefix(base, "data_batch") && strings.HasSuffix(base, ".bin") || base == "train.bin"
}

// readCIFAR reads one binary batch, without its labels if others are given or none are wanted.
func readCIFAR(r io.Reader, size int64, labelled bool) (*Dataset, error) {
	for _, labels := range []int64{1, 2} {
		record := labels + cifarD
		if size > 0 && size%record == 0 {
			if size/record > maxImageBytes/cifarD {
				return nil, fmt.Errorf("%d records; at most 2³³ bytes of pixels are read", size/record)
			}
			b := make([]byte, size)
			if _, err := io.ReadFull(r, b); err != nil {
				return nil, truncated(err, 0, size)
			}
			if err := atEnd(r); err != nil {
				return nil, err
			}
			return cifarRecords(b, int(labels), labelled)
		}
	}
	return nil, fmt.Errorf("%d bytes; a binary batch of CIFAR has records of 3073 bytes (CIFAR-10) or 3074 (CIFAR-100)", size)
}

func cifarRecords(b []byte, labels int, labelled bool) (*Dataset, error) {
	record := labels + cifarD
	n := len(b) / record
	s := &Dataset{D: cifarD, Shape: []int{cifarSide, cifarSide, 3}, Bytes: make([]byte, n*cifarD)}
	classes := make([]float64, n)
	parallel(n, func(i int) {
		r := b[i*record : (i+1)*record]
		classes[i] = float64(r[labels-1])
		to := s.Bytes[i*cifarD : (i+1)*cifarD]
		for k, v := range r[labels:] {
			to[3*(k%cifarPlane)+k/cifarPlane] = v
		}
	})
	limit := 10
	if labels == 2 {
		limit = 100
	}
	s.Classes = limit
	if !labelled {
		return s, nil
	}
	for i, v := range classes {
		if int(v) >= limit {
			return nil, fmt.Errorf("record %d has label %g; CIFAR-%d has 0 to %d (--labels none leaves them away)", i, v, limit, limit-1)
		}
	}
	if err := s.setLabels(classes, nil); err != nil {
		return nil, err
	}
	s.Classes = limit
	return s, nil
}

// readBatches joins the training batches of a folder or an archive, and brings their images to the size that is asked for.
func readBatches(l *listing, o Options) (*Dataset, error) {
	all := &Dataset{}
	for _, i := range l.batches {
		b, err := l.Read(i)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		s, err := readCIFAR(bytes.NewReader(b), int64(len(b)), o.Labels == "")
		if err == nil && all.D > 0 && s.Classes != all.Classes {
			err = fmt.Errorf("a batch of CIFAR-%d among those of CIFAR-%d", s.Classes, all.Classes)
		}
		if err == nil {
			err = s.resize(o.fit())
		}
		if err == nil && len(all.Bytes)+len(s.Bytes) > maxImageBytes {
			err = errors.New("more than 2³³ bytes of pixels with those before it")
		}
		if err != nil {
			return nil, fmt.Errorf("data: %s: %s: %w", l.Name, l.Files[i].Path, err)
		}
		all.D, all.Shape, all.Classes = s.D, s.Shape, s.Classes
		all.Bytes, all.Labels = append(all.Bytes, s.Bytes...), append(all.Labels, s.Labels...)
	}
	for i, f := range l.Files {
		base := path.Base(f.Path)
		if base != "batches.meta.txt" && base != "fine_label_names.txt" {
			continue
		}
		b, err := l.Read(i)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		var names []string
		for line := range strings.Lines(string(b)) {
			if name := strings.TrimSpace(line); name != "" {
				names = append(names, name)
			}
		}
		if len(names) == all.Classes {
			all.ClassNames = names
		}
	}
	return all, nil
}
