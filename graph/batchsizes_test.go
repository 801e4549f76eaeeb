package graph

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"hbar/kernels/fit"
)

func TestBatchSizesOnOneMachine(t *testing.T) {
	eachExecutor(t, testBatchSizes)
}

func testBatchSizes(t *testing.T, machine func(*testing.T, *Network) *Machine) {
	n := mustNew(t, specs[1], Batch)
	m := machine(t, n)
	for _, rowCount := range []int{5, 1, 200, 64, 33} {
		b := draw(n, rowCount)
		loss, g := machineResult(t, m, b)
		zero := make([][]float64, len(g))
		for i := range g {
			zero[i] = make([]float64, len(g[i]))
		}
		if want := loss64(n, b, zero, 0); !(math.Abs(loss-want) <= 32*eps32*want) {
			t.Errorf("%d rows: loss %v, want %v", rowCount, loss, want)
		}
		if m.resident != nil {
			continue
		}
		if alloc := testing.AllocsPerRun(5, func() {
			if err := m.RunAll(); err != nil {
				t.Error(err)
			}
		}); alloc != 0 {
			t.Errorf("%d rows: %v allocations a run", rowCount, alloc)
		}
	}
	b := draw(n, 4)
	if err := m.Bind(b.x[1:], b.time, b.target, b.weight); err == nil {
		t.Error("short x accepted")
	}
}

// The machine drives Gorgonia's own solver: inputs by Let, values and gradients through the nodes.
func TestMachineAsVM(t *testing.T) {
	n := mustNew(t, specs[0], Batch)
	m, err := NewMachine(n, fit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.RunAll(); err == nil || !strings.Contains(err.Error(), "input x has no value") {
		t.Errorf("unbound inputs: error %v", err)
	}
	draw(n, Batch).let(t, n)
	var vm gorgonia.VM = m
	solver := gorgonia.NewVanillaSolver(gorgonia.WithLearnRate(0.5))
	var first, last float64
	for i := range 30 {
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		last, _ = result(t, n)
		if i == 0 {
			first = last
		}
		if err := solver.Step(gorgonia.NodesToValueGrads(n.Params)); err != nil {
			t.Fatal(err)
		}
		vm.Reset()
	}
	if !(last < 0.95*first) {
		t.Errorf("30 steps of descent took the loss from %v to %v", first, last)
	}
}

func TestMachineSteps(t *testing.T) {
	eachExecutor(t, testSteps)
}

func testSteps(t *testing.T, machine func(*testing.T, *Network) *Machine) {
	n := mustNew(t, specs[0], Batch)
	m := machine(t, n)
	b := draw(n, 64)
	if err := m.Bind(b.x, b.time, b.target, b.weight); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(n.training.Params[0].Data)
	r, err := m.Step(1e-3)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, n.training.Params[0].Data) {
		t.Error("a step changed the nodes before Download")
	}
	if err := m.Download(); err != nil {
		t.Fatal(err)
	}
	// Adam's first step moves a parameter with gradient g by lr·|g|/(|g| + 1e-8).
	for i, v := range n.training.Params[0].Data {
		if d := math.Abs(float64(v - before[i])); !(math.Abs(d-1e-3) <= 5e-5) {
			t.Fatalf("parameter %d moved by %v", i, d)
		}
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if loss, _ := result(t, n); !(loss < r.Loss) {
		t.Errorf("loss %v after a step from %v", loss, r.Loss)
	}
}
