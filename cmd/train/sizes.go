package main

import (
	"errors"
	"strings"

	"hbar/data"
)

// flagOf are the command's options for the fields of a network's configuration, by which errors of package nets call them.
var flagOf = strings.NewReplacer("block_out_channels", "--channels", "layers_per_block", "--layers", "attention_resolutions", "--attention",
	"norm_num_groups", "--groups", "attention_head_dim", "--head-dim", "patch_size", "--patch", "hidden_size", "--width", "num_heads", "--heads",
	" depth ", " --depth ")

// sizes checks the sizes of the network for the data. What is wrong is said in terms of the command's options.
func (o options) sizes(set *data.Dataset) error {
	c, err := o.Config(set.Shape, set.Classes)
	if err == nil {
		err = c.Validate()
	}
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "nets: ")
	if o.Size == "" { // which is a published configuration
		text = flagOf.Replace(text)
	}
	if strings.Contains(text, "(--channels) do not divide") {
		text += "; give fewer, or another size of the images by --resize"
	}
	return errors.New(text)
}
