package fit

import (
	"fmt"
	"math"
	"runtime"

	"hbar/kernels/simd"
)

// Options of a trainer. The zero value of each field but Batch is its default.
type Options struct {
	Batch int // rows of a batch; at least 1

	Beta1 float64 // decay of the mean gradient, 0.9
	Beta2 float64 // decay of the mean squared gradient, 0.999
	Eps   float64 // added to the root of the mean squared gradient, 1e-8
	Decay float64 // decoupled weight decay (Loshchilov 2019), a rate per step relative to the learning rate; 0
	Clip  float64 // largest norm of the gradient over all parameters; 0 for none
	// EMA is the decay of the averaged weights; 0 keeps none. Step s (from 1) decays by min(EMA, s/(9+s)), so that the
	// first weights are forgotten at the rate the average can resolve.
	EMA float64

	Norm    bool       // report the gradient's norm even without clipping
	Workers int        // goroutines, the caller's one of them; GOMAXPROCS. Results do not depend on it.
	Impl    *simd.Impl // kernels; simd.Best()
}

// WithDefaults fills in what is zero; an error says which field cannot be as it is.
func (o Options) WithDefaults() (Options, error) {
	set := func(p *float64, v float64) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Beta1, 0.9)
	set(&o.Beta2, 0.999)
	set(&o.Eps, 1e-8)
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Impl == nil {
		o.Impl = simd.Best()
	}
	bad := func(name string, v any, want string) (Options, error) {
		return o, fmt.Errorf("fit: %s is %v; it must be %s", name, v, want)
	}
	switch {
	case o.Batch < 1:
		return bad("Batch", o.Batch, "at least 1")
	case !(o.Beta1 >= 0 && o.Beta1 < 1):
		return bad("Beta1", o.Beta1, "in [0, 1)")
	case !(o.Beta2 >= 0 && o.Beta2 < 1):
		return bad("Beta2", o.Beta2, "in [0, 1)")
	case !(float32(o.Eps) > 0) || math.IsInf(o.Eps, 0):
		return bad("Eps", o.Eps, "a positive float32")
	case !(o.Decay >= 0) || math.IsInf(o.Decay, 0):
		return bad("Decay", o.Decay, "at least 0")
	case !(o.Clip >= 0):
		return bad("Clip", o.Clip, "at least 0")
	case !(o.EMA >= 0 && o.EMA < 1):
		return bad("EMA", o.EMA, "in [0, 1)")
	case o.Workers < 1:
		return bad("Workers", o.Workers, "at least 1")
	}
	return o, nil
}

// Adam is the step of Adam with learning rate lr that follows step others, before clipping.
func (o Options) Adam(step int64, lr float64) simd.AdamStep {
	s := float64(step + 1)
	return simd.AdamStep{
		LR: float32(lr), Beta1: float32(o.Beta1), Beta2: float32(o.Beta2), Eps: float32(o.Eps),
		Decay: float32(o.Decay), Scale: 1,
		C1:  float32(1 / (1 - math.Pow(o.Beta1, s))),
		C2:  float32(1 / (1 - math.Pow(o.Beta2, s))),
		EMA: float32(min(o.EMA, s/(9+s))),
	}
}
