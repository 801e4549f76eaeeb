package sequence

import (
	"context"

	"hbar/kernels/cpu"
	"hbar/nets"
)

// runner runs a program of a model's network.
type runner struct {
	x    *cpu.Executor
	team *cpu.Team
}

// runner binds the model's weights to a network of its configuration. Close it when done.
func (m *Model) runner(n *nets.Network, err error) (*runner, error) {
	if err != nil {
		return nil, err
	}
	team := cpu.NewTeam(0)
	x, err := cpu.NewExecutor(n.Program, team, cpu.Options{})
	if err == nil {
		err = x.SetParams(m.Weights())
	}
	if err != nil {
		team.Close()
		return nil, err
	}
	return &runner{x, team}, nil
}

func (r *runner) close() { r.team.Close() }

// Evaluate is the mean −log p in nats of the symbols at positions from … length−1 of windows of a text, each given the symbols before it in its window. The
// windows overlap so that the scored positions are consecutive. Growth is clamped where length exceeds the
// training window.
func (m *Model) Evaluate(ctx context.Context, text []int32, from, length int) (float64, error) {
	if length > m.Window {
		m, _ = m.Clamped()
	}
	r, err := m.runner(m.TrainingLosses(length))
	if err != nil {
		return 0, err
	}
	defer r.close()
	const perPass = 16
	var starts []int
	for s := 0; s+length+1 <= len(text); s += length - from {
		starts = append(starts, s)
	}
	x, target := make([]float32, perPass*length*m.Inputs), make([]float32, perPass*length*m.Outputs)
	ones, losses := make([]float64, perPass), make([]float64, perPass)
	for i := range ones {
		ones[i] = 1
	}
	sum := 0.0
	for i := 0; i < len(starts); i += perPass {
		n := min(perPass, len(starts)-i)
		clear(x)
		clear(target)
		for k := range n {
			s := starts[i+k]
			indicators(x[k*length*m.Inputs:], text[s:s+length], m.Inputs)
			indicators(target[(k*length+from)*m.Outputs:], text[s+from+1:s+length+1], m.Outputs)
		}
		b := &cpu.Batch{N: n, In: map[string][]float32{"x": x[:n*length*m.Inputs], "target": target[:n*length*m.Outputs]},
			Wide: map[string][]float64{"weight": ones[:n]}, WideOut: map[string][]float64{"losses": losses[:n]}}
		if err := r.x.RunContext(ctx, b); err != nil {
			return 0, err
		}
		for _, l := range losses[:n] {
			sum += l
		}
	}
	return sum / float64(len(starts)*(length-from)), nil
}
