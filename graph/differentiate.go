package graph

import (
	"fmt"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"

	"hbar/program"
	"hbar/program/ops"
)

// Differentiated is a network with its loss and gradients, as a Gorgonia graph and as the program that the graph is read back
// to.
type Differentiated struct {
	Graph  *gorgonia.ExprGraph
	Inputs map[string]*gorgonia.Node // those of the network, and target and weight
	Params map[string]*gorgonia.Node // all, without values
	Output *gorgonia.Node
	Loss   *gorgonia.Node // a scalar
	Grads  map[string]*gorgonia.Node

	// Program has the inputs of the network and target (like x) and weight ([1]); the outputs "out", "losses", the loss of
	// each sample, "loss", their sum, and the gradient of each trained parameter under GradName.
	Program *program.Program
}

// GradName is the output that is the gradient of a parameter.
func GradName(param string) string { return "gradient " + param }

// Differentiate makes the Gorgonia graph of a program with output "out" and of the loss
//
//	Σ_i weight_i |out_i − target_i|²,
//
// differentiates it by gorgonia.Grad with respect to the parameters named, and reads the result back as a program. batch is the
// number of samples that the nodes have; the program takes any.
func Differentiate(p *program.Program, params []string, batch int) (*Differentiated, error) {
	return differentiate(p, params, batch, lossOf{scale: 1, weight: []int{1}})
}

// lossOf says how the loss is made: a factor, and the shape of a sample's weight, [1] or the empty one.
type lossOf struct {
	scale  float64
	weight []int
}

func differentiate(p *program.Program, params []string, batch int, l lossOf) (*Differentiated, error) {
	out := p.Output("out")
	if out == program.None {
		return nil, fmt.Errorf("graph: the program has no output named out")
	}
	return derive(p, params, batch, l.scale, func(d *Differentiated, e *emitter, env []program.Value) *value {
		y := env[out].(*value)
		target := e.leaf(program.Info{Name: "target", Shape: y.shape, Rate: program.Sample, Role: program.Input})
		weight := e.leaf(program.Info{Name: "weight", Shape: l.weight, Rate: program.Sample, Role: program.Input})
		d.Inputs["target"], d.Inputs["weight"], d.Output = target.node, weight.node, y.node
		return e.Apply(ops.SquaredError{}, y, target, ops.Shape(e, weight, 1))[0].(*value)
	})
}

// DifferentiateLosses is Differentiate for a program that computes the loss itself, as its output "losses" ([1], one for each sample)
// of whatever inputs it has. The result has the outputs "losses", "loss" and the gradients alone.
func DifferentiateLosses(p *program.Program, params []string, batch int) (*Differentiated, error) {
	losses := p.Output("losses")
	if losses == program.None {
		return nil, fmt.Errorf("graph: the program has no output named losses")
	}
	if v := p.Values[losses]; v.Rate != program.Sample || !slices.Equal(v.Shape, []int{1}) {
		return nil, fmt.Errorf("graph: losses of shape %v and rate %v; want [1], one for each sample", v.Shape, v.Rate)
	}
	return derive(p, params, batch, 1, func(_ *Differentiated, _ *emitter, env []program.Value) *value { return env[losses].(*value) })
}

// derive writes p as a graph, has make add the losses of the samples, and differentiates scale times their sum.
func derive(p *program.Program, params []string, batch int, scale float64, add func(d *Differentiated, e *emitter, env []program.Value) *value) (d *Differentiated, err error) {
	building.Lock()
	defer building.Unlock()
	defer recovered(&err)
	e := newEmitter(batch)
	d = &Differentiated{Graph: e.graph, Inputs: map[string]*gorgonia.Node{}, Params: map[string]*gorgonia.Node{}, Grads: map[string]*gorgonia.Node{}}
	env := program.Inline(e, p, func(_ program.ID, v program.Info) program.Value {
		l := e.leaf(v)
		if v.Role == program.Param {
			d.Params[v.Name] = l.node
		} else {
			d.Inputs[v.Name] = l.node
		}
		return l
	})
	losses := add(d, e, env)
	loss := ops.Affine(e, scale, 0, ops.Shape(e, e.Apply(ops.SumBatch{}, losses)[0])).(*value)
	d.Loss = loss.node

	wrt := make(gorgonia.Nodes, len(params))
	for i, name := range params {
		if wrt[i] = d.Params[name]; wrt[i] == nil {
			return nil, fmt.Errorf("graph: no parameter is named %q", name)
		}
	}
	grads, err := gorgonia.Grad(loss.node, wrt...)
	if err != nil {
		return nil, fmt.Errorf("graph: the gradient: %w", err)
	}
	for i, name := range params {
		d.Grads[name] = grads[i]
	}
	d.Program, err = e.read(p, func(b *program.Builder, read func(*gorgonia.Node) program.Value) {
		if d.Output != nil {
			b.Output("out", read(d.Output))
		}
		b.Output("losses", read(losses.node))
		b.Output("loss", read(loss.node))
		for i, name := range params {
			b.Output(GradName(name), read(grads[i]))
		}
	})
	if err != nil {
		return nil, err
	}
	d.Program = program.Early(d.Program)
	return d, nil
}

// read reads nodes back as a program with the inputs and parameters of p, in their order, and target and weight where the loss added them.
func (e *emitter) read(p *program.Program, outputs func(b *program.Builder, read func(*gorgonia.Node) program.Value)) (*program.Program, error) {
	return program.Build(func(b *program.Builder) {
		r := &reader{e: e, b: b, values: map[*gorgonia.Node]program.Value{}, made: map[*operation][]program.Value{}, order: order(e.graph)}
		leaves := map[string]*gorgonia.Node{}
		for n, v := range e.nodes {
			if v.op == nil && n.IsVar() {
				leaves[n.Name()] = n
			}
		}
		leaf := b.Leaves()
		for id, v := range p.Values {
			if v.Role != program.Derived {
				r.values[leaves[v.Name]] = leaf(program.ID(id), v)
			}
		}
		for _, name := range []string{"target", "weight"} {
			if leaves[name] == nil || p.Lookup(name) != program.None {
				continue // p has it
			}
			v := e.nodes[leaves[name]]
			r.values[leaves[name]] = b.Input(name, v.rate, v.shape...)
		}
		outputs(b, r.read)
	})
}

// reader turns nodes into values.
type reader struct {
	e      *emitter
	b      *program.Builder
	values map[*gorgonia.Node]program.Value
	made   map[*operation][]program.Value
	order  map[*gorgonia.Node]int
}

// order numbers the nodes so that all come after their inputs.
func order(g *gorgonia.ExprGraph) map[*gorgonia.Node]int {
	sorted, err := gorgonia.Sort(g)
	if err != nil {
		panic(failure{fmt.Errorf("graph: %w", err)})
	}
	n := map[*gorgonia.Node]int{}
	for i, node := range sorted { // users first
		n[node] = len(sorted) - i
	}
	return n
}

// read returns a node's value. It emits what is missing in the order of the graph, without recursion: graphs are deep.
func (r *reader) read(n *gorgonia.Node) program.Value {
	missing := map[*gorgonia.Node]bool{}
	for todo := []*gorgonia.Node{n}; len(todo) > 0; {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if r.values[m] != nil || missing[m] {
			continue
		}
		missing[m] = true
		todo = append(todo, r.inputs(m)...)
	}
	nodes := make([]*gorgonia.Node, 0, len(missing))
	for m := range missing {
		nodes = append(nodes, m)
	}
	slices.SortFunc(nodes, func(a, b *gorgonia.Node) int { return r.order[a] - r.order[b] })
	for _, m := range nodes {
		r.emit(m)
	}
	return r.values[n]
}

func (r *reader) inputs(n *gorgonia.Node) []*gorgonia.Node {
	if n.Op() == nil {
		return nil
	}
	return inputs(n)
}

func (r *reader) emit(n *gorgonia.Node) {
	in := r.inputs(n)
	args := make([]program.Value, len(in))
	for i, m := range in {
		args[i] = r.values[m]
	}
	switch op := n.Op().(type) {
	case *operation:
		r.made[op] = r.b.Apply(op.op, args...)
		r.values[n] = r.made[op][0]
	case *pick:
		r.values[n] = r.made[r.e.nodes[in[0]].op][op.output]
	default:
		switch {
		case n.Op() == nil:
			panic(failure{fmt.Errorf("graph: node %v is no input of the network", n)})
		case isConstant(n.Op()):
			r.values[n] = r.b.Apply(ops.Fill{Value: float64(n.Value().Data().(float32)), Shape: []int{}})[0]
		case isAddition(n.Op()):
			r.values[n] = ops.Sum(r.b, args[0], args[1])
		default:
			panic(failure{fmt.Errorf("graph: operation %v of Gorgonia's has no place in a program", n.Op())})
		}
	}
}

// isAddition recognises Gorgonia's "+" of two arrays of one shape, with which Grad adds the gradients of a value that is used
// more than once. Its type is not exported: it is compared with the operation of a sum that is made for that.
func isAddition(op gorgonia.Op) bool {
	return fmt.Sprintf("%T %v", op, op) == fmt.Sprintf("%T %v", plus(), plus())
}

// isConstant recognises Gorgonia's constants, of which Grad uses one: ∂loss/∂loss = 1.
func isConstant(op gorgonia.Op) bool {
	_, ok := op.(interface{ Value() gorgonia.Value })
	return ok
}

var plus = sync.OnceValue(func() gorgonia.Op {
	g := gorgonia.NewGraph()
	term := func(name string) *gorgonia.Node {
		return gorgonia.NewMatrix(g, float32s, gorgonia.WithShape(2, 2), gorgonia.WithName(name))
	}
	return gorgonia.Must(gorgonia.Add(term("a"), term("b"))).Op()
})

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
