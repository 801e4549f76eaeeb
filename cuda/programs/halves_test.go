//go:build gpu && cgo

package programs

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/fit"
	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// wideNetworks are small networks of each kind whose products run on warpgroups.
func wideNetworks(t *testing.T) map[string]*nets.Network {
	t.Helper()
	unet, err := nets.NewUNet([]int{8, 4, 1}, 3, nets.UNetSizes{Channels: []int{96}, Layers: 1, AttentionResolutions: []int{8}, HeadDim: 48, Groups: 4, Dropout: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	dit, err := nets.NewDiT([]int{8, 8, 1}, 3, nets.DiTSizes{Patch: 2, Width: 96, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*nets.Network{}
	for name, c := range map[string]nets.Config{"unet": unet, "dit": dit} {
		n, err := nets.New(c)
		if err != nil {
			t.Fatal(err)
		}
		n.Initialise(1)
		for i, q := range n.Params {
			if q.Fixed {
				continue
			}
			for j, v := range ramp(q.Size(), uint64(i)) {
				n.Weights[i][j] = v / 20
			}
		}
		all[name] = n
	}
	return all
}

// halvesOf are the values of an executor that are halves in memory, by the instruction that writes them.
func halvesOf(t *testing.T, d *driver.Device, k *Kernels, p *program.Program, precision exec.Precision) map[string]int {
	t.Helper()
	x, err := NewExecutor(d, k, p, Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	onWarpgroups(t, x)
	count := map[string]int{}
	for _, s := range x.steps {
		if !s.skipped && x.half(s.Out[0]) {
			count[s.Op.Name()]++
		}
	}
	return count
}

// sameBits runs a program with values that are halves in memory and with all of them in float32, and wants the same bits, near the reference. Factors are rounded to 8 or 11 bits in
// both, as in TestLayers.
func sameBits(t *testing.T, d *driver.Device, k *Kernels, p *program.Program, precision exec.Precision, n int, in map[string][]float64) {
	t.Helper()
	want, err := eval.Run(p, n, in)
	if err != nil {
		t.Fatal(err)
	}
	got := execute(t, d, k, p, n, Options{Precision: precision}, in)
	opstest.Compare(t, p, got, want, map[exec.Precision]float64{exec.BF16: 6e-2, exec.F16: 7.5e-3}[precision])
	for out, v := range execute(t, d, k, p, n, Options{Precision: precision, float32: true}, in) {
		wantBits(t, out, got[out], v)
	}
}

// wantBits wants the same bits of two results on the emulator. On a device it says how many numbers have others: that they have none rests on how tensor cores add up
// the 16 products of an instruction, whose order differs, and has not been tried.
func wantBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	others := 0
	for i, v := range want {
		if math.Float32bits(got[i]) != math.Float32bits(v) {
			others++
		}
	}
	switch {
	case others == 0:
	case cudatest.OnEmulator():
		t.Errorf("%s: %d of %d numbers have other bits", what, others, len(want))
	default:
		t.Logf("%s: %d of %d numbers have other bits", what, others, len(want))
	}
}

// TestLayersHalves: products of operands that are halves in memory, of sizes that are no whole tiles or slices, by all that writes such operands.
func TestLayersHalves(t *testing.T) {
	d, k := device(t)
	for name, make := range map[string]func(b *program.Builder) program.Value{
		"layernorm": func(b *program.Builder) program.Value {
			x := b.Apply(ops.LayerNorm{Eps: 1e-5}, b.Input("x", program.Sample, 19, 104), b.Param("shift", 104), b.Param("scale", 104))[0]
			return b.Apply(ops.Dense{}, x, b.Param("w", 131, 104), b.Param("b", 131))[0]
		},
		"rmsnorm": func(b *program.Builder) program.Value {
			x := b.Apply(ops.RMSNorm{Eps: 1e-5}, b.Input("x", program.Sample, 65, 64), b.Param("scale", 64))[0]
			return b.Apply(ops.Dense{}, x, b.Param("w", 96, 64))[0]
		},
		"layer": func(b *program.Builder) program.Value {
			x := b.Apply(ops.Dense{}, b.Input("x", program.Sample, 33, 72), b.Param("v", 264, 72), b.Param("c", 264))[0]
			return b.Apply(ops.Dense{}, ops.Activate(b, ops.GELUTanh, x), b.Param("w", 100, 264))[0]
		},
		"groupnorm": func(b *program.Builder) program.Value { // of taps that are no whole slices
			x := b.Apply(ops.GroupNorm{Groups: 4, Eps: 1e-5, Act: ops.SiLU}, b.Input("x", program.Sample, 7, 5, 96), b.Param("scale", 96), b.Param("shift", 96))[0]
			return b.Apply(ops.Same, x, b.Param("w", 97, 3, 3, 96))[0]
		},
		"groupnorm, stride": func(b *program.Builder) program.Value {
			x := b.Apply(ops.GroupNorm{Groups: 2, Eps: 1e-5}, b.Input("x", program.Sample, 33, 18, 64), b.Param("scale", 64), b.Param("shift", 64))[0]
			return b.Apply(ops.Conv{Stride: 2, Left: 1, Bottom: 1, Right: 1}, x, b.Param("w", 132, 3, 3, 64))[0]
		},
		"groupnorm, one tap": func(b *program.Builder) program.Value {
			x := b.Apply(ops.GroupNorm{Groups: 4, Eps: 1e-5}, b.Input("x", program.Sample, 6, 5, 96), b.Param("scale", 96), b.Param("shift", 96))[0]
			return b.Apply(ops.Conv{Stride: 1}, x, b.Param("w", 100, 1, 1, 96), b.Param("b", 100))[0]
		},
		"product": func(b *program.Builder) program.Value {
			x := b.Apply(ops.Mul{}, b.Input("x", program.Sample, 19, 104), b.Input("mask", program.Sample, 19, 104))[0]
			return b.Apply(ops.Dense{}, x, b.Param("w", 100, 104))[0]
		},
		"product, a factor for each row": func(b *program.Builder) program.Value {
			x := b.Apply(ops.Mul{}, b.Input("x", program.Sample, 19, 72), b.Input("rows", program.Sample, 19, 1))[0]
			return b.Apply(ops.Dense{}, x, b.Param("w", 100, 72))[0]
		},
		"sum, a column for each channel": func(b *program.Builder) program.Value {
			x := b.Apply(ops.Add{}, b.Input("x", program.Sample, 6, 5, 64), b.Input("columns", program.Sample, 64))[0]
			return b.Apply(ops.Same, x, b.Param("w", 97, 3, 3, 64))[0]
		},
		"upsample": func(b *program.Builder) program.Value { // with a row of zeros
			x := b.Apply(ops.Upsample{H: 7, W: 8}, b.Input("x", program.Sample, 3, 4, 64))[0]
			return b.Apply(ops.Same, x, b.Param("w", 97, 3, 3, 64))[0]
		},
		"attention": func(b *program.Builder) program.Value {
			x := b.Apply(ops.Dense{}, b.Apply(ops.Scale{A: 0.1}, b.Input("x", program.Sample, 37, 64))[0], b.Param("v", 288, 64))[0]
			y := b.Apply(ops.Attention{Heads: 2}, ops.Part(b, x, 0, 96), ops.Part(b, x, 96, 192), ops.Part(b, x, 192, 288))[0]
			return b.Apply(ops.Dense{}, y, b.Param("w", 96, 96))[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := program.NewBuilder()
			b.Output("y", make(b))
			p := b.Program()
			want := 1
			if name == "attention" { // what it reads, and what it writes
				want = 2
			}
			for _, precision := range []exec.Precision{exec.BF16, exec.F16} {
				count := 0
				for _, n := range halvesOf(t, d, k, p, precision) {
					count += n
				}
				if count != want {
					t.Errorf("%d values are %v in memory; want %d", count, precision, want)
				}
				sameBits(t, d, k, p, precision, 3, opstest.Random(p, opstest.Case{}, 3, rand.New(rand.NewPCG(8, 1))))
			}
		})
	}
}

// TestHalves: that values are bf16 in memory changes no bit of a network's values, of cotangents, and of steps of training; nor do f16 ones of its values.
func TestHalves(t *testing.T) {
	d, k := device(t)
	const n = 2
	// The values that are halves, by the instruction that writes them: norms before products, what attention reads and writes, and the activations of a layer. After the last norms come few
	// columns. Their cotangents read no others. In training dropout stands between five of the norms and the convolutions that they precede.
	unet := map[string]int{"group_norm": 14, "dense": 12, "attention": 4}
	dit := map[string]int{"layer_norm": 2, "dense": 1, "attention": 1, "layer": 1}
	wanted := map[string]map[string]int{
		"dit values": dit, "dit cotangents": dit, "dit training": dit,
		"unet values": unet, "unet cotangents": unet, "unet training": {"group_norm": 9, "mul": 5, "dense": 12, "attention": 4},
	}
	for name, net := range wideNetworks(t) {
		t.Run(name, func(t *testing.T) {
			vjp, err := diff.VJP(net.Program, map[string]string{"out": "g"}, map[string]string{"x": "gx"})
			if err != nil {
				t.Fatal(err)
			}
			for what, p := range map[string]*program.Program{"values": net.Program, "cotangents": vjp} {
				in := map[string][]float64{"t": {3, 700}, "y": {0, 3}}
				give := func(name string, v []float32) {
					for _, f := range v {
						in[name] = append(in[name], float64(f))
					}
				}
				give("x", ramp(n*program.Size(net.Config.SampleShape()), 1))
				give("g", ramp(n*program.Size(net.Config.SampleShape()), 2))
				for i, q := range net.Params {
					give(q.Name, net.Weights[i])
				}
				precisions := []exec.Precision{exec.BF16, exec.F16}
				if what == "cotangents" {
					precisions = precisions[:1]
				}
				for _, precision := range precisions {
					halves := halvesOf(t, d, k, p, precision)
					if want := wanted[name+" "+what]; !maps.Equal(halves, want) {
						t.Errorf("%s: %v in memory are %v; want %v", what, precision, halves, want)
					}
					sameBits(t, d, k, p, precision, n, in)
				}
			}
			training := TrainingOf(t, net)
			if halves, want := halvesOf(t, d, k, training.Program, exec.BF16), wanted[name+" training"]; !maps.Equal(halves, want) {
				t.Errorf("training: in memory are %v; want %v", halves, want)
			}
			var params [2][][]float32
			for i := range params {
				r, err := NewTrainer(d, training, fit.Options{Batch: n}, Options{Precision: exec.BF16, float32: i == 1})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				for range 3 {
					if _, err := r.Step(context.Background(), numbered(program.Size(net.Config.SampleShape())), 1e-3); err != nil {
						t.Fatal(err)
					}
				}
				if params[i], err = r.Params(nil); err != nil {
					t.Fatal(err)
				}
			}
			for i, want := range params[1] {
				wantBits(t, fmt.Sprintf("trained parameter %d after three steps", i), params[0][i], want)
			}
		})
	}
}
