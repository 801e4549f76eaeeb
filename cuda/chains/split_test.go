//go:build gpu && cgo

package chains

import (
	"context"
	"math"
	"testing"

	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
)

// loud is a network whose first activations are 2000 times the inputs: halves hold what comes of a unit vector, and not what
// comes of large inputs. Its second layer takes that back.
func loud() *kernels.Chain {
	p := cudatest.Chain(2, 64, 2, simd.SiLU, false, 0)
	for i := range p.Params[0].Data {
		if i%3 < 2 { // not the time's
			p.Params[0].Data[i] *= 2000
		}
	}
	for i := range p.Params[2].Data {
		p.Params[2].Data[i] /= 2000
	}
	return p
}

// What passes the range of halves is computed without them, and the other samples do not notice.
func TestSplitRange(t *testing.T) {
	p := loud()
	cpu, err := infer.New(p, infer.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []tensorCores{{halves: true}, {halves: true, warpgroups: true}} {
		flowRange(t, use, p, cpu)
		pathRange(t, use, p, cpu)
	}
}

// flowRange is TestSplitRange for flows.
func flowRange(t *testing.T, use tensorCores, p *kernels.Chain, cpu *infer.Engine) {
	ctx := context.Background()
	f, err := newFlow(cudatest.Open(t), p, use)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := flowTable(2)
	table.Steps = table.Steps[:2]
	start := newFlowState(5, 2, 0)
	start.x[4], start.x[5] = 80, 80 // beyond the range of halves, whatever factor activations have
	for i := range 4 {
		start.x[i] /= 10
	}
	want, got, quiet := start.part(0, 5), start.part(0, 5), start.part(0, 2)
	if err := cpu.Flow64(ctx, want.x, want.div, want.est, nil, table, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Run(ctx, quiet.x, quiet.div, quiet.est, nil, table, nil); err != nil {
		t.Fatal(err)
	}
	if f.plain != nil {
		t.Fatalf("%+v: samples in range were computed again", use)
	}
	if err := f.Run(ctx, got.x, got.div, got.est, nil, table, nil); err != nil {
		t.Fatal(err)
	}
	if e := math.Max(farthest(got.x, want.x), farthest(got.div, want.div)); !(e < 1e-6) || f.plain == nil { // roundings of float32, as in TestFlow
		t.Errorf("flow, %+v: error %.1e; computed again: %t", use, e, f.plain != nil)
	}
	if got.x[0] != quiet.x[0] || got.div[1] != quiet.div[1] {
		t.Errorf("flow, %+v: samples in range depend on the others", use)
	}
}

// pathRange is TestSplitRange for paths.
func pathRange(t *testing.T, use tensorCores, p *kernels.Chain, cpu *infer.Engine) {
	ctx := context.Background()
	path, err := newPath(cudatest.Open(t), p, use)
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	rows, no := pathTable(3, 2), kernels.Noise{Seed: 1, Stream: kernels.StreamPath}
	x0, w0 := paths(5, 2)
	x1, w1 := paths(5, 2)
	copy(x0[4:], []float32{80, 80}) // beyond the range of halves, whatever factor activations have
	copy(x1[4:], []float32{80, 80})
	if err := cpu.PathWeights(ctx, x0, w0, rows, no, nil); err != nil {
		t.Fatal(err)
	}
	if err := path.Weights(ctx, x1, w1, rows, no, nil); err != nil {
		t.Fatal(err)
	}
	if e := farthest(w1, w0); !(e < 2e-6) || path.plain == nil { // roundings of float32, as in TestPath
		t.Errorf("paths, %+v: error %.1e; computed again: %t", use, e, path.plain != nil)
	}
}

func TestPowerOfTwo(t *testing.T) {
	for _, c := range []struct {
		w    []float32
		want float32
	}{
		{nil, 1}, {[]float32{0, 0}, 1}, {[]float32{1, -3}, 1 << 12}, {[]float32{0.5, 0.25}, 1 << 14}, {[]float32{-1e5}, 0.125},
		{[]float32{1e-45}, float32(math.Ldexp(1, 100))},
	} {
		if got := powerOfTwo(c.w); got != c.want {
			t.Errorf("%v: %g, want %g", c.w, got, c.want)
		}
	}
}
