package main

import (
	"time"

	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/internal/rates"
	"hbar/kernels/cpu"
	"hbar/nets"
	"hbar/train"
)

// passes is how many forward passes the work of a step is taken for: one forward, and as much again for the derivatives by the
// activations and for those by the weights.
const passes = 3

// pace measures how fast a large network learns. A nil pace measures nothing.
type pace struct {
	unit  string  // "images/s"
	batch int     // rows of a step
	flops float64 // of a step
	peak  float64 // of the machine, floating-point operations a second

	step int
	at   time.Time
}

// newPace measures the machine's peak. Networks of points learn so fast that there is nothing to measure.
func (o options) newPace(set *data.Dataset, step int) (*pace, error) {
	if o.Net == train.NetMLP {
		return nil, nil
	}
	c, err := o.Config(set.Shape, set.Classes)
	if err != nil {
		return nil, err
	}
	n, err := nets.New(c)
	if err != nil {
		return nil, err
	}
	team := cpu.NewTeam(o.Workers)
	defer team.Close()
	return &pace{unit: set.Summary().Kind + "/s", batch: o.Batch, flops: 2 * passes * n.Program.Cost(1).MulAdds * float64(o.Batch),
		peak: rates.Peak(team), step: step, at: time.Now()}, nil
}

// since is what the steps since the last call came to: rows a second, and the share of the machine's peak. The operations are those
// of the definition; a convolution by Winograd's method takes fewer.
func (p *pace) since(step int) []ui.Field {
	if p == nil || step <= p.step {
		return nil
	}
	rate := float64(step-p.step) / time.Since(p.at).Seconds()
	p.skip(step)
	return []ui.Field{{Name: p.unit, Value: rate * float64(p.batch)}, {Name: "share of peak", Value: rate * p.flops / p.peak}}
}

// skip begins to count anew: the time since the last call was not that of steps alone.
func (p *pace) skip(step int) {
	if p != nil {
		p.step, p.at = step, time.Now()
	}
}
