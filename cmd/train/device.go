package main

import (
	"errors"
	"fmt"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cuda"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/train"
)

// device is where a run takes its steps.
type device struct {
	wish flags.Device
	gpu  *cuda.Device // nil: the CPU
	why  string       // under auto, why not a GPU
}

// openDevice opens the GPU that is wished for. Under auto the CPU takes its place if there is none.
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

// without notes why the GPU does not do it; it is an error if one was asked for.
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
	t, err := cuda.NewTrainer(d.gpu, p, o, b)
	if err != nil {
		return nil, errors.Join(d.without(err), d.close())
	}
	return t, nil
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
