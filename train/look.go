package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"hbar/data"
)

// statistics of the data in network units.
type statistics struct {
	deviation float64 // of all coordinates about their common mean
	square    float64 // mean square
}

var errEqual = errors.New("train: all numbers of the data are equal; there is nothing to learn")

// look passes over the data once: large sets are mapped from files, and reading them takes its time.
//
// print identifies all that decides the result of a run: the options, without those that may change on resume, and the data as the
// network sees them. Steps decide only with a decay that ends there. Data that are not finite, or all equal, are an error.
func (o Options) look(set *data.Dataset) (print string, s statistics, err error) {
	text, err := json.Marshal(o.decisive())
	if err != nil {
		return "", s, err
	}
	h := sha256.New()
	h.Write(text)
	b := make([]byte, 4*set.D)
	if value, ok := set.Levels(); ok {
		var count [256]int
		for i := range set.N() {
			for j, v := range set.Bytes[i*set.D : (i+1)*set.D] {
				count[v]++
				binary.LittleEndian.PutUint32(b[4*j:], math.Float32bits(value[v]))
			}
			h.Write(b)
		}
		s, err = momentsOf(value, count)
	} else {
		var m moments
		row := make([]float32, set.D)
		for i := range set.N() {
			set.NormalisedRow(row, i)
			for j, v := range row {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					return "", s, fmt.Errorf("train: coordinate %d of sample %d of the data is %v in the network's units; all must be finite", j, i, v)
				}
				m.add(float64(v))
				binary.LittleEndian.PutUint32(b[4*j:], math.Float32bits(v))
			}
			h.Write(b)
		}
		s, err = m.statistics()
	}
	for _, l := range set.Labels {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(l)))
	}
	return hex.EncodeToString(h.Sum(nil)), s, err
}

// moments sums numbers and their squares. The sums for the deviation are of differences from the first number, so that little cancels
// where the mean is large.
type moments struct {
	n, first        float64
	sum, difference float64 // of squares of differences, and of differences
	square          float64 // of squares
}

func (m *moments) add(v float64) {
	if m.n == 0 {
		m.first = v
	}
	m.n++
	d := v - m.first
	m.difference += d
	m.sum += d * d
	m.square += v * v
}

func (m *moments) statistics() (s statistics, err error) {
	if m.sum == 0 {
		return s, errEqual
	}
	mean := m.difference / m.n
	return statistics{deviation: math.Sqrt(max(m.sum/m.n-mean*mean, 0)), square: m.square / m.n}, nil
}

// momentsOf are the statistics of a set of bytes, which are counted.
func momentsOf(value [256]float32, count [256]int) (s statistics, err error) {
	n := 0
	for _, k := range count {
		n += k
	}
	if slices.Contains(count[:], n) {
		return s, errEqual
	}
	mean, square := 0.0, 0.0
	for v, k := range count {
		mean += float64(value[v]) * float64(k) / float64(n)
	}
	for v, k := range count {
		y, share := float64(value[v]), float64(k)/float64(n)
		square += (y - mean) * (y - mean) * share
		s.square += y * y * share
	}
	s.deviation = math.Sqrt(square)
	return s, nil
}
