package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/program/ops"
)

const eps32 = 1.0 / (1 << 24)

// specs meet every operation and the shapes at which Gorgonia could take a matrix for a vector or a scalar.
var specs = []Spec{
	{D: 2, Width: 16, Depth: 3, Act: "silu"},
	{D: 2, Width: 12, Depth: 4, Act: "silu", Residual: true},
	{D: 3, Width: 17, Depth: 2, Act: "gelu", Residual: true, Fourier: 3, FourierScale: 2},
	{D: 1, Width: 8, Depth: 1, Act: "tanh"},
	{D: 1, Width: 1, Depth: 2, Act: "gelu", Residual: true, Fourier: 1, FourierScale: 1},
	{D: 10, Width: 20, Depth: 3, Act: "tanh", Residual: true},
}

func mustNew(t *testing.T, s Spec, batch int) *Network {
	t.Helper()
	ps, err := s.Initial(3)
	if err != nil {
		t.Fatal(err)
	}
	n, err := newBatch(s, ps, batch)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// executors are what the tests of machines run on.
var executors = []struct {
	name    string
	machine func(t *testing.T, n *Network) *Machine // closed at the end of the test
}{{"cpu", func(t *testing.T, n *Network) *Machine {
	m, err := NewMachine(n, fit.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, m)
}}}

// closed closes the machine at the end of the test.
func closed(t *testing.T, m *Machine) *Machine {
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// eachExecutor runs a test on all of them.
func eachExecutor(t *testing.T, test func(t *testing.T, machine func(t *testing.T, n *Network) *Machine)) {
	for _, e := range executors {
		t.Run(e.name, func(t *testing.T) { test(t, e.machine) })
	}
}

// numbers are those of a node's value, wherever it is.
func numbers(t *testing.T, v gorgonia.Value) []float32 {
	t.Helper()
	d := v.(*tensor.Dense)
	if d.IsNativelyAccessible() {
		return slices.Clone(d.Float32s())
	}
	host := tensor.New(tensor.Of(float32s), tensor.WithShape(d.Shape()...))
	if err := d.Engine().(Carrier).Download(host, d); err != nil {
		t.Fatal(err)
	}
	return host.Float32s()
}

type rows struct{ x, time, target, weight []float32 }

// draw makes n rows of inputs of a network, with the time features of random times.
func draw(n *Network, rowCount int) rows {
	r := rand.New(rand.NewPCG(4, uint64(rowCount)))
	normals := func(k int) []float32 {
		v := make([]float32, k)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	b := rows{x: normals(rowCount * n.Spec.D), target: normals(rowCount * n.Spec.D), weight: make([]float32, rowCount)}
	f := n.Spec.Features()
	b.time = make([]float32, rowCount*f)
	for i := range rowCount {
		b.weight[i] = float32(1 + r.Float64())
		n.training.Time.Fill(b.time[i*f:], r.Float64())
	}
	return b
}

// let binds b to the nodes' inputs.
func (b rows) let(t *testing.T, n *Network) {
	t.Helper()
	for _, in := range []struct {
		node *gorgonia.Node
		v    []float32
	}{{n.X, b.x}, {n.Time, b.time}, {n.Target, b.target}, {n.Weight, b.weight}} {
		if err := gorgonia.Let(in.node, tensor.New(tensor.WithShape(in.node.Shape()...), tensor.WithBacking(slices.Clone(in.v)))); err != nil {
			t.Fatal(err)
		}
	}
}

// result is a copy of the loss and the gradients in the nodes.
func result(t *testing.T, n *Network) (float64, [][]float32) {
	t.Helper()
	var g [][]float32
	for _, p := range n.Params {
		v, err := p.Grad()
		if err != nil {
			t.Fatal(err)
		}
		g = append(g, numbers(t, v))
	}
	return float64(n.Loss.Value().Data().(float32)), g
}

// machineResult runs a machine on b.
func machineResult(t *testing.T, m *Machine, b rows) (float64, [][]float32) {
	t.Helper()
	if err := m.Bind(b.x, b.time, b.target, b.weight); err != nil {
		t.Fatal(err)
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return result(t, m.net)
}

func relative(a, b [][]float32) float64 {
	num, den := 0.0, 0.0
	for i := range b {
		for j := range b[i] {
			e := float64(a[i][j]) - float64(b[i][j])
			num += e * e
			den += float64(b[i][j]) * float64(b[i][j])
		}
	}
	return math.Sqrt(num / den)
}

// The machine and Gorgonia's own interpreter of the same graph, whose operations sum in float64 and round once where
// the kernels round each of up to 40 sums.
func TestMachineAgainstTapeMachine(t *testing.T) {
	const tol = 32 * eps32
	for _, s := range specs {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			const rowCount = 37
			n := mustNew(t, s, rowCount)
			b := draw(n, rowCount)
			b.let(t, n)
			tape := gorgonia.NewTapeMachine(n.Graph)
			defer tape.Close()
			if err := tape.RunAll(); err != nil {
				t.Fatal(err)
			}
			wantLoss, want := result(t, n)
			eachExecutor(t, func(t *testing.T, machine func(*testing.T, *Network) *Machine) {
				loss, g := machineResult(t, machine(t, n), b)
				if !(math.Abs(loss-wantLoss) <= tol*wantLoss) {
					t.Errorf("loss %v, TapeMachine %v", loss, wantLoss)
				}
				if e := relative(g, want); !(e <= tol) {
					t.Errorf("gradient differs from the TapeMachine's by %.2g", e)
				}
			})
		})
	}
}

// loss64 is the loss in float64 with the parameters moved by eps along dir.
func loss64(n *Network, b rows, dir [][]float64, eps float64) float64 {
	d, f := n.Spec.D, n.Spec.Features()
	sum := 0.0
	for i, w := range b.weight {
		var h []float64
		for _, v := range append(slices.Clone(b.x[i*d:(i+1)*d]), b.time[i*f:(i+1)*f]...) {
			h = append(h, float64(v))
		}
		for l := range n.Spec.Depth + 1 {
			wt, bias := n.training.Params[2*l].Data, n.training.Params[2*l+1].Data
			y := make([]float64, len(bias))
			for o := range y {
				y[o] = float64(bias[o]) + eps*dir[2*l+1][o]
				for k, v := range h {
					y[o] += (float64(wt[o*len(h)+k]) + eps*dir[2*l][o*len(h)+k]) * v
				}
				if l < n.Spec.Depth {
					y[o] = ops.Unary{Fn: ops.Fn(n.Spec.Act)}.Eval(y[o])
					if n.Spec.Residual && l > 0 {
						y[o] += h[o]
					}
				}
			}
			h = y
		}
		for j, v := range h {
			e := v - float64(b.target[i*d+j])
			sum += float64(w) * e * e
		}
	}
	return sum / float64(len(b.weight)*d)
}

// Directional derivatives: central differences of the loss in float64 along the gradient and along random directions.
// The differences err by eps² times a third derivative, 10⁻⁸ relative; the machine by float32 roundings of the gradient.
func TestGradientAgainstDifferences(t *testing.T) {
	const eps = 1e-4
	for _, s := range specs {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			n := mustNew(t, s, Batch)
			b := draw(n, 50)
			_, g := machineResult(t, executors[0].machine(t, n), b)
			norm := 0.0
			for i := range g {
				for _, v := range g[i] {
					norm += float64(v) * float64(v)
				}
			}
			norm = math.Sqrt(norm)
			r := rand.New(rand.NewPCG(1, 1))
			for try := range 4 {
				dir := make([][]float64, len(g))
				want, length := 0.0, 0.0
				for i := range g {
					dir[i] = make([]float64, len(g[i]))
					for j, v := range g[i] {
						dir[i][j] = float64(v)
						if try > 0 {
							dir[i][j] = r.NormFloat64()
						}
						length += dir[i][j] * dir[i][j]
					}
				}
				length = math.Sqrt(length)
				for i := range g {
					for j, v := range g[i] {
						dir[i][j] /= length
						want += dir[i][j] * float64(v)
					}
				}
				got := (loss64(n, b, dir, eps) - loss64(n, b, dir, -eps)) / (2 * eps)
				// Central differences in float64, of order ε², against float32 gradients.
				if !(math.Abs(got-want) <= 1e-6*norm) {
					t.Errorf("direction %d: difference quotient %v, gradient gives %v (norm %v)", try, got, want, norm)
				}
			}
		})
	}
}

// Graphs may be built by many goroutines at once (run with -race).
func TestConcurrentBuilds(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s := specs[i%len(specs)]
			ps, err := s.Initial(uint64(i))
			if err == nil {
				_, err = New(s, ps)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestInitial(t *testing.T) {
	s := Spec{D: 2, Width: 64, Depth: 2, Act: "silu", Fourier: 500, FourierScale: 3}
	ps, err := s.Initial(9)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := s.Initial(9)
	other, _ := s.Initial(10)
	n := 0
	for i, p := range ps {
		if !slices.Equal(p.Data, again[i].Data) || slices.Equal(p.Data, other[i].Data) {
			t.Errorf("%s does not follow the seed", p.Name)
		}
		mean, sq, top := 0.0, 0.0, 0.0
		for _, v := range p.Data {
			mean += float64(v)
			sq += float64(v) * float64(v)
			top = max(top, math.Abs(float64(v)))
		}
		k := float64(len(p.Data))
		if p.Name == FreqsName {
			// mean within 4 and deviation within 5 standard errors
			if math.Abs(mean/k) > 4*3/math.Sqrt(k) || math.Abs(math.Sqrt(sq/k)-3) > 5*3/math.Sqrt(2*k) {
				t.Errorf("frequencies have mean %v, deviation %v", mean/k, math.Sqrt(sq/k))
			}
			continue
		}
		n += len(p.Data)
		bound := 1 / math.Sqrt(float64(ps[i&^1].Cols))
		if top > bound || len(p.Data) > 1000 && (top < 0.99*bound || math.Abs(math.Sqrt(3*sq/k)-bound) > 0.05*bound) {
			t.Errorf("%s: largest %v, deviation %v; uniform on ±%v", p.Name, top, math.Sqrt(sq/k), bound)
		}
	}
	if n != s.NumParams() {
		t.Errorf("NumParams %d, have %d", s.NumParams(), n)
	}
	net, err := New(s, ps)
	if err != nil {
		t.Fatal(err)
	}
	got := net.Values()
	for i := range ps {
		if got[i].Name != ps[i].Name || !slices.Equal(got[i].Data, ps[i].Data) || &got[i].Data[0] == &ps[i].Data[0] {
			t.Errorf("%s: not the network's copy", ps[i].Name)
		}
	}
	if !slices.Equal(net.Chain().Time.Freqs, ps[len(ps)-1].Data) {
		t.Error("the program lacks the frequencies")
	}
}

func TestRejects(t *testing.T) {
	good := Spec{D: 2, Width: 8, Depth: 1, Act: "silu"}
	for want, spoil := range map[string]func(s *Spec){
		"D is 0":                            func(s *Spec) { s.D = 0 },
		"width is -1":                       func(s *Spec) { s.Width = -1 },
		"depth is 0":                        func(s *Spec) { s.Depth = 0 },
		"Fourier frequencies is -1":         func(s *Spec) { s.Fourier = -1 },
		"it must be positive":               func(s *Spec) { s.Fourier = 4 },
		`"relu" unknown; have silu, gelu, `: func(s *Spec) { s.Act = "relu" },
	} {
		s := good
		spoil(&s)
		if _, err := s.Initial(0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if _, err := New(s, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for want, spoil := range map[string]func(ps []kernels.Param) []kernels.Param{
		"dense1.bias is missing":               func(ps []kernels.Param) []kernels.Param { return ps[:3] },
		"must be dense0.weight [8, 3]":         func(ps []kernels.Param) []kernels.Param { ps[0].Cols = 2; return ps },
		"with 1 values; it must be dense1.bia": func(ps []kernels.Param) []kernels.Param { ps[3].Data = ps[3].Data[:1]; return ps },
		"is not part of the network":           func(ps []kernels.Param) []kernels.Param { return append(ps, ps[0]) },
	} {
		ps, err := good.Initial(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(good, spoil(ps)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
