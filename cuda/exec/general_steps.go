//go:build gpu && cgo

package exec

import (
	"context"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels"
)

const (
	// tableRows is the number of rows of a step table whose time features are computed at once.
	tableRows = 256
	// checkRows is the number of rows between two checks of the context. At each the host waits for the device.
	checkRows = 16
)

// Trajectory takes the n samples x (n×D, in place) and their memory m (n×D, in place; nil stands for zeros that are not
// returned) through the rows of a step table, as infer.Engine.Trajectory does. progress, unless nil, receives how much of
// the work is done, in samples. After an error x and m hold the results of the batches that were finished, and the other samples are
// unchanged.
func (g *General) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	const call = "Trajectory"
	d := g.p.D
	if len(x)%d != 0 {
		return fmt.Errorf("cuda: %s: x has %d elements, want a multiple of D = %d", call, len(x), d)
	}
	if err := length(call, "m", m, len(x)); err != nil {
		return err
	}
	wire, err := WireRows(rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	tau := make([]float64, len(rows))
	for k, r := range rows {
		tau[k] = r.Tau
	}
	memory := kernels.UsesMemory(rows)
	return g.do(func() error {
		return g.batches(ctx, call, len(x)/d, 1, func(lo, hi int) error {
			return inRange(g, x[lo*d:hi*d], part(m, lo*d, hi*d), progress, func(x, m []float32, by evaluator, progress func(done int)) error {
				return g.trajectory(ctx, x, m, by, tau, wire, memory, no, lo, progress)
			})
		})
	})
}

// trajectory is Trajectory of the samples from lo on, all on the device at once, with evaluations by by; nil: as the precision says.
func (g *General) trajectory(ctx context.Context, x, m []float32, by evaluator, tau []float64, rows []RowWire, memory bool, no kernels.Noise, lo int, progress func(done int)) error {
	d := g.p.D
	s, err := g.start(x, tau, rows[0].Cin, no, lo)
	if err != nil {
		return err
	}
	s.by = by
	if g.precision == F16 {
		s.by = g.half()
	}
	var mem deviceRows
	if memory {
		start := m
		if start == nil {
			start = make([]float32, len(x))
		}
		if mem, err = s.n.upload(slot{"memory", 0}, start, d); err != nil {
			return err
		}
	}
	err = s.each(ctx, len(rows), lo, progress, func(k int, y deviceRows) error {
		next := float32(1)
		if k+1 < len(rows) {
			next = rows[k+1].Cin
		}
		a := driver.Pack(driver.Pack(driver.Pack(driver.Pack(new(driver.Args), s.x.at), mem.at), y.at), s.in.at)
		return g.each("step_state", s.m*((d+1)/2), s.noise(driver.Pack(a, rows[k]).F32(next)))
	})
	if err != nil {
		return err
	}
	if m != nil && memory {
		if err := s.n.download(m, slot{"memory", 0}); err != nil {
			return err
		}
	}
	return s.n.download(x, slot{"x", 0})
}

// evaluator takes rows of coordinates through the network, whose output stays in scratch memory.
type evaluator func(rows int, in deviceRows, t *times) (deviceRows, error)

// steps is a batch that passes through a step table.
type steps struct {
	g     *General
	n     *layers[float32]
	by    evaluator  // nil: float32
	m     int        // samples
	x, in deviceRows // states, and the states times cin of the current row
	tau   []float64
	no    kernels.Noise
}

// start uploads the states x of the samples from lo on, and computes the first input.
func (g *General) start(x []float32, tau []float64, cin float32, no kernels.Noise, lo int) (*steps, error) {
	n, d := g.net32, g.p.D
	no.Sample0 += uint64(lo)
	s := &steps{g: g, n: n, m: len(x) / d, tau: tau, no: no}
	var err error
	if s.x, err = n.upload(slot{"x", 0}, x, d); err != nil {
		return nil, err
	}
	if s.in, err = n.rows(slot{"in", 0}, s.m, d); err != nil {
		return nil, err
	}
	a := driver.Pack(driver.Pack(new(driver.Args), s.in.at), s.x.at).F32(cin)
	return s, g.each("scale_state", len(x), driver.Pack(a, int64(len(x))))
}

// noise appends the arguments for random numbers to those of a step's kernel.
func (s *steps) noise(a *driver.Args) *driver.Args {
	return driver.Pack(a, int64(s.m)).I32(s.g.p.D).U64(s.no.Seed).U32(s.no.Stream).U64(s.no.Sample0)
}

// each evaluates the network for one row of the table after the other and calls step with its output.
func (s *steps) each(ctx context.Context, rows, lo int, progress func(done int), step func(k int, y deviceRows) error) error {
	var t times
	for k := range rows {
		if k%tableRows == 0 {
			var err error
			if t, err = s.n.times(s.tau[k:min(k+tableRows, rows)], false); err != nil {
				return err
			}
		}
		row := s.n.timesOf(t, k%tableRows)
		y, err := s.evaluate(&row)
		if err != nil {
			return err
		}
		if err := step(k, y); err != nil {
			return err
		}
		if (k+1)%checkRows != 0 && k+1 < rows {
			continue
		}
		if err := s.g.d.Synchronize(); err != nil {
			return err
		}
		if progress != nil {
			progress(lo + int(int64(s.m)*int64(k+1)/int64(rows)))
		}
		if err := ctx.Err(); err != nil && k+1 < rows {
			return err
		}
	}
	return nil
}

// evaluate is the network at the inputs s.in.
func (s *steps) evaluate(t *times) (deviceRows, error) {
	if s.by != nil {
		return s.by(s.m, s.in, t)
	}
	in, err := s.n.input(s.m, 1, rowsGiven, s.in, t.phi)
	if err != nil {
		return in, err
	}
	return s.n.pass("value", s.m, 1, in, t, nil)
}

// PathWeights proposes a path from each row of x and adds its log weight to logw, as infer.Engine.PathWeights does. After an
// error x and logw hold the results of the batches that were finished, and the other samples are unchanged.
func (g *General) PathWeights(ctx context.Context, x []float32, logw []float64, rows []kernels.PathRow, no kernels.Noise, progress func(done int)) error {
	const call = "PathWeights"
	d := g.p.D
	if len(x)%d != 0 {
		return fmt.Errorf("cuda: %s: x has %d elements, want a multiple of D = %d", call, len(x), d)
	}
	if len(logw) != len(x)/d {
		return fmt.Errorf("cuda: %s: logw has %d elements, want %d", call, len(logw), len(x)/d)
	}
	if len(rows) < 2 {
		return fmt.Errorf("cuda: %s: a path of %d states, want at least 2", call, len(rows))
	}
	wire, err := WirePath(rows, d)
	if err != nil {
		return err
	}
	tau := make([]float64, len(rows))
	for k, r := range rows {
		tau[k] = r.Tau
	}
	return g.do(func() error {
		return g.batches(ctx, call, len(logw), 1, func(lo, hi int) error {
			return inRange(g, x[lo*d:hi*d], logw[lo:hi], progress, func(x []float32, logw []float64, by evaluator, progress func(done int)) error {
				return g.path(ctx, x, logw, by, tau, wire, float32(rows[0].Cin), no, lo, progress)
			})
		})
	})
}

// path is PathWeights of the samples from lo on, all on the device at once, with evaluations by by; nil: in float32.
func (g *General) path(ctx context.Context, x []float32, logw []float64, by evaluator, tau []float64, rows []PathWire, cin float32, no kernels.Noise, lo int, progress func(done int)) error {
	s, err := g.start(x, tau, cin, no, lo)
	if err != nil {
		return err
	}
	s.by = by
	prev, err := s.n.rows(slot{"previous", 0}, s.m, g.p.D)
	if err != nil {
		return err
	}
	squares, err := g.space.bytes(slot{"squares", 0}, 8*s.m)
	if err != nil {
		return err
	}
	weights, err := g.space.bytes(slot{"weights", 0}, 8*s.m)
	if err != nil {
		return err
	}
	if err := driver.Upload(weights, logw); err != nil {
		return err
	}
	err = s.each(ctx, len(rows), lo, progress, func(k int, y deviceRows) error {
		a := driver.Pack(driver.Pack(driver.Pack(driver.Pack(new(driver.Args), s.x.at), prev.at), y.at), s.in.at).Buf(squares).Buf(weights)
		return g.each("step_path", s.m, s.noise(driver.Pack(a, rows[k])))
	})
	if err != nil {
		return err
	}
	if err := driver.Download(logw, weights); err != nil {
		return err
	}
	return s.n.download(x, slot{"x", 0})
}
