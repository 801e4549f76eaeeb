package train

import (
	"strings"
	"testing"

	"hbar/data"
	"hbar/internal/memory"
	"hbar/nets"
)

// A network that is trained with a label for every sample has no label none, which guidance would take for one that was learnt.
func TestNoLabelNone(t *testing.T) {
	for _, o := range []Options{
		{Net: NetUNet, Sizes: Sizes{Channels: []int{8, 16}, Layers: 1}},
		{Net: NetDiT, Sizes: Sizes{Heads: 2}, Width: 16, Depth: 1},
		{Net: NetUNet, Sizes: Sizes{Size: "cifar10", Dropout: 0.1}},
	} {
		for _, p := range []float64{0, 0.1} {
			o.LabelDropout = p
			c, err := o.Config([]int{8, 8, 1}, 4)
			if err != nil {
				t.Fatal(err)
			}
			if c.Classes() != 4 || c.NoLabel() != (p > 0) || c.Validate() != nil {
				t.Errorf("%s, labels dropped with probability %g: %d classes, none %v, %v", o.Net, p, c.Classes(), c.NoLabel(), c.Validate())
			}
			if u, ok := c.(nets.UNet); ok && u.Dropout != o.Dropout {
				t.Errorf("dropout %g, want %g", u.Dropout, o.Dropout)
			}
		}
	}
}

// A size of another network is named as that, also for data that it would not take.
func TestSizeOfAnother(t *testing.T) {
	o := Options{Net: NetDiT, Sizes: Sizes{Size: "cifar10"}}
	if _, err := o.Config([]int{9, 9, 1}, 0); err == nil || !strings.Contains(err.Error(), "size cifar10 is that of a unet; the network is a dit") {
		t.Error(err)
	}
}

// A network or a batch that does not fit is refused with what would.
func TestNetworkDoesNotFit(t *testing.T) {
	set := &data.Dataset{X: make([]float64, 64), D: 64, Shape: []int{8, 8, 1}}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Net: NetUNet, Sizes: Sizes{Channels: []int{4096, 4096}}}, "; channels 128,128 would fit"},
		{Options{Net: NetUNet, Sizes: Sizes{Size: "cifar10"}}, "; a network of smaller sizes than cifar10's may fit"},
		{Options{Net: NetDiT, Sizes: Sizes{Heads: 4}, Width: 8192, Depth: 2}, "; width 512 would fit"},
		{Options{Net: NetUNet, Sizes: Sizes{Channels: []int{8, 16}}, Batch: 1 << 24}, "; batch 1"},
	} {
		o := c.o.WithDefaults()
		o.Workers = 1 // what fits depends on it
		config, err := o.configFor(set)
		if err != nil {
			t.Fatal(err)
		}
		n, err := nets.New(config)
		if err != nil {
			t.Fatal(err)
		}
		limit := memory.Limit{Bytes: 1e9, Source: "ulimit -v"}
		if err := o.networkFits(n, set, false, limit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}
