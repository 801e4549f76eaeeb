package train

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"hbar/data"
	"hbar/internal/memory"
	"hbar/kernels/cpu"
	"hbar/nets"
)

// Bytes that a run holds. They are measured, peak resident memory of runs with one of them large, and include copies that live
// for a moment only.
const (
	bytesPerParam  = 60 // weights, gradient, Adam's moments and averages, the transposed weights, and their copies in a checkpoint
	bytesPerNumber = 16 // of the data: float64, float32 as the network sees it, and a copy for the picture
)

// Need is the memory of a run on the CPU with n points in d dimensions.
func (o Options) Need(d, n int) memory.Need {
	o = o.WithDefaults()
	return memory.Need{
		{What: "network and optimiser", Bytes: bytesPerParam * o.params(d)},
		{What: "activations of a batch", Bytes: float64(o.Batch) * o.rowBytes(d)},
		{What: "data", Bytes: bytesPerNumber * float64(n) * float64(d)},
	}
}

// params is the number of parameters of the network, without the overflow of an int.
func (o Options) params(d int) float64 {
	w, depth := float64(o.Width), float64(o.Depth)
	return (float64(o.inputs(d))+1)*w + (depth-1)*w*(w+1) + (w+1)*float64(d)
}

// inputs is the number of the network's inputs: coordinates, and the time or its features.
func (o Options) inputs(d int) int {
	if o.Fourier > 0 {
		return d + 2*o.Fourier
	}
	return d + 1
}

// rowBytes is what a row of a batch takes between the forward and the backward pass: the input, each hidden layer with its
// gradient, and the output's gradient, all float32 in rows that are padded to cache lines.
func (o Options) rowBytes(d int) float64 {
	const line = 16
	padded := func(n int) float64 { return math.Ceil(float64(n)/line)*line + line }
	return 4 * (padded(o.inputs(d)) + 2*float64(o.Depth)*padded(o.Width) + padded(d) + line)
}

// fits refuses a run that needs more memory than there is, with what would fit. On a GPU a batch takes none of the machine's.
func (o Options) fits(d, n int, onGPU bool, l memory.Limit) error {
	if onGPU {
		o.Batch = 1
	}
	need := o.Need(d, n)
	with := func(change func(*Options, int)) func(int) float64 {
		return func(v int) float64 {
			p := o
			change(&p, v)
			return p.Need(d, n).Total()
		}
	}
	return memory.Check(need, l, memory.Suggest(
		memory.Option{Name: "batch", Value: o.Batch, Need: with(func(p *Options, v int) { p.Batch = v })},
		memory.Option{Name: "width", Value: o.Width, Need: with(func(p *Options, v int) { p.Width = v })},
		memory.Option{Name: "depth", Value: o.Depth, Need: with(func(p *Options, v int) { p.Depth = v })},
	))
}

// Bytes that a network of images or sequences takes for each parameter: weights, gradient, Adam's moments and averages, and the weights as
// convolutions by Winograd have them, forward and backward; and in each lane the gradient of a part of the batch, and its sums as
// convolutions by Winograd have them.
const (
	bytesPerNetworkParam = 4*5 + 2*4*16/9
	bytesPerParamOfLane  = 4 + 4*16/9
)

// NetworkNeed is the memory of training a network of images or sequences on the CPU, with n points.
func (o Options) NetworkNeed(net *nets.Network, set *data.Dataset) memory.Need {
	sample := cpu.TrainingBytes(net.Program)
	block := o.MicroBatch
	if block == 0 {
		block = cpu.BlockOf(sample, o.Workers)
	}
	lanes := cpu.LanesOf(o.Batch, o.Workers, o.MicroBatch)
	if o.Peers != nil { // which take one part after another
		lanes = 1
	}
	perNumber := 8.0
	if set.Bytes != nil {
		perNumber = 1
	}
	return memory.Need{
		{What: "network and optimiser", Bytes: float64(bytesPerNetworkParam+bytesPerParamOfLane*lanes) * float64(net.NumParams())},
		{What: "activations", Bytes: float64(min(block, o.Batch)) * sample},
		{What: "batch", Bytes: 8 * float64(o.Batch) * float64(set.D)},
		{What: "data", Bytes: perNumber * float64(set.N()) * float64(set.D)},
	}
}

// networkFits refuses a network that does not fit in memory, with what would. A GPU has its activations elsewhere.
func (o Options) networkFits(net *nets.Network, set *data.Dataset, onGPU bool, l memory.Limit) error {
	if onGPU {
		o.Workers = 1 // which train nothing
		need := o.NetworkNeed(net, set)
		need = slices.DeleteFunc(need, func(p memory.Part) bool { return p.What == "activations" })
		if err := memory.Check(need, l, nil); err != nil {
			return fmt.Errorf("train: %w", err)
		}
		return nil
	}
	with := func(v int) float64 {
		p := o
		p.MicroBatch = v
		return p.NetworkNeed(net, set).Total()
	}
	value := o.MicroBatch
	if value == 0 {
		value = min(o.Batch, cpu.BlockOf(cpu.TrainingBytes(net.Program), o.Workers))
	}
	withBatch := func(v int) float64 {
		p := o
		p.Batch = v
		return p.NetworkNeed(net, set).Total()
	}
	withWorkers := func(v int) float64 {
		p := o
		p.Workers = v
		return p.NetworkNeed(net, set).Total()
	}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	one := memory.Suggest(memory.Option{Name: "micro-batch", Value: value, Need: with}, memory.Option{Name: "batch", Value: o.Batch, Need: withBatch},
		memory.Option{Name: "workers", Value: workers, Need: withWorkers})
	err := memory.Check(o.NetworkNeed(net, set), l, func(usable float64) string {
		if s := one(usable); s != "" {
			return s
		}
		return o.smaller(net, set, usable)
	})
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

// smaller says which narrower network would fit, with channels or a width that are halved until it does; "" if none does.
func (o Options) smaller(net *nets.Network, set *data.Dataset, usable float64) string {
	if o.Size != "" {
		return "a network of smaller sizes than " + o.Size + "'s may fit"
	}
	switch c := net.Config.(type) {
	case nets.UNet:
		o.Channels = slices.Clone(c.BlockOutChannels)
	case nets.DiT:
		o.Width = c.HiddenSize
	}
	for {
		s := ""
		if o.Net == NetUNet {
			for i := range o.Channels {
				o.Channels[i] /= 2
			}
			s = fmt.Sprintf("channels %s would fit", strings.ReplaceAll(strings.Trim(fmt.Sprint(o.Channels), "[]"), " ", ","))
			if o.Channels[0] == 0 {
				return ""
			}
		} else if o.Width /= 2; o.Width > 0 {
			s = fmt.Sprintf("width %d would fit", o.Width)
		} else {
			return ""
		}
		c, err := o.Config(set.Shape, set.Classes)
		if err != nil {
			return ""
		}
		n, err := nets.New(c)
		if err != nil {
			return ""
		}
		if o.NetworkNeed(n, set).Total() <= usable {
			return s
		}
	}
}
