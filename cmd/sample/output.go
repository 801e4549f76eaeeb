package main

import (
	"path/filepath"
	"strings"

	"hbar/data"
	"hbar/solver"
)

// output takes the samples as they come: to files, and the first few for the picture.
type output struct {
	norm       data.Normalisation
	samples    *data.NpyWriter
	trajectory *data.NpyWriter // nil: not wanted
	row        []float64       // states of one sample, times × D
	shown      []float32       // samples for the picture
	show       int             // how many numbers of them are wanted
	timesPath  string
}

// shownSamples is how many samples a picture is drawn from.
const shownSamples = 8000

func newOutput(o options, d int, norm data.Normalisation) (*output, error) {
	out := &output{norm: norm}
	if o.plot != "" {
		out.show = min(o.n, shownSamples) * d
	}
	var err error
	if out.samples, err = data.CreateNpy(o.out, data.Float32, d); err != nil {
		return nil, err
	}
	if k := len(o.trajectory); k > 0 {
		base := strings.TrimSuffix(o.out, filepath.Ext(o.out))
		out.timesPath = base + "-times.npy"
		out.row = make([]float64, k*d)
		if out.trajectory, err = data.CreateNpy(base+"-trajectory.npy", data.Float32, k, d); err != nil {
			out.abort()
			return nil, err
		}
	}
	return out, nil
}

// take writes a chunk in data units.
func (out *output) take(c solver.Chunk) error {
	for i := range c.N {
		if out.trajectory == nil {
			break
		}
		for k, s := range c.States {
			copy(out.row[k*c.D:(k+1)*c.D], s[i*c.D:])
		}
		out.norm.Invert(out.row, out.row, c.D)
		if err := out.trajectory.WriteFloat64(out.row); err != nil {
			return err
		}
	}
	out.norm.Invert(c.X, c.X, c.D)
	for _, v := range c.X[:min(len(c.X), out.show-len(out.shown))] {
		out.shown = append(out.shown, float32(v))
	}
	return out.samples.WriteFloat64(c.X)
}

// commit gives the files their names.
func (out *output) commit(times []float64) error {
	if out.trajectory != nil {
		if err := out.trajectory.Commit(); err != nil {
			return err
		}
		if err := data.WriteNpy(out.timesPath, data.Float64, times); err != nil {
			return err
		}
	}
	return out.samples.Commit()
}

// abort discards what is not committed.
func (out *output) abort() {
	out.samples.Abort()
	if out.trajectory != nil {
		out.trajectory.Abort()
	}
}
