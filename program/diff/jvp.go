package diff

import (
	"hbar/program"
)

// JVP returns p with the tangents of outputs for tangents of leaves (inputs and parameters).
//
// tangents names the input that holds the tangent of each leaf: an input that is there already, or a new one. outputs names the
// new output that is the tangent of each output.
func JVP(p *program.Program, tangents, outputs map[string]string) (*program.Program, error) {
	if err := check(p, tangents, outputs); err != nil {
		return nil, err
	}
	return program.Build(func(b *program.Builder) {
		x, env := inline(b, p, tangents, func(op program.Op) bool {
			_, ok := op.(program.JVP)
			return ok
		})
		primal := b.Program()
		tan := map[program.ID]program.Value{}
		for id, v := range primal.Values {
			if name, ok := tangents[v.Name]; ok && v.Role != program.Derived {
				tan[program.ID(id)] = leafNamed(b, name, b.Value(program.ID(id)))
			}
		}
		for _, in := range primal.Instrs {
			pushTangent(x, in, tan)
		}
		for _, o := range p.Outputs {
			name, ok := outputs[o.Name]
			if !ok {
				continue
			}
			v := env[o.ID]
			d := tan[b.ID(v)]
			if d == nil {
				d = zeros(b, v)
			}
			b.Output(name, d)
		}
	})
}

// pushTangent emits the tangent of an instruction's output, if there is one.
func pushTangent(x *expander, in program.Instr, tan map[program.ID]program.Value) {
	din := make([]program.Value, len(in.In))
	any := false
	for i, id := range in.In {
		din[i] = tan[id]
		any = any || din[i] != nil
	}
	if !any {
		return
	}
	// Ops on values with tangents have the rule: inline has replaced the others.
	d := in.Op.(program.JVP).JVP(x.b, values(x.b, in.In), x.b.Value(in.Out[0]), din)
	if d != nil {
		tan[in.Out[0]] = d
	}
}

func values(b *program.Builder, ids []program.ID) []program.Value {
	vs := make([]program.Value, len(ids))
	for i, id := range ids {
		vs[i] = b.Value(id)
	}
	return vs
}
