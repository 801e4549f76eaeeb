//go:build gpu && cgo

package programs

import (
	"math"
	"testing"

	"hbar/cuda/exec"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/ops"
)

// TestOverflow: a factor of 65520 and more is infinite in F16, where it is read and where it is written as a value that is halves in memory; it is a number in BF16.
func TestOverflow(t *testing.T) {
	d, k := device(t)
	const rows, channels = 16, 96
	for name, columns := range map[string]int{"by warps": 8, "on warpgroups, where the device has them": 96} {
		b := program.NewBuilder()
		y := b.Apply(ops.Dense{}, b.Input("x", program.Sample, rows, channels), b.Param("v", channels, channels))[0]
		b.Output("y", b.Apply(ops.Dense{}, y, b.Param("w", columns, channels))[0])
		in := map[string][]float64{"x": make([]float64, rows*channels), "v": make([]float64, channels*channels), "w": make([]float64, columns*channels)}
		for i := range channels {
			in["v"][i*channels+i] = 32
		}
		for i := range in["w"] {
			in["w"][i] = 1
		}
		in["x"][0], in["x"][channels], in["x"][2*channels] = 2047, 2048, 65520 // after the first layer 65504, 65536 and 32 times 65520
		for _, precision := range []exec.Precision{exec.BF16, exec.F16} {
			got := execute(t, d, k, b.Program(), 1, Options{Precision: precision}, in)["y"]
			for i, v := range got {
				row := i / columns
				want := precision == exec.BF16 || row != 1 && row != 2
				if finite := !math.IsInf(float64(v), 0) && !math.IsNaN(float64(v)); finite != want {
					t.Fatalf("%s in %v: the result of row %d is %g; finite: want %v", name, precision, row, v, want)
				}
			}
		}
	}
}

// TestCotangentsF16: in F16 cotangents are products of TF32, which has float32's range. Those of a result times 2⁻⁴⁰, which are far below the smallest f16, are the others times 2⁻⁴⁰ in all bits.
func TestCotangentsF16(t *testing.T) {
	d, k := device(t)
	const n = 2
	b := program.NewBuilder()
	x := b.Apply(ops.Same, b.Input("x", program.Sample, 5, 4, 64), b.Param("w", 96, 3, 3, 64))[0]
	x = b.Apply(ops.Dense{}, b.Apply(ops.Reshape{Shape: []int{20, 96}}, x)[0], b.Param("v", 96, 96))[0]
	b.Output("y", b.Apply(ops.Attention{Heads: 2}, x, x, x)[0])
	p, err := diff.VJP(b.Program(), map[string]string{"y": "g"}, map[string]string{"x": "gx", "w": "gw", "v": "gv"})
	if err != nil {
		t.Fatal(err)
	}
	const scale = 0x1p-40
	in := map[string][]float64{}
	for i, name := range []string{"x", "w", "v", "g"} {
		size := program.Size(p.Values[p.Lookup(name)].Shape)
		if name == "x" || name == "g" {
			size *= n
		}
		for _, v := range ramp(size, uint64(i)) {
			in[name] = append(in[name], float64(v)/16)
		}
	}
	want := execute(t, d, k, p, n, Options{Precision: exec.F16}, in)
	for i := range in["g"] {
		in["g"][i] *= scale
	}
	got := execute(t, d, k, p, n, Options{Precision: exec.F16}, in)
	for _, name := range []string{"gx", "gw", "gv"} {
		some := false
		for i, v := range want[name] {
			some = some || v != 0
			if got[name][i] != v*scale {
				t.Fatalf("%s[%d] is %g; want %g times 2⁻⁴⁰", name, i, got[name][i], v)
			}
		}
		if !some {
			t.Errorf("%s is zero", name)
		}
	}
}
