package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/nets"
)

// subject is the checkpoint that is inspected.
type subject struct {
	*checkpoint.Model
	path string
	net  *nets.Network
}

func run(ctx context.Context, args []string, io ui.Streams) error {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	why, err := o.choose()
	if err != nil {
		return err
	}
	s, err := ui.Wait(ctx, io.Err, "reading "+o.Checkpoint, func() (*subject, error) { return open(o.Checkpoint) })
	if err != nil {
		return err
	}
	if o.Eval != "" || o.Bench { // the report has them
		for _, note := range s.Notes {
			fmt.Fprintf(io.Err, "note: %s\n", note)
		}
	}
	if why != "" {
		fmt.Fprintf(io.Err, "note: --device auto takes the CPU: %s\n", why)
	}
	switch {
	case o.Eval != "":
		return s.evaluate(ctx, o, io)
	case o.Bench:
		return s.bench(ctx, o, io)
	}
	return s.report(o, io)
}

// choose replaces the device auto: a GPU, if there is one and something to compute on it, else the CPU. why says what speaks against a GPU.
func (o *options) choose() (why string, err error) {
	if o.Device.Kind != "auto" {
		return "", nil
	}
	o.Device.Kind = "cpu"
	if o.Eval == "" && !o.Bench || o.Precision == fp64 {
		return "", nil
	}
	gpu, err := cuda.Open(0)
	if err == nil {
		o.Device.Kind = "cuda"
		return "", gpu.Close()
	}
	why = strings.TrimPrefix(err.Error(), "cuda: ")
	if o.Precision != fp32 {
		return "", fmt.Errorf("--precision %s needs a GPU: %s; the CPU has fp32 and fp64", o.Precision, why)
	}
	return why, nil
}

// open reads a checkpoint.
func open(path string) (*subject, error) {
	m, err := checkpoint.LoadNetwork(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no checkpoint %s; train one with: %s", path, ui.Program("train"))
	}
	if err != nil {
		return nil, err
	}
	net, err := m.Network()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &subject{m, path, net}, nil
}

// params are the weights by name.
func (s *subject) params() map[string][]float32 {
	p := map[string][]float32{}
	for i, q := range s.net.Params {
		p[q.Name] = s.net.Weights[i]
	}
	return p
}
