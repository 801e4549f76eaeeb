package infer

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
)

// Trajectory takes the n samples x (n×D, in place) through all rows of a step table (kernels.Row). m (n×D, in place) is the
// memory of the samples; if it is nil, the memory starts from zeros and is not returned. no identifies the random
// numbers: sample i of x has those of sample Sample0+i of the stream.
//
// A tile of samples passes through all rows before the next tile begins. The context is checked every few rows. When it has ended,
// Trajectory returns its error, with some tiles finished and the others unchanged. progress, unless nil, is called with the
// amount of work that is done, in samples: n at the end. Any worker may call it, one at a time, and it must return quickly. A
// state that becomes infinite or NaN is no error here; the caller checks.
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	n := e.net32
	if len(x)%n.d != 0 {
		return fmt.Errorf("infer: x has %d elements, want a multiple of D = %d", len(x), n.d)
	}
	if m != nil {
		if err := length("m", len(m), len(x)); err != nil {
			return err
		}
	}
	tau := make([]float64, len(rows))
	steps := make([]step, len(rows))
	for k, r := range rows {
		if err := finiteRow(k, r.Tau, r.Cin, r.State, r.Net, r.Memory, r.Noise, r.KeepState, r.KeepNet, r.KeepNoise, r.KeepMemory); err != nil {
			return err
		}
		tau[k] = r.Tau
		steps[k] = step{
			cin:   float32(r.Cin),
			noisy: r.Noise != 0 || r.KeepNoise != 0,
			noise: r.Step,
			coef:  [8]float32{float32(r.State), float32(r.Net), float32(r.Memory), float32(r.Noise), float32(r.KeepState), float32(r.KeepNet), float32(r.KeepNoise), float32(r.KeepMemory)},
		}
	}
	if len(rows) == 0 {
		return nil
	}
	memory := kernels.UsesMemory(rows)
	samples := len(x) / n.d
	size := e.split(n.rows, samples, 1)
	meter := newMeter(progress, samples, len(rows))
	times := newTimeRows(n, tau)
	get := func() *sampler { return e.newSampler(size, times, no) }
	err := tiles(ctx, e.workers, samples, size, get, e.putSampler, func(s *sampler, lo, hi int) error {
		s.start(x, lo, hi)
		var mem []float32
		if memory {
			mem = s.mem[:len(s.x)]
			clear(mem)
			if m != nil {
				copy(mem, m[lo*n.d:])
			}
		}
		for k := range steps {
			if k%checkRows == 0 && k > 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				meter.add(checkRows * (hi - lo))
			}
			st := &steps[k]
			y := s.eval(k, st.cin)
			var z []float32
			if st.noisy {
				z = s.z[:len(s.x)]
				s.normals.fill(z, st.noise)
			}
			e.impl.Update(s.x, y, mem, z, &st.coef)
		}
		copy(x[lo*n.d:hi*n.d], s.x)
		if m != nil && memory {
			copy(m[lo*n.d:hi*n.d], mem)
		}
		meter.add(((len(steps)-1)%checkRows + 1) * (hi - lo))
		return nil
	})
	if err == nil {
		meter.finish()
	}
	return err
}

// checkRows is the number of rows between two checks of the context.
const checkRows = 16

// step is a kernels.Row rounded to float32, its coefficients in the order of simd.Impl.Update.
type step struct {
	cin   float32
	noisy bool
	noise uint32
	coef  [8]float32
}

func finiteRow(k int, v ...float64) error {
	for _, c := range v {
		if math.IsNaN(c) || math.IsInf(c, 0) {
			return fmt.Errorf("infer: row %d of the step table holds %g, want finite numbers", k, c)
		}
	}
	return nil
}

// sampler is one worker's part of a trajectory or a path.
type sampler struct {
	n       *net[float32]
	w       *work[float32]
	times   timeRows
	normals normals
	size    int
	m       int // samples in the tile

	x             []float32 // the tile's states
	all           []float32 // memory of x
	in, y, z, mem []float32
	prev          []float32
	zz            []float64
	scale         [8]float32
}

func (e *Engine) newSampler(size int, times timeRows, no kernels.Noise) *sampler {
	s, _ := e.pool.Get().(*sampler)
	if s == nil {
		s = new(sampler)
	}
	s.n, s.w = e.net32, e.net32.get(size)
	d := e.d
	if s.size < size {
		s.size = size
		s.all, s.in, s.y = aligned[float32](size*d), aligned[float32](size*d), aligned[float32](size*d)
		s.z, s.mem, s.prev = aligned[float32](size*d), aligned[float32](size*d), aligned[float32](size*d)
		s.zz = make([]float64, size)
	}
	if own := s.times; !times.shared && !own.shared {
		times.bias, times.feat = own.bias, own.feat // scratch of the last call
	}
	s.times = times
	s.normals.impl, s.normals.noise, s.normals.d = e.impl, no, d
	return s
}

func (e *Engine) putSampler(s *sampler) {
	e.net32.pool.Put(s.w)
	s.w = nil
	if s.times.shared {
		s.times = timeRows{}
	}
	e.pool.Put(s)
}

// start loads samples lo to hi.
func (s *sampler) start(x []float32, lo, hi int) {
	s.m = hi - lo
	s.x = s.all[:s.m*s.n.d]
	copy(s.x, x[lo*s.n.d:])
	s.normals.start(lo, s.m)
}

// eval returns net(cin x, T of row k) of the tile.
func (s *sampler) eval(k int, cin float32) []float32 {
	n, in := s.n, s.x
	if cin != 1 {
		in = s.in[:len(s.x)]
		copy(in, s.x)
		s.scale[0] = cin
		s.normals.impl.Update(in, in, nil, nil, &s.scale)
	}
	n.eval(s.w, in, n.d, s.m, s.times.row(s.w, k), false)
	if n.head == nil && n.ld[n.output] == n.d {
		return s.w.buf[n.output][:len(s.x)]
	}
	y := s.y[:len(s.x)]
	n.outputs(s.w, y, s.m, true)
	return y
}
