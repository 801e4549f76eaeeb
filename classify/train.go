package classify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"

	"hbar/data"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/nets"
)

// Options of a training. The zero value of each field is its default.
type Options struct {
	Channels []int   `json:"channels,omitempty"` // of nets.Classifier
	Features int     `json:"features"`           // of nets.Classifier
	Steps    int     `json:"steps"`              // 2000
	Batch    int     `json:"batch"`              // 100
	Rate     float64 `json:"rate"`               // largest learning rate of Adam; 2·10⁻³
	// Shift moves each image of a batch by up to so many pixels in both directions, and each sequence by up to so many positions;
	// what comes in repeats the edge. −1: a fourteenth of the longer side.
	Shift   int    `json:"shift"`
	Seed    uint64 `json:"seed"`
	Workers int    `json:"workers"` // goroutines; GOMAXPROCS. Results do not depend on it.
}

// withDefaults fills in what is zero for samples of a shape.
func (o Options) withDefaults(shape []int) Options {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Steps, 2000)
	set(&o.Batch, 100)
	set(&o.Workers, runtime.GOMAXPROCS(0))
	if o.Rate == 0 {
		o.Rate = 2e-3
	}
	if o.Shift < 0 {
		o.Shift = 0
		for _, n := range shape[:len(shape)-1] {
			o.Shift = max(o.Shift, n/14)
		}
	}
	return o
}

// warmUp is the number of steps over which the learning rate grows to its largest.
const warmUp = 100

// rates are the learning rates of the steps: a linear warm-up, then half a cosine down to zero.
func (o Options) rates() []float64 {
	r := make([]float64, o.Steps)
	up := min(warmUp, max(1, o.Steps/10))
	for i := range r {
		r[i] = o.Rate * min(1, float64(i+1)/float64(up)) * (1 + math.Cos(math.Pi*float64(i)/float64(o.Steps))) / 2
	}
	return r
}

// Train fits a classifier to a labelled set by Adam on the cross-entropy. report, unless nil, is called with the number of steps and
// their loss in nats. When ctx ends, the training ends with its error.
func Train(ctx context.Context, set *data.Dataset, o Options, report func(step int, loss float64)) (*Model, error) {
	if set.Labels == nil || set.Classes < 2 {
		return nil, fmt.Errorf("classify: %s has no labels of two or more classes; a classifier learns from labelled data", set.Name)
	}
	o = o.withDefaults(set.Shape)
	config := nets.Classifier{Shape: set.Shape, Classes: set.Classes, Channels: o.Channels, Features: o.Features}.WithDefaults()
	net, err := nets.NewClassifier(config)
	if err != nil {
		return nil, err
	}
	net.Initialise(o.Seed)
	p, gradients, err := net.TrainingLoss()
	if err != nil {
		return nil, err
	}
	t, err := cpu.NewTrainer(cpu.Training{Program: p, Params: net.Matrices(), Gradients: gradients}, fit.Options{Batch: o.Batch, Clip: 1, Workers: o.Workers}, cpu.Options{})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	b := batches{set, o}
	losses := make([]float64, 1)
	for i, rate := range o.rates() {
		taken, last, err := t.Run(ctx, b, []float64{rate}, losses)
		var bad *fit.NonFiniteError
		switch {
		case errors.As(err, &bad):
			return nil, fmt.Errorf("classify: step %d: %s; a lower learning rate may help", i, bad.Cause)
		case err != nil:
			return nil, err
		case taken == 0:
			return nil, ctx.Err()
		case report != nil:
			report(i+1, last.Loss)
		}
	}
	for i, w := range t.Params(nil) {
		net.Weights[i] = w
	}
	return &Model{Config: config, Norm: set.Norm, ClassNames: set.ClassNames, Data: set.Name, Options: o, net: net}, nil
}

// batches draws the rows of training: sample number step·Batch + row of the stream StreamBatch chooses data row and shift.
type batches struct {
	set *data.Dataset
	o   Options
}

// Fill implements fit.Source.
func (b batches) Fill(t *fit.Tile) {
	d, classes := b.set.D, b.set.Classes
	clear(t.Target)
	var row []float32
	for i := range t.Hi - t.Lo {
		sample := uint64(t.Step)*uint64(b.o.Batch) + uint64(t.Lo+i)
		k, _ := kernels.Choose(b.o.Seed, sample, uint64(b.set.N()))
		x := t.X[i*d : (i+1)*d]
		b.set.NormalisedRow(x, int(k))
		if b.o.Shift > 0 && len(b.set.Shape) > 1 {
			row = append(row[:0], x...)
			b.shift(x, row, kernels.Block(b.o.Seed, kernels.StreamBatch, sample, kernels.ChoiceBlock+1))
		}
		t.Target[i*classes+int(b.set.Labels[k])] = 1
		t.Weight[i] = float32(classes) // the trainer divides by batch and classes; the loss is the mean over the batch
	}
}

// shift writes the image or sequence x, moved by random numbers of pixels, to dst.
func (b batches) shift(dst, x []float32, random [4]uint32) {
	s := b.set.Shape
	h, w, c := 1, s[0], s[len(s)-1]
	if len(s) == 3 {
		h, w = s[0], s[1]
	}
	by := func(u uint32) int { return int(uint64(u)*uint64(2*b.o.Shift+1)>>32) - b.o.Shift }
	down, right := by(random[0]), by(random[1])
	for i := range h {
		from := min(max(i-down, 0), h-1)
		for j := range w {
			at := (from*w + min(max(j-right, 0), w-1)) * c
			copy(dst[(i*w+j)*c:(i*w+j+1)*c], x[at:at+c])
		}
	}
}
