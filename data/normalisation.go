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

// constantScale is the scale of a coordinate that does not vary, relative to its value: samples then have three digits of it right.
const constantScale = 1e-3

// Fit computes a Normalisation of the kind from n×d samples. By coordinate, one that does not vary takes a scale of 10⁻³ of its
// value, or where that is 0 of the smallest standard deviation of the others.
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
	if kind == NormSet {
		mean, std := moments(x)
		if !varies(mean, std) {
			return Normalisation{}, fmt.Errorf("data: cannot normalise: all values are %g; want data that vary, or normalisation none", mean)
		}
		return Normalisation{Mean: []float64{mean}, Scale: []float64{std}}, nil
	}
	var no Normalisation
	no.Mean, no.Scale = columnMoments(x, d)
	least := math.Inf(1)
	for j, s := range no.Scale {
		if varies(no.Mean[j], s) {
			least = min(least, s)
		}
	}
	if math.IsInf(least, 1) {
		return Normalisation{}, fmt.Errorf("data: cannot normalise: all samples are alike; want data that vary, or normalisation none")
	}
	for j, s := range no.Scale {
		switch mean := no.Mean[j]; {
		case varies(mean, s):
		case math.Abs(mean) > 1e-100:
			no.Scale[j] = constantScale * math.Abs(mean)
		default:
			no.Scale[j] = constantScale * least
		}
	}
	return no, nil
}

// varies reports whether a standard deviation is more than the rounding of values about the mean.
func varies(mean, std float64) bool { return std > 0x1p-51*math.Abs(mean) && std > 1e-290 }

// moments is the mean and the standard deviation (divisor n) of x.
func moments(x []float64) (mean, std float64) {
	m, s := columnMoments(x, 1)
	return m[0], s[0]
}

// columnMoments is the mean and the standard deviation (divisor n) of each of d columns. Neither the size of the values nor a mean
// far above the deviation costs digits: the sums are of differences from the first value, in a unit in which none exceeds 2.
func columnMoments(x []float64, d int) (mean, std []float64) {
	mean, std = make([]float64, d), make([]float64, d)
	unit, sum, rest := make([]float64, d), make([]float64, d), make([]float64, d)
	for i := 0; i < len(x); i += d {
		for j, v := range x[i : i+d] {
			unit[j] = max(unit[j], math.Abs(v))
		}
	}
	for j, largest := range unit {
		_, e := math.Frexp(largest)
		unit[j] = math.Ldexp(1, max(e, -1000)) // a power of two: dividing by it rounds nothing
	}
	n := float64(len(x) / d)
	for i := 0; i < len(x); i += d {
		for j, v := range x[i : i+d] {
			sum[j] += v/unit[j] - x[j]/unit[j]
		}
	}
	for i := 0; i < len(x); i += d {
		for j, v := range x[i : i+d] {
			v = v/unit[j] - x[j]/unit[j] - sum[j]/n
			rest[j] += v
			std[j] += v * v
		}
	}
	for j, u := range unit {
		mean[j] = (x[j]/u + sum[j]/n) * u
		std[j] = math.Sqrt(max(std[j]-rest[j]*rest[j]/n, 0)/n) * u
	}
	return mean, std
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
	if len(x) < 1<<9 { // a table costs more
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

// LogDet is log|∂y/∂x| = −Σⱼ log Scaleⱼ in nats. The log density in data units is the one in network units plus LogDet.
func (no Normalisation) LogDet(d int) float64 {
	var sum float64
	for j := range d {
		sum -= math.Log(at(no.Scale, j, 1))
	}
	return sum
}
