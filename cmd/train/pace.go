package main

import (
	"fmt"
	"time"

	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/data"
	"hbar/internal/rates"
	"hbar/kernels/cpu"
	"hbar/nets"
	"hbar/train"
)

// passes is how many forward passes the work of a step is taken for: one forward, and as much again for the derivatives by the
// activations and for those by the weights.
const passes = 3

const shareOfPeak = "share of peak"

// pace measures how fast a network learns.
type pace struct {
	unit  string  // "images/s"
	batch int     // rows of a step
	flops float64 // of a step
	peak  float64 // of the machine or its GPU, floating-point operations a second; 0: not measured
	of    string  // what the peak is of

	step int
	at   time.Time
}

// newPace measures the peak of where large networks train. For chains of dense layers, which train within seconds, it measures only the rate.
func (o options) newPace(set *data.Dataset, step int, d *device) (*pace, error) {
	p := &pace{unit: set.Kind() + "/s", batch: o.Batch}
	if o.Net == train.NetMLP {
		p.skip(step)
		return p, nil
	}
	c, err := o.Config(set.Shape, set.Classes)
	if err != nil {
		return nil, err
	}
	n, err := nets.New(c)
	if err != nil {
		return nil, err
	}
	p.flops = 2 * passes * n.Program.Cost(1).MulAdds * float64(o.Batch)
	if d.gpu != nil {
		if p.peak, err = cuda.PeakOfProducts(d.wish.Index, d.precision); err != nil {
			return nil, err
		}
		p.of = fmt.Sprintf("products in %v on tensor cores", d.precision)
	} else {
		team := cpu.NewTeam(o.Workers)
		defer team.Close()
		p.peak, p.of = rates.Peak(team), fmt.Sprintf("float32 multiply-adds on %s", ui.Plural(int64(o.Workers), "worker"))
	}
	p.skip(step)
	return p, nil
}

// fields are the names of what since says.
func (p *pace) fields() []string {
	if p.peak == 0 {
		return []string{p.unit}
	}
	return []string{p.unit, shareOfPeak}
}

// since is what the steps since the last call came to: rows a second, and the share of the machine's peak. The operations are those
// of the definition; a convolution by Winograd's method takes fewer.
func (p *pace) since(step int) []ui.Field {
	if step <= p.step {
		return nil
	}
	rate := float64(step-p.step) / time.Since(p.at).Seconds()
	p.skip(step)
	if p.peak == 0 { // the eye sees steps a second
		return []ui.Field{{Name: p.unit, Value: rate * float64(p.batch), Quiet: true}}
	}
	return []ui.Field{{Name: p.unit, Value: rate * float64(p.batch)}, {Name: shareOfPeak, Value: rate * p.flops / p.peak}}
}

// skip begins to count anew: the time since the last call was not that of steps alone.
func (p *pace) skip(step int) {
	p.step, p.at = step, time.Now()
}
