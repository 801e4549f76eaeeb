package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
)

// options are all settings of the command.
type options struct {
	checkpoint, out string
}

func define(o *options) *flags.Set {
	s := flags.New("export", "Writes a network to a directory in the published form: config.json and diffusion_pytorch_model.safetensors, "+
		"with the names and the layout of diffusers' UNet2DModel or of facebookresearch/DiT, and scheduler_config.json for a schedule of "+
		"discrete steps. What these files cannot say is in the metadata of the weights, so that --checkpoint DIR reads all of it.")
	g := s.Group("What")
	g.String(&o.checkpoint, "checkpoint", "FILE|DIR", "model.safetensors of cmd/train, or a directory in the published form (required)")
	g.String(&o.out, "out", "DIR", "a new directory (required)")
	s.Example("go run ./cmd/export --checkpoint runs/digits-ddpm/model.safetensors --out digits", "a network for UNet2DModel.from_pretrained(\"digits\")")
	return s
}

func run(_ context.Context, args []string, io ui.Streams) error {
	var o options
	if err := define(&o).Parse(args, io.Out); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if o.checkpoint == "" || o.out == "" {
		return ui.Usagef("--checkpoint FILE and --out DIR are both needed")
	}
	m, err := checkpoint.Load(o.checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no checkpoint %s; train one with: %s", o.checkpoint, ui.Program("train"))
	}
	if err != nil {
		return err
	}
	notes, err := m.Export(o.out)
	if err != nil {
		return err
	}
	c := m.Config()
	fmt.Fprintf(io.Out, "network   %s, %s parameters, samples of %v\n", c.Kind(), ui.Count(int64(m.Net.NumParams())), c.SampleShape())
	for _, note := range notes {
		fmt.Fprintf(io.Out, "note      %s\n", note)
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	return nil
}
