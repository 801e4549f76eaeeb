package cpu

import (
	"hbar/kernels"
	"hbar/kernels/general"
	"hbar/program"
)

// EngineOptions say how an Engine runs a network.
type EngineOptions struct {
	Workers int   // goroutines; 0: GOMAXPROCS
	Memory  int64 // bytes for the values of a block of samples; 0: 1 GiB

	// Label, None and Guidance are those of general.Condition.
	Label    func(sample uint64) float64
	None     float64
	Guidance float64
}

// Engine evaluates a network n(x, τ) of any kind, its derivatives and whole trajectories on all workers: a general.Engine.
type Engine struct {
	*general.Engine
	team *Team
}

// NewEngine returns an engine of a network with the inputs x, t and perhaps y, and the output out. The parameters are read and
// not copied. Close ends its goroutines.
func NewEngine(net *program.Program, params []kernels.Param, o EngineOptions) (*Engine, error) {
	team := NewTeam(o.Workers)
	e, err := general.New(net, params, general.Condition{Label: o.Label, None: o.None, Guidance: o.Guidance}, func(p *program.Program) (general.Runner, error) {
		return NewExecutor(p, team, Options{Memory: o.Memory})
	})
	if err != nil {
		team.Close()
		return nil, err
	}
	return &Engine{e, team}, nil
}

// With is the network under other labels and guidance, which must be 0 for a network without labels. It shares all else with
// e, and is closed with it.
func (e *Engine) With(label func(sample uint64) float64, guidance float64) *Engine {
	return &Engine{e.Engine.With(label, guidance), e.team}
}

// Close ends the engine's goroutines.
func (e *Engine) Close() error {
	e.team.Close()
	return nil
}
