//go:build gpu && cgo

package graph

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/cuda"
	"hbar/kernels/fit"
)

// With a GPU, or the emulated driver, the tests of machines run on a device too.
func init() {
	executors = append(executors, struct {
		name    string
		machine func(t *testing.T, n *Network) *Machine
	}{"cuda", onDevice})
}

func needGPU(t *testing.T) {
	t.Helper()
	err := cuda.Available()
	if err != nil && os.Getenv("HBAR_LIBCUDA") != "" {
		t.Fatal(err) // who names a driver wants the tests run
	}
	if err != nil {
		t.Skip(err)
	}
}

func onDevice(t *testing.T, n *Network) *Machine {
	t.Helper()
	needGPU(t)
	d, err := cuda.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if u, err := d.Usage(); err != nil || u.InUse != 0 {
			t.Errorf("%d bytes are in use after the machine's end, %v", u.InUse, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	tr, err := cuda.NewTrainer(d, n.Training(), fit.Options{Batch: 5}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMachineOn(n, tr)
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, m)
}

// put uploads numbers to the tensor of a node.
func put(t *testing.T, n *gorgonia.Node, x []float32) {
	t.Helper()
	v := n.Value().(*tensor.Dense)
	if v.IsNativelyAccessible() {
		t.Fatalf("%s is in Go's memory", n.Name())
	}
	if err := v.Engine().(Carrier).Upload(v, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(x))); err != nil {
		t.Fatal(err)
	}
}

// The nodes' values are the device's memory: what is uploaded to them is what the machine runs on, and its results are
// theirs.
func TestDeviceNodes(t *testing.T) {
	for _, s := range specs {
		const rowCount = 9
		n, ref := mustNew(t, s, rowCount), mustNew(t, s, rowCount)
		m := onDevice(t, n)
		b := draw(n, rowCount)
		var vm gorgonia.VM = m
		for turn := range 2 { // the second time with other parameters
			for i, p := range n.Params {
				x := slices.Clone(ref.training.Params[i].Data)
				for j := range x {
					x[j] *= 1 - 0.25*float32(turn)
				}
				copy(ref.training.Params[i].Data, x)
				put(t, p, x)
			}
			put(t, n.X, b.x)
			put(t, n.Time, b.time)
			put(t, n.Target, b.target)
			put(t, n.Weight, b.weight)
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			loss, g := result(t, n)
			b.let(t, ref)
			tape := gorgonia.NewTapeMachine(ref.Graph)
			if err := tape.RunAll(); err != nil {
				t.Fatal(err)
			}
			wantLoss, want := result(t, ref)
			if !(math.Abs(loss-wantLoss) <= 32*eps32*wantLoss) {
				t.Errorf("%+v: loss %v, TapeMachine %v", s, loss, wantLoss)
			}
			if e := relative(g, want); !(e <= 32*eps32) {
				t.Errorf("%+v: gradient differs by %.2g", s, e)
			}
			out, wantOut := numbers(t, n.Output.Value()), numbers(t, ref.Output.Value())
			if e := relative([][]float32{out}, [][]float32{wantOut}); !(e <= 32*eps32) {
				t.Errorf("%+v: output differs by %.2g", s, e)
			}
			tape.Close()
		}
		// the parameters of the host are as they were, until Download
		if p, q := n.training.Params[0].Data[0], ref.training.Params[0].Data[0]; p == q {
			t.Errorf("%+v: parameter %v without Download", s, p)
		}
		if err := m.Download(); err != nil {
			t.Fatal(err)
		}
		for i, p := range n.training.Params {
			if !slices.Equal(p.Data, ref.training.Params[i].Data) {
				t.Errorf("%+v: %s after Download differs from what was uploaded", s, p.Name)
			}
		}
	}
}

// Steps on a device's batch are those on the CPU.
func TestDeviceSteps(t *testing.T) {
	n, ref := mustNew(t, specs[0], 16), mustNew(t, specs[0], 16)
	m, cpu := onDevice(t, n), executors[0].machine(t, ref)
	b := draw(n, 16)
	if err := cpu.Bind(b.x, b.time, b.target, b.weight); err != nil {
		t.Fatal(err)
	}
	put(t, n.X, b.x)
	put(t, n.Time, b.time)
	put(t, n.Target, b.target)
	put(t, n.Weight, b.weight)
	for k := range 10 {
		r, err := m.Step(1e-2)
		if err != nil {
			t.Fatal(err)
		}
		want, err := cpu.Step(1e-2)
		if err != nil {
			t.Fatal(err)
		}
		// Adam divides small gradients by their size: its steps multiply differences of rounding
		if !(math.Abs(r.Loss-want.Loss) <= 1e-4*want.Loss) {
			t.Errorf("step %d: loss %v, on the CPU %v", k, r.Loss, want.Loss)
		}
	}
}

// A closed machine leaves nodes that can be read.
func TestDeviceClose(t *testing.T) {
	needGPU(t)
	n := mustNew(t, specs[0], 4)
	t.Run("open", func(t *testing.T) { onDevice(t, n) })
	for _, p := range append(slices.Clone(n.Params), n.X, n.Grads[0], n.Output) {
		if v := p.Value().(*tensor.Dense); !v.IsNativelyAccessible() {
			t.Errorf("%s is still on the device", p.Name())
		}
	}
	if got := data(n.Params[0].Value()); &got[0] != &n.training.Params[0].Data[0] {
		t.Error("a parameter's tensor is not the network's memory")
	}
	if _, err := NewMachineOn(n, failing{}); err == nil || !strings.Contains(err.Error(), "no tensors here") {
		t.Errorf("an executor without tensors: %v", err)
	}
}

// failing is a Resident that has nothing.
type failing struct{ Resident }

func (failing) ParamTensors() (params, grads []*tensor.Dense, err error) {
	return nil, nil, errors.New("no tensors here")
}
func (failing) Close() error { return nil }
