package main

import (
	"strings"
	"testing"

	"hbar/train"
)

// An option that the chosen network would ignore is refused, and so is one for labels where there are none.
func TestUnusedOptions(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--net unet --patch 3", "--patch is for --net dit; the network is of the kind unet"},
		{"--net unet --width 64", "--width is for --net mlp and dit"},
		{"--net dit --channels 8", "--channels is for --net unet; the network is of the kind dit"},
		{"--net dit --dropout 0.1", "--dropout is for --net unet"},
		{"--heads 2", "--heads is for --net dit; the network is of the kind mlp"},
		{"--labels y.npy", "an mlp takes no labels"},
		{"--label-dropout 0.1", "--label-dropout is for --net unet and dit"},
		{"--size cifar10 --channels 8,16", "--size cifar10 chooses all sizes of the network; leave out --channels"},
		{"--net dit --label-dropout 0.1 --data swissroll", "--label-dropout is for data with labels, and swissroll has none"},
	} {
		_, _, err := call(t, append(strings.Fields(c.args), "--steps", "1")...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}

// A likelihood is suggested only where it can be had: not of a network that was trained with a label for every sample.
func TestFarewell(t *testing.T) {
	for _, c := range []struct {
		net     string
		classes int
		dropout float64
		want    bool
	}{{train.NetMLP, 10, 0, true}, {train.NetUNet, 0, 0, true}, {train.NetUNet, 4, 0.1, true}, {train.NetUNet, 4, 0, false}} {
		o := options{}
		o.Net, o.LabelDropout = c.net, c.dropout
		var b strings.Builder
		if o.farewell(&b, 5, c.classes); strings.Contains(b.String(), "likelihood") != c.want {
			t.Errorf("%+v: %s", c, b.String())
		}
	}
}
