package sweepcmd

import (
	"fmt"
	"io"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/internal/memory"
)

// Bytes of the distances: coordinates of data and samples with their copies, and a point's edges in an assignment.
const (
	distanceNumber = 48
	distancePoint  = 2000
)

// need is the memory of the distances in d dimensions.
func (o options) need(d int) memory.Need {
	if o.repeats == 0 {
		return nil
	}
	n := float64(o.n)
	return memory.Need{{What: "samples and data of the distances", Bytes: n*float64(o.repeats)*float64(d)*distanceNumber + n*distancePoint}}
}

// fits says how much memory the sweep takes, and refuses one that needs more than there is.
func (o options) fits(w io.Writer, net *loglik.Network, methods []loglik.Method) error {
	d, steps := net.Net.Dim(), int(slices.Max(o.steps))
	s, err := o.settings(methods, steps, d)
	if err != nil {
		return err
	}
	points := o.nllN
	if len(methods) == 0 {
		points = 0
	}
	own, err := net.Need(s)
	if err != nil {
		return err
	}
	distances := append(o.need(d), own...)
	if err := memory.Check(distances, memory.Available(), memory.Suggest(
		memory.Option{Name: "--repeats", Value: o.repeats, Need: func(v int) float64 { p := o; p.repeats = v; return p.need(d).Total() }},
		memory.Option{Name: "--n", Value: o.n, Need: func(v int) float64 { p := o; p.n = v; return p.need(d).Total() }},
	)); err != nil {
		return err
	}
	if err := s.Fits(points, d, "--nll-n", distances); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "memory    about %v; there are %v\n", append(s.Need(points, d), distances...), memory.Available())
	return err
}
