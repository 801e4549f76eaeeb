package checkpoint

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
)

// channelsLast turns n samples of shape [C, …] into [n, …, C] for a sample's shape [..., C], of which only the first channels
// are kept.
func channelsLast(v []float64, shape []int) []float64 {
	c := shape[len(shape)-1]
	positions := program.Size(shape) / c
	n := len(v) / (positions * c)
	out := make([]float64, n*positions*c)
	for i := range n {
		for j := range c {
			for k := range positions {
				out[(i*positions+k)*c+j] = v[(i*c+j)*positions+k]
			}
		}
	}
	return out
}

// firstChannels keeps the first part of the channels of samples [C, …].
func firstChannels(v []float64, n, keep int) []float64 {
	each := len(v) / n
	var out []float64
	for i := range n {
		out = append(out, v[i*each:i*each+keep]...)
	}
	return out
}

// golden compares a network with what PyTorch made of it in float64: ref has x, t, y, u, v, probe and out, jvp.x, vjp.x,
// probe.quad, probe.grad, channels first.
func golden(t *testing.T, net *nets.Network, ref *safetensors.File) {
	t.Helper()
	shape := net.Config.SampleShape()
	size := program.Size(shape)
	values := map[string][]float64{}
	n := 0
	for _, r := range ref.Tensors {
		values[r.Name] = r.F64
		if r.Name == "t" {
			n = len(r.F64)
		}
	}
	given := map[string][]float64{"t": values["t"], "y": values["y"]}
	for ours, theirs := range map[string]string{"x": "x", "u": "u", "e": "probe"} {
		given[ours] = channelsLast(values[theirs], shape)
	}
	for i, p := range net.Params {
		w := make([]float64, p.Size())
		for j, v := range net.Weights[i] {
			w[j] = float64(v)
		}
		given[p.Name] = w
	}
	wants := map[string]string{"out": "out", "jvp": "jvp.x"}
	if !net.Config.Variance() { // else the co-vector is one of both halves
		given["v"] = channelsLast(values["v"], shape)
		wants["vjp"] = "vjp.x"
	}
	p, err := diff.JVP(net.Program, map[string]string{"x": "u"}, map[string]string{"out": "jvp"})
	if err != nil {
		t.Fatal(err)
	}
	if wants["vjp"] != "" {
		if p, err = diff.VJP(p, map[string]string{"out": "v"}, map[string]string{"x": "vjp"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	got, err := eval.Run(p, n, given)
	if err != nil {
		t.Fatal(err)
	}
	for ours, theirs := range wants {
		want := values[theirs]
		want = channelsLast(firstChannels(want, n, size), shape)
		// both are float64 sums of some thousand terms
		if e := largest(got[ours], want); !(e < 1e-11) {
			t.Errorf("%s: largest difference %.2g", ours, e)
		}
	}
}

// largest is the largest difference over the largest value.
func largest(got, want []float64) float64 {
	if len(got) != len(want) || len(want) == 0 {
		return math.Inf(1)
	}
	d, top := 0.0, 0.0
	for i, w := range want {
		if e := math.Abs(got[i] - w); !(e <= d) {
			d = e
		}
		top = math.Max(top, math.Abs(w))
	}
	return d / top
}

func TestGoldenNetworks(t *testing.T) {
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%v, %v", dirs, err)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			ref, err := safetensors.ReadFile(filepath.Join(dir, "ref.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			net, err := m.Network()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, net, ref)
			if i := net.Param("pos_embed"); i >= 0 {
				fresh, err := nets.New(net.Config)
				if err != nil {
					t.Fatal(err)
				}
				fresh.Initialise(1)
				for j, v := range fresh.Weights[i] {
					if w := net.Weights[i][j]; !(math.Abs(float64(v-w)) <= 1e-7) { // a rounding of float32 where the checkpoint was written by PyTorch
						t.Fatalf("position %d is %g in a new network, %g in the published one", j, v, w)
					}
				}
			}
		})
	}
}
