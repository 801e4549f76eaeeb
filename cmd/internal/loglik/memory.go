package loglik

import (
	"slices"

	"hbar/internal/memory"
)

// Bytes that results take, with the text that they are written as.
const (
	pointBytes  = 1200 // of a point, whatever D
	coordBytes  = 200  // of a coordinate of a point: data, the network's, score, in the result and in its text
	imageBytes  = 40   // of a coordinate of a point that is not in the result: as it is read, in data units, the network's
	valueBytes  = 400  // of a value at an h: in the results, in the file, in its text
	flowPiece   = 4096 // points that are integrated in one call
	pathRows    = 1 << 18
	pathStep    = 160 // bytes of a step of the path integral's chain
	probeNumber = 32  // bytes of a coordinate of a probe, and of what is computed with it
)

// MostCoordinates is the largest D of points that results repeat where FlowBy computes them.
const MostCoordinates = 256

// Need is the memory that Run takes for n points in d dimensions, with the points themselves and their results. The grid of
// fokkerplanck, which grows with what the density needs, is checked where it grows.
func (o Options) Need(n, d int) memory.Need {
	points, dims, hs := float64(n), float64(d), float64(len(o.H))
	coord := float64(coordBytes)
	if o.FlowBlock > 0 && d > MostCoordinates {
		coord = imageBytes
	}
	need := memory.Need{{What: "points and results", Bytes: points * (pointBytes + coord*dims + valueBytes*hs*float64(1+len(o.Methods)))}}
	if slices.Contains(o.Methods, Flow) || slices.Contains(o.Methods, WKB) {
		probes := float64(max(1, o.Probes))
		rows := min(points, max(flowPiece, min(1<<20, (1<<24)/(probes*dims))))
		if o.FlowBlock > 0 {
			rows = float64(o.FlowBlock)
		}
		need = append(need, memory.Part{What: "paths of the flow with their probes", Bytes: rows * dims * (probes*probeNumber + 200)})
	}
	if slices.Contains(o.Methods, PathIntegral) {
		need = append(need,
			memory.Part{What: "weights of paths", Bytes: 8 * hs * max(pathRows, float64(o.Path.Paths))},
			memory.Part{What: "resamples", Bytes: 8 * float64(o.Path.Bootstrap)},
			memory.Part{What: "steps of the chains", Bytes: pathStep * hs * float64(o.Path.Steps)})
	}
	return need
}

// Fits refuses points and settings that need more memory than there is. name is the option for the number of points.
func (o Options) Fits(n, d int, name string, more memory.Need) error {
	total := func(o Options, n int) float64 { return o.Need(n, d).Total() + more.Total() }
	options := []memory.Option{{Name: name, Value: n, Need: func(v int) float64 { return total(o, v) }}}
	for _, c := range []struct {
		name  string
		value int
		set   func(o *Options, v int)
	}{
		{"--probes", o.Probes, func(o *Options, v int) { o.Probes = v }},
		{"--paths", o.Path.Paths, func(o *Options, v int) { o.Path.Paths = v }},
		{"--steps", o.Path.Steps, func(o *Options, v int) { o.Path.Steps = v }},
	} {
		options = append(options, memory.Option{Name: c.name, Value: c.value, Need: func(v int) float64 {
			p := o
			c.set(&p, v)
			return total(p, n)
		}})
	}
	return memory.Check(append(o.Need(n, d), more...), memory.Available(), memory.Suggest(options...))
}
