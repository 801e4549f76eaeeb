//go:build gpu && cgo

package programs

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/eval"
	"hbar/program/ops/opstest"
)

// device is device 0 with its kernels.
func device(t testing.TB) (*driver.Device, *Kernels) {
	t.Helper()
	d := cudatest.Open(t)
	return d, NewKernels(d)
}

// execute runs p twice on the device, with the inputs as the reference has them.
func execute(t testing.TB, d *driver.Device, k *Kernels, p *program.Program, n int, o Options, given map[string][]float64) map[string][]float32 {
	t.Helper()
	x, err := NewExecutor(d, k, p, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := x.prog.Check(); err != nil {
		t.Fatal(err)
	}
	b := &general.Batch{N: n, In: map[string][]float32{}, Wide: map[string][]float64{}, Out: map[string][]float32{}}
	params := map[string][]float32{}
	for _, v := range p.Values {
		f := make([]float32, len(given[v.Name]))
		for i, d := range given[v.Name] {
			f[i] = float32(d)
		}
		switch {
		case v.Role == program.Param:
			params[v.Name] = f
		case v.Role == program.Input && program.Size(v.Shape) == 1:
			b.Wide[v.Name] = given[v.Name]
		case v.Role == program.Input:
			b.In[v.Name] = f
		}
	}
	for _, o := range p.Outputs {
		v := p.Values[o.ID]
		b.Out[o.Name] = make([]float32, general.Rows(v.Rate, n)*program.Size(v.Shape))
	}
	if err := x.SetParams(params); err != nil {
		t.Fatal(err)
	}
	for range 3 { // enqueued, captured and replayed; a run must not see the one before
		for _, s := range b.Out {
			for i := range s {
				s[i] = float32(math.NaN())
			}
		}
		if err := x.RunContext(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Out
}

// TestOps runs every op, its VJP and the JVP of that against the reference, at once and in blocks of samples, whose sums over samples
// may differ in rounding. As on the CPU 2·10⁻⁵ of the largest number is a hundred roundings. In F16 the op alone runs, with factors of products rounded to 11 bits.
func TestOps(t *testing.T) {
	d, k := device(t)
	for i, c := range opstest.Cases {
		t.Run(fmt.Sprintf("%d_%s", i, c.Op.Name()), func(t *testing.T) {
			programs, err := c.Programs()
			if err != nil {
				t.Fatal(err)
			}
			const n = 5
			for j, p := range programs {
				in := opstest.Random(p, c, n, rand.New(rand.NewPCG(3, uint64(i))))
				want, err := eval.Run(p, n, in)
				if err != nil {
					t.Fatal(err)
				}
				opstest.Compare(t, p, execute(t, d, k, p, n, Options{}, in), want, 2e-5) // float32 against float64: sums of some dozen terms, and up to two derivatives of them
				opstest.Compare(t, p, execute(t, d, k, p, n, Options{Block: 2}, in), want, 2e-5)
				if j == 0 {
					opstest.Compare(t, p, execute(t, d, k, p, n, Options{Precision: exec.F16}, in), want, 3e-3) // 5e-4 each, of a dozen terms that may cancel
				}
			}
		})
	}
}

// TestGoldenPrograms runs PyTorch's cases, with their gradients and tangents. Twice what float32 may be away: sums have another order.
func TestGoldenPrograms(t *testing.T) {
	d, k := device(t)
	cases, err := opstest.Goldens()
	if err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, g := range cases {
		t.Run(g.Case, func(t *testing.T) {
			c, err := g.Programs()
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, p := range []*program.Program{c.VJP, c.JVP} {
				for name, y := range execute(t, d, k, p, c.N, Options{}, c.In) {
					compared++
					wide := make([]float64, len(y))
					for i, v := range y {
						wide[i] = float64(v)
					}
					if e, tol := g.Error(name, wide, c.Want[name]), min(2*g.Tolerance[name], 1e-5); !(e <= tol) { // what the file allows for float32; 1e-5 is enough for its sums of some dozen terms
						t.Errorf("%s is %.2g away, more than %.2g", name, e, tol)
					}
				}
			}
			if want := len(c.Want) + 1; compared != want { // y stands in both programs
				t.Errorf("compared %d results of %d", compared, want)
			}
		})
	}
}

// The table has exactly the operations that Runs knows.
func TestTable(t *testing.T) {
	var have []string
	for kind := range table {
		if !kinds[kind] {
			t.Errorf("%v has a kernel and Runs does not know", kind)
		}
		have = append(have, kind.String())
	}
	for kind := range kinds {
		if !slices.Contains(have, kind.String()) {
			t.Errorf("%v has no kernel and Runs says it has", kind)
		}
	}
}
