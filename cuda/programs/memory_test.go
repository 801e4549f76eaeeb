//go:build gpu && cgo

package programs

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/general"
	"hbar/nets"
	"hbar/program"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// gradients is the program of the derivatives of a normalisation, with an executor, a batch of n samples and its outputs.
func gradients(t *testing.T, d *driver.Device, n, block int) (*Executor, *general.Batch) {
	t.Helper()
	c := opstest.Case{Op: ops.RMSNorm{Eps: 1e-5}, In: [][]int{{5, 8}, {8}}, Shared: map[int]bool{1: true}}
	all, err := c.Programs()
	if err != nil {
		t.Fatal(err)
	}
	p := all[1]
	x, err := NewExecutor(d, NewKernels(d), p, Options{Block: block})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &general.Batch{N: n, In: map[string][]float32{}, Wide: map[string][]float64{}, Out: map[string][]float32{}}
	params := map[string][]float32{}
	for name, given := range opstest.Random(p, c, n, rand.New(rand.NewPCG(7, 0))) {
		f := make([]float32, len(given))
		for i, v := range given {
			f[i] = float32(v)
		}
		if p.Values[p.Lookup(name)].Role == program.Param {
			params[name] = f
		} else {
			b.In[name] = f
		}
	}
	for _, o := range p.Outputs {
		v := p.Values[o.ID]
		b.Out[o.Name] = make([]float32, general.Rows(v.Rate, n)*program.Size(v.Shape))
	}
	if err := x.SetParams(params); err != nil {
		t.Fatal(err)
	}
	return x, b
}

// outputsOf runs a batch and returns its outputs in the order of the program.
func outputsOf(t *testing.T, x *Executor, b *general.Batch) (all []float32) {
	t.Helper()
	if err := x.RunContext(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	for _, o := range x.prog.Outputs {
		all = append(all, b.Out[o.Name]...)
	}
	return all
}

// TestTrainingMemory: what values that are bf16 in memory save of a sample's memory in training. docs/cuda.md has the numbers.
func TestTrainingMemory(t *testing.T) {
	d, k := device(t)
	if !warpgroups(d, exec.BF16) {
		t.Skip("no products on warpgroups")
	}
	for _, name := range []string{"cifar10", "dit-s2"} {
		c, err := nets.Preset(name, []int{32, 32, 3}, 10)
		if err != nil {
			t.Fatal(err)
		}
		n, err := nets.New(c)
		if err != nil {
			t.Fatal(err)
		}
		p := TrainingOf(t, n).Program
		var mb [2]float64
		for i, o := range []Options{{Precision: exec.BF16}, {Precision: exec.BF16, float32: true}} {
			x, err := NewExecutor(d, k, p, o)
			if err != nil {
				t.Fatal(err)
			}
			mb[i] = 4e-6 * float64(x.sizes.perSample)
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%s: %.1f MB for a sample; all in float32 %.1f MB", name, mb[0], mb[1])
		if mb[0] > 0.8*mb[1] {
			t.Errorf("%s: bf16 saves less than a fifth", name)
		}
	}
}

// Where the device has no memory for a block, blocks of a multiple of 16 samples give the same bits. They are large again once there is memory.
func TestSmallerBlocks(t *testing.T) {
	const n = 100
	d := cudatest.Open(t)
	cudatest.Emulated(t)
	x, b := gradients(t, d, n, n)
	u, err := d.Usage()
	if err != nil {
		t.Fatal(err)
	}
	each := 4 * (x.sizes.perSample + x.sizes.scratchSample)
	t.Setenv("HBAR_EMU_MEMORY", strconv.Itoa(int(u.InUse)+70*each+4*x.sizes.scratchShared))
	small := outputsOf(t, x, b)
	if x.Block() != 48 {
		t.Errorf("memory for 70 samples takes blocks of %d; want 48", x.Block())
	}
	t.Setenv("HBAR_EMU_MEMORY", "")
	if large := outputsOf(t, x, b); !slices.Equal(small, large) {
		t.Error("blocks of 48 and of 100 samples have other results")
	}
	if x.Block() != n {
		t.Errorf("with memory for all blocks have %d samples; want %d", x.Block(), n)
	}
	for n, want := range map[int]int{2: 1, 15: 8, 16: 8, 17: 16, 31: 16, 47: 16, 64: 32, 100: 48} {
		if got := less(n); got != want {
			t.Errorf("a block after one of %d samples has %d; want %d", n, got, want)
		}
	}
}

// Graphs are kept of some sizes of batches only, and results do not depend on it.
func TestManyGraphs(t *testing.T) {
	d := cudatest.Open(t)
	x, b := gradients(t, d, 1, 64)
	var first []float32
	for round := range 2 {
		for n := 1; n <= 2*mostGraphs; n++ {
			for range 3 {
				batch := &general.Batch{N: n, In: map[string][]float32{}, Wide: b.Wide, Out: map[string][]float32{}}
				for name, v := range b.In {
					rate := x.prog.Values[x.prog.Lookup(name)].Rate
					batch.In[name] = slices.Repeat(v, general.Rows(rate, n))
				}
				for _, o := range x.prog.Outputs {
					v := x.prog.Values[o.ID]
					batch.Out[o.Name] = make([]float32, general.Rows(v.Rate, n)*program.Size(v.Shape))
				}
				got := outputsOf(t, x, batch)[0]
				if first = append(first, got); got != first[0] {
					t.Errorf("round %d, batch of %d: the first output is %v; want %v", round, n, got, first[0])
				}
			}
			if len(x.graphs) > mostGraphs {
				t.Fatalf("%d passes are kept; want at most %d", len(x.graphs), mostGraphs)
			}
		}
	}
}

// A label that is no row of its table is an error that names it, on the way of a batch and on that of a block of a trainer or a trajectory.
func TestLabels(t *testing.T) {
	d := cudatest.Open(t)
	c := opstest.Case{Op: ops.Embedding{}, In: [][]int{{4, 6}, {1}}, Integer: map[int]bool{1: true}, Shared: map[int]bool{0: true}}
	all, err := c.Programs()
	if err != nil {
		t.Fatal(err)
	}
	p := all[0]
	x, err := NewExecutor(d, NewKernels(d), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var label program.ID
	for id := range x.labels {
		label = id
	}
	table, name := "", x.prog.Values[label].Name
	for _, v := range p.Values {
		if v.Role == program.Param {
			table = v.Name
		}
	}
	if err := x.SetParams(map[string][]float32{table: cudatest.Ramp(24)}); err != nil {
		t.Fatal(err)
	}
	if err := x.grow(2); err != nil {
		t.Fatal(err)
	}
	for _, y := range []float64{4, -1, 1e300} {
		b := &general.Batch{N: 2, Wide: map[string][]float64{name: {3, y}}}
		for _, err := range []error{x.RunContext(context.Background(), b), x.upload(label, b, 0, 2)} {
			if err == nil || !strings.Contains(err.Error(), "has the label "+strconv.FormatFloat(y, 'g', -1, 64)+"; its table has 4 rows") {
				t.Errorf("label %v: %v", y, err)
			}
		}
	}
}

// A block that is chosen or made smaller has whole groups of samples, whose sums are then the same for any block, also where indices of 32 bits bound it.
func TestChooseBlock(t *testing.T) {
	for _, c := range []struct{ given, largest, want int }{
		{0, 1, DefaultBlock}, {0, 1 << 22, 496}, {600, 1 << 22, 496}, {100, 1 << 22, 100}, {0, 1 << 28, 7}, {0, 1 << 30, 1}, {40, 1 << 27, 15},
	} {
		x := &Executor{}
		if err := x.chooseBlock(Options{Block: c.given, Memory: 1 << 40}, c.largest); err != nil || x.block != c.want {
			t.Errorf("block %d of values of %d numbers: %d, %v; want %d", c.given, c.largest, x.block, err, c.want)
		}
	}
}
