package nets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"hbar/program"
)

// Config is a kind of network with its sizes: an MLP, UNet or DiT.
type Config interface {
	// Kind is "mlp", "unet", "dit" or, for sequences, "dit1d".
	Kind() string
	// SampleShape is the shape of x: [D], [T, C] or [H, W, C].
	SampleShape() []int
	// Classes is the number of labels; 0: the network takes none.
	Classes() int
	// NoLabel reports whether the label Classes() means "none", as guidance without a classifier needs.
	NoLabel() bool
	// Variance reports whether the network also gives a variance, in a second half of its channels, which is left out.
	Variance() bool
	// EmbedsTime reports whether the network embeds its time by sinusoids made for 0 to 1000 (solver.Prediction.Embedded).
	EmbedsTime() bool
	// Validate reports what is wrong with the sizes, and what would be right.
	Validate() error

	build(m *maker)
}

// Kinds lists the kinds of networks.
func Kinds() []string { return []string{"mlp", "unet", "dit", "dit1d"} }

// Marshal writes c as JSON, with its kind as "type". It is the form that checkpoints hold.
func Marshal(c Config) ([]byte, error) {
	switch c := c.(type) {
	case MLP:
		return json.Marshal(struct {
			Type string `json:"type"`
			MLP
		}{c.Kind(), c})
	case UNet:
		return json.Marshal(struct {
			Type string `json:"type"`
			UNet
		}{c.Kind(), c})
	case DiT:
		return json.Marshal(struct {
			Type string `json:"type"`
			DiT
		}{c.Kind(), c})
	}
	return nil, fmt.Errorf("nets: no JSON form of %T", c)
}

// Unmarshal reads what Marshal writes. A field that it does not know is an error, since it would change the network.
func Unmarshal(text []byte) (Config, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	var c Config
	var err error
	switch head.Type {
	case "mlp":
		c, err = decode[MLP](text)
	case "unet":
		c, err = decode[UNet](text)
	case "dit", "dit1d":
		c, err = decode[DiT](text)
	default:
		return nil, fmt.Errorf("type %.40q unknown; have %s", head.Type, strings.Join(Kinds(), ", "))
	}
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Kind() != head.Type {
		return nil, fmt.Errorf("type %q with samples of shape %v; want %q", head.Type, c.SampleShape(), c.Kind())
	}
	return c, nil
}

func decode[C Config](text []byte) (C, error) {
	var fields map[string]json.RawMessage
	var c C
	if err := json.Unmarshal(text, &fields); err != nil {
		return c, err
	}
	delete(fields, "type")
	rest, err := json.Marshal(fields)
	if err != nil {
		return c, err
	}
	dec := json.NewDecoder(bytes.NewReader(rest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return c, errors.New("text after the JSON value")
	}
	return c, nil
}

// WithoutNone is c, a network that New… made for labels, without the label none: for training where every sample has a label.
func WithoutNone(c Config) Config {
	switch c := c.(type) {
	case UNet:
		if c.NoneClass {
			c.NumClassEmbeds, c.NoneClass = c.NumClassEmbeds-1, false
		}
		return c
	case DiT:
		c.ClassDropoutProb = 0
		return c
	}
	return c
}

// limit is a bound on a size, far beyond use: it keeps products from overflowing.
type limit struct {
	name      string
	v, lo, hi int
}

const (
	maxUnits = 1 << 20 // of a layer, or positions along an axis
	maxDepth = 1 << 12
	maxSize  = 1 << 31 // elements of a sample
)

// within reports the first size that is out of its bounds.
func within(kind string, limits ...limit) error {
	for _, l := range limits {
		if l.v < l.lo || l.v > l.hi {
			return fmt.Errorf("nets: %s: %s is %d; it must be %d to %d", kind, l.name, l.v, l.lo, l.hi)
		}
	}
	return nil
}

// sampleFits reports a shape whose elements are too many.
func sampleFits(kind string, shape []int) error {
	if n := program.Size(shape); n > maxSize {
		return fmt.Errorf("nets: %s: a sample of %v has %d elements; at most %d are possible", kind, shape, n, maxSize)
	}
	return nil
}
