package data

import (
	"fmt"
	"math"
	"slices"
)

// Normalisation maps data units x to network units y, coordinate by coordinate:
//
//	y = (x − Mean) / Scale
//
// Mean and Scale have one entry for all coordinates, one for each, or none (0 and 1). The zero value is the identity.
type Normalisation struct {
	Mean  []float64 `json:"mean,omitempty"`
	Scale []float64 `json:"scale,omitempty"`
}

// The ways to fit a Normalisation.
const (
	NormNone       = "none"       // the identity
	NormSet        = "set"        // one mean and one scale for all coordinates: shapes and angles stay
	NormCoordinate = "coordinate" // each coordinate to mean 0 and standard deviation 1
)

// NormKinds lists the ways to fit a Normalisation.
func NormKinds() []string { return []string{NormNone, NormSet, NormCoordinate} }

// Fit computes a Normalisation of the kind from n×d samples. A coordinate that does not vary (a border pixel) takes the
// scale of the whole set.
func Fit(kind string, x []float64, d int) (Normalisation, error) {
	switch kind {
	case NormNone:
		return Normalisation{}, nil
	case NormSet, NormCoordinate:
	default:
		return Normalisation{}, fmt.Errorf("data: normalisation %q unknown; have none, set, coordinate", kind)
	}
	if d <= 0 || len(x) == 0 || len(x)%d != 0 {
		return Normalisation{}, fmt.Errorf("data: cannot fit a normalisation to %d values in rows of %d", len(x), d)
	}
	mean, std := moments(x, 0, 1)
	if !(std > 0) || math.IsInf(std, 0) {
		return Normalisation{}, fmt.Errorf("data: cannot normalise: all values are %g, or too large to square", mean)
	}
	if kind == NormSet {
		return Normalisation{Mean: []float64{mean}, Scale: []float64{std}}, nil
	}
	no := Normalisation{Mean: make([]float64, d), Scale: make([]float64, d)}
	for j := range d {
		m, s := moments(x, j, d)
		if !(s > 1e-12*std) {
			s = std
		}
		no.Mean[j], no.Scale[j] = m, s
	}
	return no, nil
}

// moments is the mean and the standard deviation (divisor n) of x[first], x[first+stride], …; two passes.
func moments(x []float64, first, stride int) (mean, std float64) {
	n := 0
	for i := first; i < len(x); i += stride {
		mean += x[i]
		n++
	}
	mean /= float64(n)
	for i := first; i < len(x); i += stride {
		std += (x[i] - mean) * (x[i] - mean)
	}
	return mean, math.Sqrt(std / float64(n))
}

// IsIdentity reports whether the map changes nothing.
func (no Normalisation) IsIdentity() bool {
	return !slices.ContainsFunc(no.Mean, func(m float64) bool { return m != 0 }) &&
		!slices.ContainsFunc(no.Scale, func(s float64) bool { return s != 1 })
}

// Validate checks the map for samples of d coordinates.
func (no Normalisation) Validate(d int) error {
	for _, v := range []struct {
		name string
		x    []float64
	}{{"mean", no.Mean}, {"scale", no.Scale}} {
		if n := len(v.x); n > 1 && n != d {
			return fmt.Errorf("data: normalisation: %s has %d entries; want 0, 1 or %d", v.name, n, d)
		}
		for j, x := range v.x {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return fmt.Errorf("data: normalisation: %s[%d] is %g; want a finite number", v.name, j, x)
			}
		}
	}
	for j, s := range no.Scale {
		if s <= 0 {
			return fmt.Errorf("data: normalisation: scale[%d] is %g; want a positive number", j, s)
		}
	}
	return nil
}

// at is entry j of a mean or scale of length 0, 1 or d.
func at(v []float64, j int, none float64) float64 {
	switch len(v) {
	case 0:
		return none
	case 1:
		return v[0]
	}
	return v[j]
}

// Apply writes the network units of n×d samples x to dst, which may be x itself.
func (no Normalisation) Apply(dst, x []float64, d int) {
	_ = dst[:len(x)]
	for i, v := range x {
		dst[i] = (v - at(no.Mean, i%d, 0)) / at(no.Scale, i%d, 1)
	}
}

// Apply32 is Apply with a float32 result.
func (no Normalisation) Apply32(dst []float32, x []float64, d int) {
	_ = dst[:len(x)]
	for i, v := range x {
		dst[i] = float32((v - at(no.Mean, i%d, 0)) / at(no.Scale, i%d, 1))
	}
}

// ApplyBytes is Apply on bytes with a float32 result.
func (no Normalisation) ApplyBytes(dst []float32, x []byte, d int) {
	_ = dst[:len(x)]
	if len(no.Mean) > 1 || len(no.Scale) > 1 {
		for i, v := range x {
			dst[i] = float32((float64(v) - at(no.Mean, i%d, 0)) / at(no.Scale, i%d, 1))
		}
		return
	}
	mean, scale := at(no.Mean, 0, 0), at(no.Scale, 0, 1)
	if len(x) < 1<<10 {
		for i, v := range x {
			dst[i] = float32((float64(v) - mean) / scale)
		}
		return
	}
	var table [256]float32
	for v := range table {
		table[v] = float32((float64(v) - mean) / scale)
	}
	for i, v := range x {
		dst[i] = table[v]
	}
}

// BytesNormalisation maps bytes 0 … 255 to −1 … 1: y = x/127.5 − 1.
func BytesNormalisation() Normalisation {
	return Normalisation{Mean: []float64{127.5}, Scale: []float64{127.5}}
}

// Invert writes the data units of n×d samples y in network units to dst, which may be y itself.
func (no Normalisation) Invert(dst, y []float64, d int) {
	_ = dst[:len(y)]
	for i, v := range y {
		dst[i] = v*at(no.Scale, i%d, 1) + at(no.Mean, i%d, 0)
	}
}

// Invert32 is Invert on float32 samples; the sum is made in float64 and rounded once.
func (no Normalisation) Invert32(dst, y []float32, d int) {
	_ = dst[:len(y)]
	for i, v := range y {
		dst[i] = float32(float64(v)*at(no.Scale, i%d, 1) + at(no.Mean, i%d, 0))
	}
}

// LogDet is log|∂y/∂x| = −Σⱼ log Scaleⱼ in nats. The log density in data units is the one in network units plus LogDet.
func (no Normalisation) LogDet(d int) float64 {
	var sum float64
	for j := range d {
		sum -= math.Log(at(no.Scale, j, 1))
	}
	return sum
}
