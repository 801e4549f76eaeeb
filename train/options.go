package train

import (
	"fmt"
	"hbar/kernels/fit"
	"math"
	"runtime"
	"slices"
	"strings"

	"hbar/graph"
	"hbar/solver"
)

// Options of a run. The zero value of a field is its default; all defaults together are the published setting
// (arXiv:2403.11262, section 5.2) for two-dimensional data.
type Options struct {
	// What is learnt.
	Schedule       string             `json:"schedule"`                  // "simple"
	ScheduleParams map[string]float64 `json:"schedule_params,omitempty"` // the schedule's own
	Prediction     string             `json:"prediction"`                // "score"; for schedules ve and edm "edm"
	SigmaData      float64            `json:"sigma_data,omitempty"`      // of edm; the data's
	Weight         string             `json:"weight"`                    // "g2"; for schedules ve and edm "edm"
	Times          string             `json:"times"`                     // "grid"; "uniform" for ve, "lognormal" for edm
	GridPoints     int                `json:"grid_points,omitempty"`     // of times grid; 1000
	Importance     bool               `json:"importance"`                // importance sampling of t

	// The network.
	Net          string  `json:"net"`                     // "mlp", "unet" or "dit"
	Width        int     `json:"width"`                   // units of a hidden layer, 128; of dit, channels, 384
	Depth        int     `json:"depth"`                   // hidden layers, 3; of dit, blocks, 12
	Act          string  `json:"act"`                     // "silu", also called swish
	Residual     bool    `json:"residual"`                // skip connections around hidden layers
	Time         string  `json:"time"`                    // "raw", the time itself, or "fourier" features
	Fourier      int     `json:"fourier,omitempty"`       // frequencies of time fourier; 16
	FourierScale float64 `json:"fourier_scale,omitempty"` // their standard deviation; 1

	Sizes // of other networks

	// The optimiser.
	Steps       int     `json:"steps"`        // 80000
	Batch       int     `json:"batch"`        // 512
	LR          float64 `json:"lr"`           // learning rate; 1e-3
	Warmup      int     `json:"warmup"`       // steps of linear rise of the learning rate; 0
	Decay       string  `json:"decay"`        // "none", or "cosine" to zero at the last step
	WeightDecay float64 `json:"weight_decay"` // decoupled (AdamW); 0
	Clip        float64 `json:"clip"`         // largest norm of the gradient; 0 for no limit
	EMA         float64 `json:"ema"`          // decay of the averaged weights, which are then the result; 0 for none
	Seed        uint64  `json:"seed"`         // of weights and batches

	// What does not change the result.
	Workers   int `json:"workers,omitempty"` // goroutines; all cores
	LogEvery  int `json:"log_every"`         // steps between reports; Steps/100, at most 100
	SaveEvery int `json:"save_every"`        // steps between checkpoints; Steps/10, at least 1000

	// Dir is the directory of the checkpoint files; "" writes none. Resume goes on from the one there.
	Dir    string `json:"-"`
	Resume bool   `json:"-"`

	// NewTrainer makes the trainer, on a GPU for instance; nil, or a nil Trainer from it, means the CPU.
	NewTrainer NewTrainer `json:"-"`
	// NewNetworkTrainer is NewTrainer for networks that are no chains of dense layers.
	NewNetworkTrainer NewNetworkTrainer `json:"-"`
	// Peers are the processes that train together, on their CPUs, or on GPUs if NewTrainer or NewNetworkTrainer makes a Sharing; nil: this one alone. One of them has a Dir and writes files. All
	// resume from the checkpoint in From.
	Peers fit.Peers `json:"-"`
	From  string    `json:"-"`
}

// The choices that have names of their own in this package.
const (
	TimesGrid      = "grid"
	TimesUniform   = "uniform"
	TimesLogNormal = "lognormal"

	TimeRaw     = "raw"
	TimeFourier = "fourier"

	DecayNone   = "none"
	DecayCosine = "cosine"

	NetMLP  = "mlp"
	NetUNet = "unet"
	NetDiT  = "dit"
)

// TimesNames, TimeNames, DecayNames, NetNames and ActNames list the valid values of the options of these names.
func TimesNames() []string { return []string{TimesGrid, TimesUniform, TimesLogNormal} }
func TimeNames() []string  { return []string{TimeRaw, TimeFourier} }
func DecayNames() []string { return []string{DecayNone, DecayCosine} }
func NetNames() []string   { return []string{NetMLP, NetUNet, NetDiT} }
func ActNames() []string   { return []string{"silu", "gelu", "tanh"} }

// least is the smallest valid width and depth of a kind of network. A U-Net has other sizes.
func least(net string) int {
	if net == NetUNet {
		return 0
	}
	return 1
}

// WithDefaults fills in what is zero.
func (o Options) WithDefaults() Options {
	text := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	number := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	text(&o.Schedule, "simple")
	switch o.Schedule { // for large σ a network must be preconditioned, and weights g² would leave small σ almost without weight
	case "edm":
		text(&o.Times, TimesLogNormal)
		fallthrough
	case "ve":
		text(&o.Times, TimesUniform)
		text(&o.Prediction, "edm")
		text(&o.Weight, "edm")
	}
	text(&o.Times, TimesGrid)
	text(&o.Prediction, "score")
	text(&o.Weight, "g2")
	if o.Times == TimesGrid {
		number(&o.GridPoints, 1000)
	}
	text(&o.Net, NetMLP)
	switch o.Net {
	case NetMLP:
		number(&o.Width, 128)
		number(&o.Depth, 3)
	case NetDiT:
		number(&o.Width, 384)
		number(&o.Depth, 12)
		number(&o.Heads, 6)
		number(&o.Patch, 2)
	}
	text(&o.Act, "silu")
	text(&o.Time, TimeRaw)
	if o.Time == TimeFourier {
		number(&o.Fourier, 16)
		if o.FourierScale == 0 {
			o.FourierScale = 1
		}
	}
	number(&o.Steps, 80000)
	number(&o.Batch, 512)
	if o.LR == 0 {
		o.LR = 1e-3
	}
	text(&o.Decay, DecayNone)
	number(&o.Workers, runtime.GOMAXPROCS(0))
	number(&o.LogEvery, min(max(o.Steps/100, 1), 100))
	number(&o.SaveEvery, max(o.Steps/10, 1000))
	return o
}

// Validate checks the options after their defaults are filled in; the first fault is reported with what would be right.
func (o Options) Validate() error {
	o = o.WithDefaults()
	for _, c := range []struct {
		name, value string
		valid       []string
	}{
		{"schedule", o.Schedule, solver.AllScheduleNames()},
		{"prediction", o.Prediction, solver.PredictionNames()},
		{"weight", o.Weight, solver.WeightingNames()},
		{"times", o.Times, TimesNames()},
		{"net", o.Net, NetNames()},
		{"act", o.Act, ActNames()},
		{"time", o.Time, TimeNames()},
		{"decay", o.Decay, DecayNames()},
	} {
		if !slices.Contains(c.valid, c.value) {
			return fmt.Errorf("train: %s %q unknown; have %s", c.name, c.value, strings.Join(c.valid, ", "))
		}
	}
	for _, c := range []struct {
		name     string
		value    int
		min, max int
	}{
		{"width", o.Width, least(o.Net), 1 << 14}, {"depth", o.Depth, least(o.Net), 256}, {"batch", o.Batch, 1, 1 << 24},
		{"steps", o.Steps, 1, 1 << 40}, {"warmup", o.Warmup, 0, 1 << 40}, {"grid_points", o.GridPoints, 0, 1 << 20},
		{"fourier", o.Fourier, 0, 1 << 12}, {"micro_batch", o.MicroBatch, 0, 1 << 24}, {"workers", o.Workers, 1, 1 << 12},
		{"log_every", o.LogEvery, 1, math.MaxInt}, {"save_every", o.SaveEvery, 1, math.MaxInt},
	} {
		if c.value < c.min || c.value > c.max {
			return fmt.Errorf("train: %s is %d; need %d to %d", c.name, c.value, c.min, c.max)
		}
	}
	for _, c := range []struct {
		name  string
		value float64
		ok    bool
		want  string
	}{
		{"lr", o.LR, o.LR > 0, "a positive number"},
		{"weight_decay", o.WeightDecay, o.WeightDecay >= 0, "a number ≥ 0"},
		{"clip", o.Clip, o.Clip >= 0, "a number ≥ 0"},
		{"ema", o.EMA, o.EMA >= 0 && o.EMA < 1, "0 ≤ ema < 1"},
		{"sigma_data", o.SigmaData, o.SigmaData >= 0, "a number ≥ 0"},
		{"dropout", o.Dropout, o.Dropout >= 0 && o.Dropout < 1, "0 ≤ dropout < 1"},
		{"label_dropout", o.LabelDropout, o.LabelDropout >= 0 && o.LabelDropout <= 1, "0 ≤ label_dropout ≤ 1"},
		{"fourier_scale", o.FourierScale, o.FourierScale >= 0, "a number ≥ 0"},
	} {
		if !c.ok || math.IsInf(c.value, 0) {
			return fmt.Errorf("train: %s is %g; need %s", c.name, c.value, c.want)
		}
	}
	if o.Times == TimesGrid && o.GridPoints < 2 {
		return fmt.Errorf("train: grid_points is %d; a grid of times needs 2 or more", o.GridPoints)
	}
	if o.Importance && o.Times == TimesLogNormal {
		return fmt.Errorf("train: importance sampling is for times grid and uniform; lognormal is a choice of times already")
	}
	_, err := solver.NewSchedule(o.Schedule, o.ScheduleParams)
	return err
}

// Spec is the network for D-dimensional data.
func (o Options) Spec(d int) graph.Spec {
	o = o.WithDefaults()
	return graph.Spec{D: d, Width: o.Width, Depth: o.Depth, Act: o.Act, Residual: o.Residual,
		Fourier: o.Fourier, FourierScale: o.FourierScale}
}

// prediction is how the score follows from the network; sigmaData is the data's standard deviation.
func (o Options) prediction(sigmaData float64) (solver.Prediction, error) {
	p, err := solver.ParsePrediction(o.Prediction)
	if p.Target == solver.PredictEDM {
		p.SigmaData = sigmaData
		if o.SigmaData > 0 {
			p.SigmaData = o.SigmaData
		}
	}
	return p, err
}

// decisive are the options that decide the result.
func (o Options) decisive() Options {
	o.Workers, o.LogEvery, o.SaveEvery, o.MicroBatch = 0, 0, 0, 0
	if o.Decay == DecayNone {
		o.Steps = 0
	}
	return o
}

// rate is the learning rate of a step, counted from 0.
func (o Options) rate(step int) float64 {
	lr := o.LR
	if step < o.Warmup {
		lr *= float64(step+1) / float64(o.Warmup)
	}
	if o.Decay == DecayCosine && step >= o.Warmup && o.Steps > o.Warmup {
		lr *= 0.5 * (1 + math.Cos(math.Pi*float64(step-o.Warmup)/float64(o.Steps-o.Warmup)))
	}
	return lr
}
