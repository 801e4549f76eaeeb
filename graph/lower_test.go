package graph

import (
	"reflect"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"hbar/kernels"
	"hbar/kernels/simd"
)

func TestLoweredProgram(t *testing.T) {
	n := mustNew(t, Spec{D: 2, Width: 5, Depth: 2, Act: "gelu"}, 4)
	p := n.Training()
	want := []kernels.Instr{
		{Dst: 1, Src: 0, Add: -1, W: 0, B: 1, Act: simd.GELU},
		{Dst: 2, Src: 1, Add: -1, W: 2, B: 3, Act: simd.GELU},
		{Dst: 3, Src: 2, Add: -1, W: 4, B: 5, Act: simd.Identity},
	}
	if !reflect.DeepEqual(p.Forward, want) || !reflect.DeepEqual(p.Widths, []int{3, 5, 5, 2}) || p.Output != 3 || p.D != 2 {
		t.Errorf("forward %+v, widths %v, output %d", p.Forward, p.Widths, p.Output)
	}
	const input, params = kernels.BackInput, kernels.BackParams
	back := []kernels.BackInstr{ // each product carries the activation's derivative; no ∂loss/∂x
		{Op: input, Dst: 1, Src: 0, Add: -1, X: -1, Act: 2, W: 4, B: -1},
		{Op: input, Dst: 2, Src: 1, Add: -1, X: -1, Act: 1, W: 2, B: -1},
		{Op: params, Dst: -1, Src: 0, Add: -1, X: 2, Act: -1, W: 4, B: 5},
		{Op: params, Dst: -1, Src: 1, Add: -1, X: 1, Act: -1, W: 2, B: 3},
		{Op: params, Dst: -1, Src: 2, Add: -1, X: 0, Act: -1, W: 0, B: 1},
	}
	if !reflect.DeepEqual(p.Backward, back) || p.LossGrad != 0 {
		t.Errorf("backward %+v", p.Backward)
	}
}

func TestLoweredResidual(t *testing.T) {
	n := mustNew(t, Spec{D: 2, Width: 5, Depth: 3, Act: "silu", Residual: true}, 4)
	p := n.Training()
	for i, add := range []int{-1, 1, 2, -1} {
		if p.Forward[i].Add != add {
			t.Errorf("layer %d adds buffer %d, want %d", i, p.Forward[i].Add, add)
		}
	}
	// h₃ has one gradient that is used twice; h₂ the same plus its own; h₁ one that is used once, so all is one product.
	const input, act = kernels.BackInput, kernels.BackAct
	back := []kernels.BackInstr{
		{Op: input, Dst: 1, Src: 0, Add: -1, X: -1, Act: -1, W: 6, B: -1},
		{Op: act, Dst: 2, Src: 1, Add: -1, X: -1, Act: 3, W: -1, B: -1},
		{Op: input, Dst: 3, Src: 2, Add: 1, X: -1, Act: -1, W: 4, B: -1},
		{Op: act, Dst: 4, Src: 3, Add: -1, X: -1, Act: 2, W: -1, B: -1},
		{Op: input, Dst: 5, Src: 4, Add: 3, X: -1, Act: 1, W: 2, B: -1},
	}
	if got := p.Backward[:5]; !reflect.DeepEqual(got, back) {
		t.Errorf("backward %+v", got)
	}
}

// parts of a small network, to be joined in other ways.
func parts(t *testing.T) (*Network, func(gorgonia.Op, ...*gorgonia.Node) *gorgonia.Node) {
	n := &Network{Spec: Spec{D: 2, Width: 2, Depth: 1, Act: "silu"}}
	ps, err := n.Spec.Initial(1)
	if err != nil {
		t.Fatal(err)
	}
	n.leaves(ps, 4)
	return n, func(o gorgonia.Op, in ...*gorgonia.Node) *gorgonia.Node {
		return gorgonia.Must(gorgonia.ApplyOp(o, in...))
	}
}

func TestLowerRejects(t *testing.T) {
	building.Lock()
	defer building.Unlock()
	type apply = func(gorgonia.Op, ...*gorgonia.Node) *gorgonia.Node
	// Each returns a new output; loss and gradients are made for it as usual.
	for name, c := range map[string]struct {
		output func(n *Network, ap apply) *gorgonia.Node
		want   string
	}{
		"foreign operation": {func(n *Network, ap apply) *gorgonia.Node {
			return gorgonia.Must(gorgonia.Rectify(ap(newDense(), ap(newConcat(), n.X, n.Time), n.Params[0], n.Params[1])))
		}, "has no place in a program; have concat, dense"},
		"activation of the input": {func(n *Network, ap apply) *gorgonia.Node {
			return ap(newDense(), ap(newActivation(simd.SiLU), ap(newConcat(), n.X, n.Time)), n.Params[0], n.Params[1])
		}, "silu: it does not follow a dense layer"},
		"activation twice": {func(n *Network, ap apply) *gorgonia.Node {
			z := ap(newDense(), ap(newConcat(), n.X, n.Time), n.Params[0], n.Params[1])
			return ap(newActivation(simd.SiLU), ap(newActivation(simd.Tanh), z))
		}, "silu: it does not follow a dense layer"},
		"sum and activation of one layer": {func(n *Network, ap apply) *gorgonia.Node {
			z := ap(newDense(), ap(newConcat(), n.X, n.Time), n.Params[0], n.Params[1])
			return ap(newAdd(), z, ap(newActivation(simd.Tanh), z))
		}, "add: its second input"},
		"a shared weight": {func(n *Network, ap apply) *gorgonia.Node {
			h := ap(newDense(), ap(newConcat(), n.X, n.Time), n.Params[0], n.Params[1])
			return ap(newDense(), ap(newDense(), h, n.Params[2], n.Params[3]), n.Params[2], n.Params[3])
		}, "+ "},
	} {
		t.Run(name, func(t *testing.T) {
			n, ap := parts(t)
			n.Output = c.output(n, ap)
			n.Loss = ap(newLoss(), n.Output, n.Target, n.Weight)
			wrt := n.Params[:2]
			if name == "a shared weight" {
				wrt = n.Params
			}
			var err error
			if n.Grads, err = gorgonia.Grad(n.Loss, wrt...); err != nil {
				t.Fatal(err)
			}
			if _, err = lower(&n.Nodes); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// linear is a network of one layer with its loss.
func linear(t *testing.T) *Network {
	n, ap := parts(t)
	n.Params = n.Params[:2]
	n.Output = ap(newDense(), ap(newConcat(), n.X, n.Time), n.Params[0], n.Params[1])
	n.Loss = ap(newLoss(), n.Output, n.Target, n.Weight)
	return n
}

func TestLowerLooksAtWhatIsWanted(t *testing.T) {
	building.Lock()
	defer building.Unlock()
	n := linear(t)
	gorgonia.Must(gorgonia.Rectify(n.Output)) // nobody wants it
	var err error
	if n.Grads, err = gorgonia.Grad(n.Loss, n.Params...); err != nil {
		t.Fatal(err)
	}
	if _, err := lower(&n.Nodes); err != nil {
		t.Errorf("an unwanted operation is in the way: %v", err)
	}
}

func TestLowerRejectsAnotherLoss(t *testing.T) {
	building.Lock()
	defer building.Unlock()
	n := linear(t)
	double := gorgonia.Must(gorgonia.Mul(n.Loss, n.Graph.Constant(gorgonia.NewF32(2))))
	var err error
	if n.Grads, err = gorgonia.Grad(double, n.Params...); err != nil {
		t.Fatal(err)
	}
	if _, err = lower(&n.Nodes); err == nil {
		t.Error("gradients of twice the loss are accepted as those of the loss")
	}
}
