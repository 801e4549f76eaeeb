package nets

import (
	"fmt"

	"hbar/program"
	"hbar/program/diff"
	"hbar/program/ops"
)

// Classifier is a small network that says which class a sample belongs to. It is no score network: it takes no time, and New does
// not make it.
//
//	images [H, W, C] and sequences [T, C], which count as images of height 1:
//	  conv_in 3×3, then until height and width are 7 or less, at least once, a level: a 3×3 convolution of stride 2 and one of
//	  stride 1; group norm and SiLU after each
//	rows [D]:
//	  a dense layer of 2·Features units, SiLU
//	then features → Features units, SiLU; logits → Classes
type Classifier struct {
	Shape   []int `json:"shape"`   // of a sample
	Classes int   `json:"classes"` // at least 2
	// Channels are those of conv_in and of each level; the last number holds for further levels. nil: 16, 32, 64.
	Channels []int `json:"channels,omitempty"`
	Features int   `json:"features"` // units of the last hidden layer; 0: 64
}

// WithDefaults fills in what is zero.
func (c Classifier) WithDefaults() Classifier {
	if len(c.Channels) == 0 && len(c.Shape) > 1 {
		c.Channels = []int{16, 32, 64}
	}
	if c.Features == 0 {
		c.Features = 64
	}
	return c
}

// Validate reports what is wrong with the sizes.
func (c Classifier) Validate() error {
	if n := len(c.Shape); n < 1 || n > 3 {
		return fmt.Errorf("nets: classifier: samples of shape %v; want [D], [T, C] or [H, W, C]", c.Shape)
	}
	limits := []limit{{"number of classes", c.Classes, 2, maxUnits}, {"number of features", c.Features, 1, maxUnits}}
	for _, n := range c.Shape {
		limits = append(limits, limit{"a size of a sample", n, 1, maxUnits})
	}
	if len(c.Shape) > 1 {
		limits = append(limits, limit{"number of channels, of conv_in and levels,", len(c.Channels), 1, 16})
	}
	for _, n := range c.Channels {
		limits = append(limits, limit{"number of channels", n, 1, maxUnits})
	}
	if err := within("classifier", limits...); err != nil {
		return err
	}
	return sampleFits("classifier", c.Shape)
}

// NewClassifier builds a classifier, without weights: a program with the input x and the outputs logits and features. The
// network has no Config.
func NewClassifier(c Classifier) (*Network, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &maker{}
	p, err := program.Build(func(b *program.Builder) {
		m.b = b
		c.build(m)
	})
	if err != nil {
		return nil, fmt.Errorf("nets: classifier: %w", err)
	}
	return &Network{Program: p, Params: m.params}, nil
}

func (c Classifier) build(m *maker) {
	x := m.b.Input("x", program.Sample, c.Shape...)
	if len(c.Shape) == 1 {
		x = ops.Activate(m.b, ops.SiLU, m.dense("hidden", x, 2*c.Features, xavierDraw))
	} else {
		x = c.convolutions(m, x)
	}
	x = ops.Activate(m.b, ops.SiLU, m.dense("features", x, c.Features, xavierDraw))
	m.b.Output("features", x)
	m.b.Output("logits", m.dense("logits", x, c.Classes, xavierDraw))
}

// mostPixels is the height and width at which the levels end.
const mostPixels = 7

func (c Classifier) convolutions(m *maker, x value) value {
	if len(c.Shape) == 2 {
		x = ops.Shape(m.b, x, 1, c.Shape[0], c.Shape[1])
	}
	block := func(name string, conv ops.Conv, channels int) {
		x = m.conv(name+".conv", conv, x, channels, 3, xavierDraw)
		x = m.groupNorm(name+".norm", x, groupsFor([]int{channels}), 1e-6, ops.SiLU)
	}
	half := ops.Same
	half.Stride = 2
	block("conv_in", ops.Same, c.Channels[0])
	for level := 1; ; level++ {
		channels := c.Channels[min(level, len(c.Channels)-1)]
		block(fmt.Sprintf("levels.%d.down", level-1), half, channels)
		block(fmt.Sprintf("levels.%d.same", level-1), ops.Same, channels)
		if s := x.Shape(); s[0] <= mostPixels && s[1] <= mostPixels {
			return ops.Shape(m.b, x, program.Size(s))
		}
	}
}

// TrainingLoss returns the network's program with the further inputs target, the probabilities of the classes, and weight, the output
// losses, the weighted cross-entropy of each sample in nats, and the gradients of their sum in all parameters. gradients names
// these outputs, in the order of Params.
func (n *Network) TrainingLoss() (p *program.Program, gradients []string, err error) {
	p, err = program.Build(func(b *program.Builder) {
		env := program.Inline(b, n.Program, b.Leaves())
		for i, o := range n.Program.Outputs {
			if o.Name == "logits" {
				logits := env[n.Program.Outputs[i].ID]
				target, weight := b.Input("target", program.Sample, logits.Shape()...), b.Input("weight", program.Sample, 1)
				nats := ops.CrossEntropy(b, logits, target)
				b.Output("nats", nats)
				b.Output("losses", ops.Product(b, weight, nats))
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	leaves := map[string]string{}
	for _, q := range n.Params {
		leaves[q.Name] = "gradient " + q.Name
		gradients = append(gradients, leaves[q.Name])
	}
	// The cotangent of nats is the weight, which is an input already.
	p, err = diff.VJP(p, map[string]string{"nats": "weight"}, leaves)
	return p, gradients, err
}
