package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cuda"
	"hbar/internal/memory"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/train"
)

// device is where a run takes its steps.
type device struct {
	wish flags.Device
	gpu  *cuda.Device // nil: the CPU
	why  string       // under auto, why not a GPU

	precision cuda.Precision // of a network's products on the GPU

	group   *cuda.Group // of several processes with a GPU each
	sharing sharing     // the trainer in it
}

// sharing is a trainer of one of several processes with a GPU each.
type sharing interface {
	Rows() int
	Sums() (sums int, early float64)
}

// openDevice opens the GPU that --device asks for. With auto it is the CPU if there is no GPU.
func openDevice(wish flags.Device) (*device, error) {
	d := &device{wish: wish}
	if wish.Kind == "cpu" {
		return d, nil
	}
	gpu, err := cuda.Open(wish.Index)
	if err != nil {
		return d, d.without(err)
	}
	d.gpu = gpu
	return d, nil
}

// without notes why the GPU is not used. If --device cuda was given, that is an error.
func (d *device) without(err error) error {
	if d.wish.Kind == "cuda" {
		return fmt.Errorf("--device %s: %w; have cpu", d.wish, err)
	}
	d.why = strings.TrimPrefix(err.Error(), "cuda: ")
	return nil
}

// trainer is a train.NewTrainer: the GPU's, or the CPU's if there is none or, under auto, if it has no room.
func (d *device) trainer(p *kernels.ChainTraining, o fit.Options, b *kernels.Batches) (train.Trainer, error) {
	if d.gpu == nil {
		return nil, nil
	}
	t, err := cuda.NewTrainer(d.gpu, p, o, b, d.group)
	if err != nil {
		return nil, errors.Join(d.without(err), d.close())
	}
	if d.group != nil {
		d.sharing = t
	}
	return t, nil
}

// networkTrainer is a train.NewNetworkTrainer, as trainer is a NewTrainer.
func (d *device) networkTrainer(out io.Writer) train.NewNetworkTrainer {
	return func(g general.Training, o fit.Options, block int) (train.NetworkTrainer, error) {
		if d.gpu == nil {
			return nil, nil
		}
		t, err := cuda.NewNetTrainer(d.gpu, g, o, d.precision, block, d.group)
		if err != nil {
			return nil, errors.Join(d.without(err), d.close())
		}
		if d.group != nil {
			d.sharing = t
		}
		at := "at once"
		if t.Block() < t.Rows() {
			at = fmt.Sprintf("%d at a time", t.Block())
		}
		fmt.Fprintf(out, "batch     %d samples on the GPU %s, products in %v, %s of its memory\n", t.Rows(), at, d.precision, memory.Bytes(float64(t.Bytes())))
		return t, nil
	}
}

// trainOn has the run's trainers made on the device. Of several processes, all call it, and their GPUs join.
func (o *options) trainOn(d *device, out io.Writer) (err error) {
	if d.gpu == nil {
		return nil
	}
	o.NewTrainer = d.trainer
	d.precision = cuda.FP32
	if o.Precision != "" {
		if d.precision, err = cuda.ParsePrecision(o.Precision); err != nil {
			return err
		}
	}
	if o.world != nil {
		if d.group, err = cuda.Together(d.gpu, o.world); err != nil {
			return known{err}
		}
	}
	o.NewNetworkTrainer = d.networkTrainer(out)
	return nil
}

func (d *device) close() error {
	if d.gpu == nil {
		return nil
	}
	gpu := d.gpu
	d.gpu = nil
	return gpu.Close()
}

// after is where to run the network that was trained: on the same GPU, if it can.
func (d *device) after() flags.Device {
	if d.gpu == nil {
		return flags.Device{Kind: "cpu"}
	}
	return flags.Device{Kind: "auto", Index: d.wish.Index}
}

// String is the device for people.
func (d *device) String() string {
	switch {
	case d.gpu != nil:
		return d.gpu.String()
	case d.why != "":
		return "cpu (" + d.why + ")"
	}
	return "cpu"
}
