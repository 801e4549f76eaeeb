package cpu

import (
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/plan"
)

// SampleBytes is the memory of the values of one sample while p runs.
func SampleBytes(p *program.Program) float64 {
	pl := plan.New(fused(p), plan.Options{
		Own:  func(program.ID) bool { return false },
		View: func(program.ID) program.ID { return program.None },
	})
	return 4 * float64(pl.PerSample)
}

// TrainingBytes is the memory of the values of one sample while a network is trained: those of the output's cotangent taken back
// to all parameters.
func TrainingBytes(net *program.Program) float64 {
	leaves := map[string]string{}
	for _, id := range net.With(program.Param) {
		leaves[net.Values[id].Name] = "gradient " + net.Values[id].Name
	}
	p, err := diff.VJP(net, map[string]string{"out": "cotangent"}, leaves)
	if err != nil { // the network cannot be trained; NewTrainer reports that
		return 0
	}
	return SampleBytes(p)
}
