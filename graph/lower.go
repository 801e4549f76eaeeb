package graph

import (
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// lowering walks a graph once, inputs first, and gives each node a place: a forward buffer, a gradient buffer, or the
// instruction that has absorbed it.
type lowering struct {
	n     *Nodes
	p     *kernels.ChainTraining
	param map[*gorgonia.Node]int
	uses  map[*gorgonia.Node]int // consumers among the wanted nodes
	fwd   map[*gorgonia.Node]int // forward buffer that holds the node's value
	grad  map[*gorgonia.Node]int // gradient buffer
	read  map[int]bool           // forward buffers that an instruction reads
	sums  map[*gorgonia.Node]int // dense: the forward instruction
	maker map[int]int            // gradient buffer: the backward instruction that writes it
	wgrad map[*gorgonia.Node]paramGrad
}

// paramGrad is what a parameter's gradient is made from.
type paramGrad struct {
	dz, x int // gradient and forward buffer; x is -1 for a bias
}

// lower turns the graph of n into a program. Only what the output, the loss and the gradients need is looked at; any
// operation that has no place in a program is an error with its name.
func lower(n *Nodes) (*kernels.ChainTraining, error) {
	l := &lowering{n: n, p: &kernels.ChainTraining{}, param: map[*gorgonia.Node]int{}, uses: map[*gorgonia.Node]int{},
		fwd: map[*gorgonia.Node]int{}, grad: map[*gorgonia.Node]int{}, sums: map[*gorgonia.Node]int{}, read: map[int]bool{},
		maker: map[int]int{}, wgrad: map[*gorgonia.Node]paramGrad{}}
	for i, q := range n.Params {
		s := q.Shape()
		rows, cols := s[0], 1
		if len(s) == 2 {
			cols = s[1]
		}
		l.param[q] = i
		l.p.Params = append(l.p.Params, kernels.Param{Name: q.Name(), Rows: rows, Cols: cols, Data: data(q.Value())})
	}
	sorted, err := gorgonia.Sort(n.Graph) // outputs first
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	wanted := map[*gorgonia.Node]bool{n.Output: true, n.Loss: true}
	for _, g := range n.Grads {
		wanted[g] = true
	}
	for _, node := range sorted {
		if wanted[node] {
			for _, in := range inputs(node) {
				wanted[in] = true
				l.uses[in]++
			}
		}
	}
	for i := len(sorted) - 1; i >= 0; i-- {
		if node := sorted[i]; wanted[node] && node.Op() != nil {
			if err := l.place(node, inputs(node)); err != nil {
				return nil, fmt.Errorf("graph: %s: %w", node.Op(), err)
			}
		}
	}
	return l.p, l.finish()
}

// inputs are the nodes that a node is computed from, in order.
func inputs(n *gorgonia.Node) []*gorgonia.Node {
	it := n.Graph().From(n.ID())
	if it == nil {
		return nil
	}
	var in []*gorgonia.Node
	for it.Next() {
		in = append(in, it.Node().(*gorgonia.Node))
	}
	return in
}

// place gives a node its place. All of its inputs have theirs.
func (l *lowering) place(n *gorgonia.Node, in []*gorgonia.Node) error {
	switch op := n.Op().(type) {
	case *concat:
		return l.input(n, in)
	case *dense:
		return l.dense(n, in)
	case *activation:
		return l.activation(n, in[0], op.f)
	case *add:
		return l.residual(n, in[0], in[1])
	case *loss:
		return l.loss(in)
	case *lossGrad:
		if err := l.loss(in[:3]); err != nil {
			return err
		}
		if err := one(in[3]); err != nil {
			return err
		}
		l.p.LossGrad = l.newGrad(n, l.n.Output.Shape()[1])
		return nil
	case *denseInput:
		return l.denseInput(n, in[0], in[1])
	case *activationGrad:
		return l.activationGrad(n, in[0], in[1])
	case *denseWeight:
		dz, ok := l.grad[in[0]]
		x, ok2 := l.fwd[in[1]]
		if !ok || !ok2 {
			return fmt.Errorf("its inputs are not a gradient and a layer's input")
		}
		l.wgrad[n] = paramGrad{dz, x}
		return nil
	case *denseBias:
		dz, ok := l.grad[in[0]]
		if !ok {
			return fmt.Errorf("its input is not a gradient")
		}
		l.wgrad[n] = paramGrad{dz, -1}
		return nil
	}
	if isConstant(n.Op()) {
		return nil
	}
	if isSum(n.Op()) {
		return l.sum(n, in[0], in[1])
	}
	return fmt.Errorf("operation of type %T has no place in a program; have concat, dense, silu, gelu, tanh, add, loss and their gradients", n.Op())
}

func (l *lowering) input(n *gorgonia.Node, in []*gorgonia.Node) error {
	if in[0] != l.n.X || in[1] != l.n.Time || len(l.p.Widths) > 0 {
		return fmt.Errorf("it must join x and time, once")
	}
	l.p.D = l.n.X.Shape()[1]
	l.newFwd(n)
	return nil
}

func (l *lowering) newFwd(n *gorgonia.Node) int {
	l.p.Widths = append(l.p.Widths, n.Shape()[1])
	l.fwd[n] = len(l.p.Widths) - 1
	return l.fwd[n]
}

func (l *lowering) dense(n *gorgonia.Node, in []*gorgonia.Node) error {
	src, ok := l.fwd[in[0]]
	w, okW := l.param[in[1]]
	b, okB := l.param[in[2]]
	if !ok || !okW || !okB {
		return fmt.Errorf("its inputs %v are not a value of the network and two parameters", in)
	}
	l.read[src] = true
	l.sums[n] = len(l.p.Forward)
	l.p.Forward = append(l.p.Forward, kernels.Instr{Op: kernels.OpDense, Dst: l.newFwd(n), Src: src, Add: -1, W: w, B: b, Act: simd.Identity})
	return nil
}

// activation is absorbed by the dense layer before it, whose sum nothing else may need (but the activation's gradient,
// which takes f′ from the layer).
func (l *lowering) activation(n, z *gorgonia.Node, f simd.Act) error {
	i, ok := l.sums[z]
	if !ok || l.p.Forward[i].Act != simd.Identity || l.read[l.fwd[z]] {
		return fmt.Errorf("it does not follow a dense layer of its own")
	}
	l.p.Forward[i].Act = f
	l.fwd[n] = l.fwd[z]
	delete(l.fwd, z)
	return nil
}

// residual is absorbed by the layer that makes b.
func (l *lowering) residual(n, a, b *gorgonia.Node) error {
	add, ok := l.fwd[a]
	dst, ok2 := l.fwd[b]
	if !ok || !ok2 || dst == 0 || l.uses[b] != 1 {
		return fmt.Errorf("its second input is not the result of a layer, for it alone")
	}
	for i := range l.p.Forward {
		if q := &l.p.Forward[i]; q.Dst == dst {
			if q.Add >= 0 || add >= dst {
				return fmt.Errorf("its inputs are not an earlier value and a layer's")
			}
			q.Add = add
			l.read[add] = true
		}
	}
	l.fwd[n] = dst
	delete(l.fwd, b)
	return nil
}

func (l *lowering) loss(in []*gorgonia.Node) error {
	if in[0] != l.n.Output || in[1] != l.n.Target || in[2] != l.n.Weight {
		return fmt.Errorf("it must compare the output with target and weight")
	}
	return nil
}

func (l *lowering) newGrad(n *gorgonia.Node, width int) int {
	l.p.GradWidths = append(l.p.GradWidths, width)
	l.grad[n] = len(l.p.GradWidths) - 1
	return l.grad[n]
}

// emit appends a backward instruction that writes the gradient of node n.
func (l *lowering) emit(n *gorgonia.Node, in kernels.BackInstr) {
	in.Dst = l.newGrad(n, n.Shape()[1])
	l.maker[in.Dst] = len(l.p.Backward)
	l.p.Backward = append(l.p.Backward, in)
}

func (l *lowering) denseInput(n, dy, w *gorgonia.Node) error {
	src, ok := l.grad[dy]
	wi, okW := l.param[w]
	if !ok || !okW {
		return fmt.Errorf("its inputs are not a gradient and a parameter")
	}
	l.emit(n, kernels.BackInstr{Op: kernels.BackInput, Src: src, Add: -1, X: -1, Act: -1, W: wi, B: -1})
	return nil
}

// product is the instruction that makes the gradient of n as a product, if n is used once and more can be fused into it.
func (l *lowering) product(n *gorgonia.Node) *kernels.BackInstr {
	i, ok := l.maker[l.grad[n]]
	if !ok || l.uses[n] != 1 || l.p.Backward[i].Op != kernels.BackInput || l.p.Backward[i].Act >= 0 {
		return nil
	}
	return &l.p.Backward[i]
}

func (l *lowering) activationGrad(n, z, dy *gorgonia.Node) error {
	i, ok := l.sums[z]
	g, okG := l.grad[dy]
	if !ok || !okG {
		return fmt.Errorf("its inputs are not a dense layer's sum and a gradient")
	}
	act := l.p.Forward[i].Dst
	if q := l.product(dy); q != nil {
		q.Act = act
		l.grad[n] = g
		return nil
	}
	l.emit(n, kernels.BackInstr{Op: kernels.BackAct, Src: g, Add: -1, X: -1, Act: act, W: -1, B: -1})
	return nil
}

// sum is Gorgonia's addition of the gradients of a value with several consumers. The product that makes one of them
// starts from the other, which must be there by then.
func (l *lowering) sum(n, a, b *gorgonia.Node) error {
	_, ok := l.grad[a]
	_, ok2 := l.grad[b]
	if !ok || !ok2 {
		return fmt.Errorf("it adds what are not gradients of the network's values")
	}
	for _, o := range [][2]*gorgonia.Node{{a, b}, {b, a}} {
		g, other := l.grad[o[0]], l.grad[o[1]]
		if q := l.product(o[0]); q != nil && q.Add < 0 && l.before(other, g) {
			q.Add = other
			l.grad[n] = g
			return nil
		}
	}
	return fmt.Errorf("neither of the gradients it adds is a dense layer's that can start from the other")
}

// before reports whether gradient a is written before b.
func (l *lowering) before(a, b int) bool {
	i, ok := l.maker[a]
	return !ok || i < l.maker[b] // the loss's gradient has no instruction and is first
}

// finish pairs the gradients of weights and biases and checks that the output is there.
func (l *lowering) finish() error {
	out, ok := l.fwd[l.n.Output]
	if !ok {
		return fmt.Errorf("graph: the output is not a value that the program keeps")
	}
	l.p.Output = out
	for i := len(l.p.Forward) - 1; i >= 0; i-- {
		q := l.p.Forward[i]
		w, okW := l.wgrad[l.n.Grads[q.W]]
		b, okB := l.wgrad[l.n.Grads[q.B]]
		if !okW || !okB || w.dz != b.dz || w.x != q.Src || b.x >= 0 {
			return fmt.Errorf("graph: the gradients of %s and %s are not those of one dense layer", l.p.Params[q.W].Name, l.p.Params[q.B].Name)
		}
		l.p.Backward = append(l.p.Backward, kernels.BackInstr{Op: kernels.BackParams, Dst: -1, Src: w.dz, Add: -1, X: w.x, Act: -1, W: q.W, B: q.B})
	}
	return nil
}

// isConstant recognises Gorgonia's constants, of which Grad uses one: ∂loss/∂loss = 1.
func isConstant(op gorgonia.Op) bool {
	_, ok := op.(interface{ Value() gorgonia.Value })
	return ok
}

func one(n *gorgonia.Node) error {
	if n.Op() != nil && isConstant(n.Op()) {
		if v, ok := n.Value().Data().(float32); ok && v == 1 {
			return nil
		}
	}
	return fmt.Errorf("the gradient that enters the loss is %v; it must be the constant 1", n)
}

// isSum recognises Gorgonia's "+" of two matrices, the only other operation that Grad adds. Its type is not exported, so
// it is compared with the operation of a sum made for that.
func isSum(op gorgonia.Op) bool {
	return fmt.Sprintf("%T", op) == fmt.Sprintf("%T", plus()) && op == plus()
}

var plus = sync.OnceValue(func() gorgonia.Op {
	g := gorgonia.NewGraph()
	term := func(name string) *gorgonia.Node {
		return gorgonia.NewMatrix(g, float32s, gorgonia.WithShape(2, 2), gorgonia.WithName(name))
	}
	return gorgonia.Must(gorgonia.Add(term("a"), term("b"))).Op()
})
