package infer

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// flowTable has every coefficient, and two error estimates or one. Its method is Bogacki and Shampine's.
func flowTable(steps int, second bool) *kernels.FlowTable {
	t := &kernels.FlowTable{
		A: [][]float64{nil, {0.5}, {0, 0.75}, {2. / 9, 1. / 3, 4. / 9}},
		B: []float64{2. / 9, 1. / 3, 4. / 9, 0}, E: []float64{-5. / 72, 1. / 12, 1. / 9, -1. / 8}, Tol: 1e-3,
	}
	if second {
		t.E3 = []float64{0.1, -0.3, 0.2}
	}
	for k := range steps {
		s := kernels.FlowStep{H: 0.05 + 0.01*float64(k%5)}
		for i := range t.A {
			f := float64(k) + float64(i)/4
			s.Stages = append(s.Stages, kernels.FlowStage{Tau: f / 10, Cin: 1 / (1 + f/7), State: -0.3 - f/40, Net: 0.4 + f/50, Drift: 0.2 - f/100})
		}
		t.Steps = append(t.Steps, s)
	}
	return t
}

// plainFlow is the loop that Flow replaces, one sample at a time, over Divergence64.
func plainFlow(t *testing.T, e *Engine, x, div, est []float64, probes []float32, table *kernels.FlowTable) {
	t.Helper()
	n, d := len(est), e.Dim()
	k := len(div) / n
	c := d + k
	for s := range n {
		y := append(slices.Clone(x[s*d:(s+1)*d]), div[s*k:(s+1)*k]...)
		for _, step := range table.Steps {
			var ks [][]float64
			mix := func(a []float64, scale float64) []float64 {
				z := make([]float64, c)
				for j, v := range a {
					for i := range z {
						z[i] += scale * v * ks[j][i]
					}
				}
				return z
			}
			at := func(a []float64) []float64 {
				z := mix(a, step.H)
				for i := range z {
					z[i] += y[i]
				}
				return z
			}
			for i, g := range step.Stages {
				z := at(table.A[i])
				in, net, trace := make([]float64, d), make([]float64, d), make([]float64, k)
				for j := range in {
					in[j] = g.Cin * z[j]
				}
				norms := []float64{float64(d)}
				var err error
				if probes == nil {
					err = e.Divergence64(ctx, net, trace, in, nil, d, []float64{g.Tau})
				} else {
					norms = make([]float64, k)
					for j := range k {
						v := widen(probes[(s*k+j)*d : (s*k+j+1)*d])
						for _, u := range v {
							norms[j] += u * u
						}
						if err == nil {
							err = e.Divergence64(ctx, net, trace[j:j+1], in, v, 1, []float64{g.Tau})
						}
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				f := make([]float64, c)
				for j := range d {
					f[j] = g.State*z[j] + g.Net*net[j]
				}
				for j := range k {
					f[d+j] = float64(d)*g.Drift + (g.State-g.Drift)*norms[j] + g.Net*g.Cin*trace[j]
				}
				ks = append(ks, f)
			}
			next, e5, e3 := at(table.B), 0.0, 0.0
			first, second := mix(table.E, 1), mix(table.E3, 1)
			for i := range next {
				unit := table.Tol * (1 + math.Max(math.Abs(y[i]), math.Abs(next[i])))
				e5 += first[i] * first[i] / (unit * unit)
				e3 += second[i] * second[i] / (unit * unit)
			}
			err := step.H * math.Sqrt(e5/float64(c))
			if table.E3 != nil {
				err = step.H * e5 / math.Sqrt((e5+0.01*e3)*float64(c))
			}
			est[s] = math.Max(est[s], err)
			y = next
		}
		copy(x[s*d:], y[:d])
		copy(div[s*k:], y[d:])
	}
}

func probesOf(n, k, d int) []float32 {
	v := make([]float32, n*k*d)
	kernels.Normals(v, kernels.Noise{Seed: 4, Stream: kernels.StreamProbe}, 0, n*k, d)
	return v
}

func TestFlow(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			const n = 7
			e := newEngine(t, s.program(), Options{Impl: im, Workers: 2, Tile: 3})
			table := flowTable(6, s.d != 2)
			for _, k := range []int{0, 1, 3} {
				var probes []float32
				if k > 0 {
					probes = probesOf(n, k, s.d)
				}
				start := func() (x, div, est []float64) {
					x, _ = points(n, s.d)
					div, est = make([]float64, n*max(1, k)), make([]float64, n)
					for i := range div {
						div[i] = float64(i)
					}
					est[2] = 1e9
					return x, div, est
				}
				x, div, est := start()
				plainFlow(t, e, x, div, est, probes, table)
				if est[2] != 1e9 || !(slices.Max(est[:2]) > 0) {
					t.Fatalf("%s: estimates %v", s.name, est)
				}
				x64, div64, est64 := start()
				if err := e.Flow64(ctx, x64, div64, est64, probes, table, nil); err != nil {
					t.Fatal(err)
				}
				// Both are float64 throughout; sums are taken in other orders.
				if w := max(worst(t, x64, x), worst(t, div64, div), worst(t, est64, est)); !(w < 1e-12) {
					t.Errorf("%s, %d probes: error %.2g in float64", s.name, k, w)
				}
				x32, div32, est32 := start()
				var done int
				if err := e.Flow(ctx, x32, div32, est32, probes, table, func(d int) { done = d }); err != nil {
					t.Fatal(err)
				}
				if w := max(worst(t, x32, x), worst(t, div32, div)/float64(s.d)); !(w < 2e-6) || done != n { // roundings of float32 sums
					t.Errorf("%s, %d probes: error %.2g with a float32 network; %d done", s.name, k, w, done)
				}
				// In pieces of other sizes it is the same to the bit.
				one := newEngine(t, s.program(), Options{Impl: im, Workers: 1, Tile: 1})
				x1, div1, est1 := start()
				if err := one.Flow(ctx, x1, div1, est1, probes, table, nil); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x1, x32) || !slices.Equal(div1, div32) || !slices.Equal(est1, est32) {
					t.Errorf("%s, %d probes: tiles of one sample give other numbers", s.name, k)
				}
			}
		}
	})
}

func TestFlowErrors(t *testing.T) {
	e := newEngine(t, shapes[0].program(), Options{})
	good := func() *kernels.FlowTable { return flowTable(2, true) }
	for _, c := range []struct {
		say                 string
		x, div, est, probes int
		change              func(*kernels.FlowTable)
	}{
		{"multiple of D = 2", 3, 1, 1, -1, nil},
		{"1 error estimates", 4, 2, 1, -1, nil},
		{"3 divergences", 4, 3, 2, -1, nil},
		{"4 divergences", 4, 4, 2, -1, nil},
		{"probes of 3 numbers", 4, 2, 2, 3, nil},
		{"want finite", 4, 2, 2, -1, func(t *kernels.FlowTable) { t.Steps[1].Stages[2].Net = math.NaN() }},
		{"tolerance 0", 4, 2, 2, -1, func(t *kernels.FlowTable) { t.Tol = 0 }},
		{"3 stages; want 4", 4, 2, 2, -1, func(t *kernels.FlowTable) { t.Steps[0].Stages = t.Steps[0].Stages[:3] }},
		{"as many weights", 4, 2, 2, -1, func(t *kernels.FlowTable) { t.B = t.B[1:] }},
		{"at most 1", 4, 2, 2, -1, func(t *kernels.FlowTable) { t.A[1] = make([]float64, 2) }},
		{"not the first", 4, 2, 2, -1, func(t *kernels.FlowTable) { t.E = nil }},
	} {
		table := good()
		if c.change != nil {
			c.change(table)
		}
		var probes []float32
		if c.probes >= 0 {
			probes = make([]float32, c.probes)
		}
		err := e.Flow(ctx, make([]float64, c.x), make([]float64, c.div), make([]float64, c.est), probes, table, nil)
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%v; want it to say %q", err, c.say)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.Flow(stopped, make([]float64, 2), make([]float64, 1), make([]float64, 1), nil, good(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// What overflows says so in its estimate, and the others do not notice.
	x, div, est := []float64{0.1, 0.2, 1e300, 1}, make([]float64, 2), make([]float64, 2)
	if err := e.Flow(ctx, x, div, est, nil, good(), nil); err != nil {
		t.Fatal(err)
	}
	if !(est[0] < 1e6) || est[1] < math.Inf(1) || math.IsNaN(x[0]+div[0]) {
		t.Errorf("state %v, integrals %v, estimates %v", x, div, est)
	}
}
