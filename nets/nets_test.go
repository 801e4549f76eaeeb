package nets

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hbar/program"
)

// cifar is google/ddpm-cifar10-32.
func cifar(t testing.TB) UNet {
	u, err := NewUNet([]int{32, 32, 3}, 0, UNetSizes{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func network(t testing.TB, c Config) *Network {
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Program.Check(); err != nil {
		t.Fatal(err)
	}
	return n
}

// Names and shapes are those of the published checkpoints (testdata/README.md).
func TestPublishedNames(t *testing.T) {
	text, err := os.ReadFile("testdata/names.json")
	if err != nil {
		t.Fatal(err)
	}
	var published map[string]map[string][]int
	if err := json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	dit := DiT{InputSize: []int{32, 32}, PatchSize: 2, InChannels: 3, HiddenSize: 384, Depth: 12, NumHeads: 6, MLPRatio: 4, ClassDropoutProb: 0.1, NumClasses: 10}
	for name, c := range map[string]Config{"ddpm-cifar10-32": cifar(t), "DiT-S/2": dit} {
		n, want := network(t, c), published[name]
		for i, id := range n.Program.With(program.Param) {
			p, v := n.Params[i], n.Program.Values[id]
			if w, ok := want[p.Name]; !ok || !slices.Equal(w, p.Published) {
				t.Errorf("%s: %s is %v; published: %v", name, p.Name, p.Published, w)
			}
			if p.Name != v.Name || !slices.Equal(p.Shape, v.Shape) || program.Size(p.Published) != p.Size() {
				t.Errorf("%s: %s %v is described as %s %v, published %v", name, v.Name, v.Shape, p.Name, p.Shape, p.Published)
			}
			delete(want, p.Name)
		}
		for left := range want {
			t.Errorf("%s: %s is missing", name, left)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, c := range []struct {
		name   string
		shape  []int
		labels int
		params int
		kind   string
	}{
		{"cifar10", []int{32, 32, 3}, 0, 35746307, "unet"}, // 35.7 million (Ho 2020, appendix B)
		{"cifar10", []int{32, 32, 3}, 10, 35746307 + 11*512, "unet"},
		{"dit-s2", []int{32, 32, 3}, 10, 32475660, "dit"},
		{"dit-s2", []int{128, 2}, 0, 0, "dit1d"},
	} {
		config, err := Preset(c.name, c.shape, c.labels)
		if err != nil {
			t.Fatal(err)
		}
		n := network(t, config)
		if got := n.NumParams(); c.params > 0 && got != c.params {
			t.Errorf("%s %v: %d parameters, want %d", c.name, c.shape, got, c.params)
		}
		if config.Kind() != c.kind || config.Classes() != c.labels || config.NoLabel() != (c.labels > 0) || !slices.Equal(config.SampleShape(), c.shape) {
			t.Errorf("%s: kind %s, %d labels, shape %v", c.name, config.Kind(), config.Classes(), config.SampleShape())
		}
		if kind := PresetKind(c.name); kind != strings.TrimSuffix(c.kind, "1d") {
			t.Errorf("%s is said to be the size of a %q", c.name, kind)
		}
	}
	if PresetKind("vit") != "" {
		t.Error("an unknown size has a network")
	}
	if _, err := Preset("vit", []int{8, 8, 1}, 0); err == nil || !strings.Contains(err.Error(), "have cifar10, dit-s2") {
		t.Error(err)
	}
}

// Weights of an MLP are those that earlier versions drew, to the bit: a run is repeated by its seed.
func TestInitialBits(t *testing.T) {
	for want, s := range map[string]MLP{
		"ed00e597f4816ddb": {D: 2, Width: 5, Depth: 2, Act: "silu"},
		"a8817d60ffe8ce6f": {D: 3, Width: 4, Depth: 1, Act: "gelu", Residual: true, Fourier: 6, FourierScale: 16},
	} {
		ps, err := s.Initial(7)
		if err != nil {
			t.Fatal(err)
		}
		n := network(t, s)
		n.Initialise(7)
		h := sha256.New()
		for i, p := range ps {
			fmt.Fprintf(h, "%s %d %d ", p.Name, p.Rows, p.Cols)
			for _, v := range p.Data {
				h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
			}
			if !slices.Equal(p.Data, n.Weights[i]) || n.Params[i].Name != p.Name {
				t.Errorf("%s: Network.Initialise draws others", p.Name)
			}
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != want {
			t.Errorf("%+v: digest %s, want %s", s, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	u := cifar(t)
	u.AttentionHeadDim, u.NumClassEmbeds, u.NoneClass, u.Dropout = 64, 5, true, 0.25
	for _, c := range []Config{
		u,
		MLP{D: 2, Width: 5, Depth: 2, Act: "tanh", Fourier: 3, FourierScale: 2},
		DiT{InputSize: []int{8, 12}, PatchSize: 4, InChannels: 5, HiddenSize: 24, Depth: 2, NumHeads: 2, MLPRatio: 3, NumClasses: 3},
		DiT{InputSize: []int{30}, PatchSize: 3, InChannels: 2, HiddenSize: 32, Depth: 2, NumHeads: 2, MLPRatio: 4, LearnSigma: true},
	} {
		text, err := Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Unmarshal(text)
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s came back as %+v, %v", text, got, err)
		}
	}
	// The form of the first version's files.
	if text, _ := Marshal(MLP{D: 2, Width: 5, Depth: 3, Act: "silu"}); string(text) != `{"type":"mlp","d":2,"width":5,"depth":3,"act":"silu","residual":false,"fourier":0,"fourier_scale":0}` {
		t.Errorf("%s", text)
	}
	for text, want := range map[string]string{
		`{"type":"vit"}`: `type "vit" unknown; have mlp, unet, dit, dit1d`,
		`{"type":"mlp","d":2,"width":5,"depth":3,"act":"silu","heads":2}`:                                                           `unknown field "heads"`,
		`{"type":"dit","input_size":[30],"patch_size":3,"in_channels":2,"hidden_size":32,"depth":2,"num_heads":2,"mlp_ratio":4}`:    `want "dit1d"`,
		`{"type":"dit","input_size":[30,30],"patch_size":4,"in_channels":2,"hidden_size":32,"depth":2,"num_heads":2,"mlp_ratio":4}`: "patches of 4 (patch_size) do not divide the size [30 30]",
		`{"type":"mlp","d":2,"width":5,"depth":3,"act":"relu"}`:                                                                     `activation "relu" unknown; have silu, gelu, tanh`,
		`[]`: "cannot unmarshal",
	} {
		if _, err := Unmarshal([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	unet := func(change func(*UNet)) Config {
		u := cifar(t)
		u.BlockOutChannels = slices.Clone(u.BlockOutChannels)
		change(&u)
		return u
	}
	dit := func(change func(*DiT)) Config {
		d := DiT{InputSize: []int{32, 32}, PatchSize: 2, InChannels: 3, HiddenSize: 384, Depth: 12, NumHeads: 6, MLPRatio: 4}
		change(&d)
		return d
	}
	for want, c := range map[string]Config{
		"4 levels (block_out_channels) do not divide an image of 30×32; height and width must be multiples of 8": unet(func(u *UNet) { u.SampleSize[0] = 30 }),
		"norm_num_groups of 32 does not divide the 100 channels of level 1":                                      unet(func(u *UNet) { u.BlockOutChannels[1] = 100 }),
		"heads of 48 channels (attention_head_dim) do not divide the 256 channels of level 1":                    unet(func(u *UNet) { u.AttentionHeadDim = 48 }),
		`down block "SkipDownBlock2D" unknown; have DownBlock2D, AttnDownBlock2D`:                                unet(func(u *UNet) { u.DownBlockTypes = []string{"SkipDownBlock2D", "", "", ""} }),
		"out_channels is 4; want in_channels, 3":                                                                 unet(func(u *UNet) { u.OutChannels = 4 }),
		"3 up blocks for 4 levels":                                                                               unet(func(u *UNet) { u.UpBlockTypes = u.UpBlockTypes[:3] }),
		"dropout is 1":                                                                                           unet(func(u *UNet) { u.Dropout = 1 }),
		"layers_per_block is 0":                                                                                  unet(func(u *UNet) { u.LayersPerBlock = 0 }),
		"norm_eps is NaN":                                                                                        unet(func(u *UNet) { u.NormEps = math.NaN() }),
		"a sample of [1048576 1048576 3] has":                                                                    unet(func(u *UNet) { u.SampleSize = [2]int{maxUnits, maxUnits} }),
		"patches of 3 (patch_size) do not divide the size [32 32]; each size must be a multiple of 3":            dit(func(d *DiT) { d.PatchSize = 3 }),
		"5 heads (num_heads) do not divide the width 384 (hidden_size)":                                          dit(func(d *DiT) { d.NumHeads = 5 }),
		"the width 6 (hidden_size) is no multiple of 4":                                                          dit(func(d *DiT) { d.HiddenSize = 6 }),
		"mlp_ratio is 0":      dit(func(d *DiT) { d.MLPRatio = 0 }),
		"depth is 1073741824": dit(func(d *DiT) { d.Depth = 1 << 30 }),
		"input_size is []; want [height, width], or the length of a sequence": dit(func(d *DiT) { d.InputSize = nil }),
		"more than 2⁴⁰ parameters":                                            dit(func(d *DiT) { d.HiddenSize, d.NumHeads = maxUnits, 1 }),
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for want, f := range map[string]func() error{
		"attention (attention_resolutions) at the height 10, which no level has; have [32 16 8 4]": func() error {
			_, err := NewUNet([]int{32, 32, 3}, 0, UNetSizes{AttentionResolutions: []int{10}})
			return err
		},
		"samples of shape [2]; want images":          func() error { _, err := NewUNet([]int{2}, 0, UNetSizes{}); return err },
		"samples of shape [2]; want images, [height": func() error { _, err := NewDiT([]int{2}, 0, DiTSizes{}); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// What depends on the time alone is computed once for all samples when they share it.
func TestRates(t *testing.T) {
	d := DiT{InputSize: []int{8, 8}, PatchSize: 2, InChannels: 3, HiddenSize: 64, Depth: 2, NumHeads: 4, MLPRatio: 4}
	for _, c := range []Config{cifar(t), d} {
		p := program.WithRate(network(t, c).Program, program.Step, "t")
		perSample := 0
		for _, in := range p.Instrs {
			if in.Op.Name() == "dense" && len(p.Values[in.Out[0]].Shape) == 1 && p.InstrRate(in) == program.Sample {
				perSample++
			}
		}
		if perSample > 0 {
			t.Errorf("%s: %d layers of the time's embedding are computed for each sample", c.Kind(), perSample)
		}
	}
}

// Weights in the order of a file and back.
func TestLayouts(t *testing.T) {
	n := network(t, DiT{InputSize: []int{4, 6}, PatchSize: 2, InChannels: 3, HiddenSize: 4, Depth: 1, NumHeads: 1, MLPRatio: 1})
	p := n.Params[n.Param("x_embedder.proj.weight")]
	v := make([]float32, p.Size())
	for i := range v {
		v[i] = float32(i)
	}
	got := p.FromPublished(v)
	for o := range 4 {
		for c := range 3 {
			for i := range 2 {
				for j := range 2 {
					if a, b := got[o*12+(i*2+j)*3+c], v[((o*3+c)*2+i)*2+j]; a != b {
						t.Fatalf("[%d %d %d %d] is %g, want %g", o, c, i, j, a, b)
					}
				}
			}
		}
	}
	if !slices.Equal(p.ToPublished(got), v) {
		t.Error("the way back is another")
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		channels []int
		groups   int
	}{{[]int{128, 256, 256, 256}, 32}, {[]int{64, 128, 128}, 16}, {[]int{48, 96}, 12}, {[]int{8, 12}, 2}, {[]int{6, 9}, 1}} {
		u, err := NewUNet([]int{28, 28, 1}, 0, UNetSizes{Channels: c.channels[:min(3, len(c.channels))], Layers: 1})
		if err != nil || u.NormNumGroups != c.groups {
			t.Errorf("%v: %d groups, %v; want %d", c.channels, u.NormNumGroups, err, c.groups)
		}
	}
	u, err := NewUNet([]int{28, 28, 1}, 0, UNetSizes{Channels: []int{16, 16, 16}})
	if err != nil || !slices.Equal(u.DownBlockTypes, []string{"DownBlock2D", "AttnDownBlock2D", "DownBlock2D"}) || !slices.Equal(u.UpBlockTypes, []string{"UpBlock2D", "AttnUpBlock2D", "UpBlock2D"}) {
		t.Errorf("%v %v, %v", u.DownBlockTypes, u.UpBlockTypes, err)
	}
	u, err = NewUNet([]int{28, 28, 1}, 0, UNetSizes{Channels: []int{16, 16, 16}, AttentionResolutions: []int{}})
	if err != nil || slices.Contains(u.DownBlockTypes, "AttnDownBlock2D") {
		t.Errorf("%v, %v", u.DownBlockTypes, err)
	}
}
