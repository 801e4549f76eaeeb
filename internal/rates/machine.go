package rates

import (
	"context"
	"errors"
	"time"

	"hbar/cuda"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/program"
)

// Machine is what runs the work: the cores or a GPU.
type Machine interface {
	// Program prepares a program with its parameters, by name; stop releases what it holds.
	Program(p *program.Program, params map[string][]float32) (x Runner, stop func() error, err error)
	// Trainer prepares training on copies of the parameters. Close it.
	Trainer(t general.Training, o fit.Options) (Trainer, error)
	// Peak is the rate of independent multiply-adds in registers, in operations a second.
	Peak() (float64, error)
}

// Runner runs a program.
type Runner interface {
	RunContext(ctx context.Context, b *general.Batch) error
}

// Trainer takes a step of training for each learning rate.
type Trainer interface {
	Run(ctx context.Context, src fit.Source, lrs, losses []float64) (taken int, last fit.Result, err error)
	Close() error
}

// Cores are the cores of a team.
type Cores struct{ *cpu.Team }

// Program prepares a program on the cores.
func (c Cores) Program(p *program.Program, params map[string][]float32) (Runner, func() error, error) {
	x, err := cpu.NewExecutor(p, c.Team, cpu.Options{})
	if err != nil {
		return nil, nil, err
	}
	return x, func() error { return nil }, x.SetParams(params)
}

// Trainer prepares training on as many cores as the team has.
func (c Cores) Trainer(t general.Training, o fit.Options) (Trainer, error) {
	o.Workers = c.Workers()
	return cpu.NewTrainer(t, o, cpu.Options{})
}

// Peak is Peak of the team.
func (c Cores) Peak() (float64, error) { return Peak(c.Team), nil }

// GPU is a device with an arithmetic of products. What runs takes its inputs from the host's memory and gives its results back there.
type GPU struct {
	Index     int
	Precision cuda.Precision
}

// Program prepares a program on the device.
func (g GPU) Program(p *program.Program, params map[string][]float32) (Runner, func() error, error) {
	x, err := cuda.NewProgram(p, params, g.Index, g.Precision)
	if err != nil {
		return nil, nil, err
	}
	return x, x.Close, nil
}

// gpuTrainer releases the device with the trainer.
type gpuTrainer struct {
	*cuda.NetTrainer
	d *cuda.Device
}

func (t gpuTrainer) Close() error { return errors.Join(t.NetTrainer.Close(), t.d.Close()) }

// Trainer prepares training on the device.
func (g GPU) Trainer(t general.Training, o fit.Options) (Trainer, error) {
	d, err := cuda.Open(g.Index)
	if err != nil {
		return nil, err
	}
	r, err := cuda.NewNetTrainer(d, t, o, g.Precision, 0, nil)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return gpuTrainer{r, d}, nil
}

// Peak is the rate of the device's tensor cores by the instruction that the products are made of, in this arithmetic.
func (g GPU) Peak() (float64, error) { return cuda.PeakOfProducts(g.Index, g.Precision) }

// peakLength is Peak32's argument for some tenths of a millisecond.
const peakLength = 500_000

// Peak is the rate of independent multiply-adds on all workers of the team, in operations a second: the best of twenty runs of
// some milliseconds at most.
func Peak(team *cpu.Team) float64 {
	best := 0.0
	for range 20 {
		best = max(best, Sustained(team, 0))
	}
	return best
}

// Sustained is the rate of the multiply-adds of Peak over a time, at least some tenths of a millisecond: less than Peak where others use the same processor.
func Sustained(team *cpu.Team, over time.Duration) float64 {
	ops := make([]int, team.Workers())
	begin := time.Now()
	team.Run(len(ops), func(_, task int) {
		for {
			ops[task] += team.Impl.Peak32(peakLength)
			if time.Since(begin) >= over {
				return
			}
		}
	})
	elapsed := time.Since(begin).Seconds()
	sum := 0
	for _, n := range ops {
		sum += n
	}
	return float64(sum) / elapsed
}
