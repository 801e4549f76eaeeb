package samplecmd

import (
	"math"
	"path/filepath"
	"strings"

	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/samples"
	"hbar/solver"
)

// output takes the samples as they come: to files, and the first few for the picture.
type output struct {
	norm       data.Normalisation
	dtype      data.DType // of the arrays: float64 where float32 has too few digits for the data
	samples    data.RowWriter
	trajectory *data.NpyWriter // nil: not wanted
	row        []float64       // states of one sample, times × D
	shown      []float64       // samples for the picture
	show       int             // how many numbers of them are wanted
	path       string
	statesPath string
	timesPath  string
	what       samples.Options // of what shape and in what range the samples are
	sheet      *samples.Sheet  // nil: not wanted
	tiles      *samples.Sheet  // images and sounds for the terminal; nil: not wanted, or neither

	paths []written // what commit wrote

	nonFinite, firstNonFinite int // samples that are not finite in data units
}

// shownSamples is how many samples a picture is drawn from.
const shownSamples = 8000

// shownNumbers is how many numbers they may have, unless that is less than 400 samples.
const shownNumbers = 1 << 24

func newOutput(o options, m *model.Model) (*output, error) {
	d := m.D()
	out := &output{path: o.out, norm: m.Norm, dtype: m.Norm.DType(d)}
	out.show = o.shows(d) * d
	var err error
	if out.what, err = o.describe(m.Model, out.dtype); err != nil {
		return nil, err
	}
	if m.Label != nil && o.class != model.ClassNone {
		out.what.Label = func(i int) int { return int(m.Label(o.first + uint64(i))) }
	}
	if o.sheet != "" {
		if o.name == "" {
			out.sheet, err = samples.NewSheet(out.what, samples.SheetRoom, 0)
		} else {
			out.sheet, err = samples.NewRow(out.what)
		}
		if err != nil {
			return nil, err
		}
		if o.shard.Shard.Given() {
			out.sheet = nil // it is drawn when the shards are joined
		}
	}
	if o.show != "" && out.what.Alphabet == nil && (out.what.IsImage() || len(out.what.Shape) == 2) {
		if out.tiles, err = samples.NewSheet(out.what, samples.SheetRoom, 0); err != nil {
			return nil, err
		}
	}
	switch {
	case isCSV(o.out):
		out.samples, err = data.CreateCSV(o.out, out.dtype, d, m.Columns)
	case isArray(o.out):
		out.samples, err = data.CreateNpy(o.out, out.dtype, out.what.Shape...)
	default:
		out.samples, err = samples.Create(o.out, out.what)
	}
	if err != nil {
		return nil, err
	}
	if k := len(o.trajectory); k > 0 {
		out.statesPath, out.timesPath = o.trajectoryFiles()
		out.row = make([]float64, k*d)
		if out.trajectory, err = data.CreateNpy(out.statesPath, out.dtype, k, d); err != nil {
			out.abort()
			return nil, err
		}
	}
	return out, nil
}

// isCSV reports whether a file is called a table.
func isCSV(path string) bool { return strings.EqualFold(filepath.Ext(path), ".csv") }

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
	for i := range c.N {
		if !finite(c.X[i*c.D : (i+1)*c.D]) {
			if out.nonFinite == 0 {
				out.firstNonFinite = c.Start + i
			}
			out.nonFinite++
		}
	}
	out.shown = append(out.shown, c.X[:min(len(c.X), out.show-len(out.shown))]...)
	for _, s := range []*samples.Sheet{out.sheet, out.tiles} {
		if s != nil {
			s.Add(c.X)
		}
	}
	return out.samples.WriteFloat64(c.X)
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
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
		out.paths = append(out.paths, written{"trajectory", out.statesPath}, written{"times", out.timesPath})
	}
	out.paths = append(out.paths, written{"samples", out.path})
	return out.samples.Commit()
}

// abort discards what is not committed.
func (out *output) abort() {
	out.samples.Abort()
	if out.trajectory != nil {
		out.trajectory.Abort()
	}
}
