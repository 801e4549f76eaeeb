package main

import (
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/ops"
)

// names map names of inputs or outputs to those of their derivatives.
type names = map[string]string

// computed are the arrays that are computed, each with the one that is given for it.
var computed = []struct{ name, of string }{{"out", "x"}, {"jvp", "u"}, {"vjp", "v"}, {"quad", "probe"}, {"quad_grad", "probe"}}

// programs are what computes the results for the arrays that are given: the network with the products of its Jacobian, and the
// quadratic form of the probe with its gradient.
func programs(p *program.Program, given func(name string) bool) ([]*program.Program, error) {
	q, err := p, error(nil)
	if given("u") {
		if q, err = diff.JVP(q, names{"x": "u"}, names{"out": "jvp"}); err != nil {
			return nil, err
		}
	}
	if given("v") {
		if q, err = diff.VJP(q, names{"out": "v"}, names{"x": "vjp"}); err != nil {
			return nil, err
		}
	}
	all := []*program.Program{q}
	if given("probe") {
		if q, err = quadratic(p); err != nil {
			return nil, err
		}
		all = append(all, q)
	}
	return all, nil
}

// quadratic computes quad = eᵀ J e, with e the input probe, and quad_grad, its gradient in x. Its input one is 1, the cotangent
// of quad.
func quadratic(p *program.Program) (*program.Program, error) {
	tangent, err := diff.JVP(p, names{"x": "probe"}, names{"out": "Je"})
	if err != nil {
		return nil, err
	}
	form, err := program.Build(func(b *program.Builder) {
		env := program.Inline(b, tangent, b.Leaves())
		b.Output("quad", ops.Dot(b, env[tangent.Output("Je")], env[tangent.Lookup("probe")]))
	})
	if err != nil {
		return nil, err
	}
	return diff.VJP(form, names{"quad": "one"}, names{"x": "quad_grad"})
}
