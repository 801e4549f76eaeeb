package loglik

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"hbar/checkpoint/safetensors"
	"hbar/solver/ownscore"
)

// ownKind marks the files of own scores.
const ownKind = "hbar own score"

// ParameterDigest names the parameters of the network, and the sizes and settings of one that is no MLP.
func (n *Network) ParameterDigest() (string, error) {
	h := sha256.New()
	if n.Model.Model.Net != nil {
		config, err := json.Marshal(n.Config())
		if err != nil {
			return "", err
		}
		h.Write(config)
	}
	for _, q := range n.Params {
		h.Write([]byte(q.Name))
		if err := binary.Write(h, binary.LittleEndian, q.Data); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ownMetadata says what a fit belongs to. class is the class of a network with classes, or none; "" of a network without.
func (n *Network) ownMetadata(h float64, chain, class string) (map[string]string, error) {
	digest, err := n.ParameterDigest()
	if err != nil {
		return nil, err
	}
	params, err := json.Marshal(n.Schedule.Params())
	if err != nil {
		return nil, err
	}
	prediction := n.Prediction.String()
	if n.Prediction.SigmaData != 0 {
		prediction += fmt.Sprintf(" for data of standard deviation %g", n.Prediction.SigmaData)
	}
	meta := map[string]string{"kind": ownKind, "model": digest, "h": strconv.FormatFloat(h, 'g', -1, 64), "prediction": prediction,
		"schedule": n.Schedule.Name() + " " + string(params), "chain": chain, "class": class}
	if n.Model.Model.Net == nil {
		meta["activation"] = n.Spec.Act
	}
	return meta, nil
}

// SaveOwn writes a fit.
func (n *Network) SaveOwn(path string, c *ownscore.Score, class string) error {
	meta, err := n.ownMetadata(c.H, c.Chain, class)
	if err != nil {
		return err
	}
	meta["cap"] = strconv.FormatFloat(c.Cap, 'g', -1, 64)
	meta["features"] = string(c.Features)
	if c.Features == ownscore.Filters {
		shape, err := json.Marshal(c.Shape)
		if err != nil {
			return err
		}
		meta["shape"] = string(shape)
	}
	f := &safetensors.File{Metadata: meta}
	add := func(name string, v []float64, shape ...int) {
		if len(v) > 0 {
			f.Tensors = append(f.Tensors, safetensors.Tensor{Name: name, Shape: shape, F64: v})
		}
	}
	k := len(c.Knots)
	add("knots", c.Knots, k)
	add("log_rho", c.LogRho, k)
	if c.Weights != nil {
		add("weights", slices.Concat(c.Weights...), k, len(c.Weights[0]))
	}
	add("omega", c.Omega, len(c.Phase), c.D)
	add("phase", c.Phase, len(c.Phase))
	return safetensors.WriteFile(path, f)
}

// LoadOwn reads a fit for the chain at h. One of another model, strength, schedule, chain or class is refused.
func (n *Network) LoadOwn(path string, h float64, chain, class string) (*ownscore.Score, error) {
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, err
	}
	want, err := n.ownMetadata(h, chain, class)
	if err != nil {
		return nil, err
	}
	if f.Metadata["kind"] != ownKind {
		return nil, fmt.Errorf("%s is no own score; want a file that --own-score fit has written", path)
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch got := f.Metadata[key]; {
		case got == want[key]:
		case key == "model":
			return nil, fmt.Errorf("%s is the own score of another model: its parameters or settings are not those of this checkpoint", path)
		default:
			return nil, fmt.Errorf("%s is the own score of another %s: %s, and here it is %s", path, key, orNone(key, got), orNone(key, want[key]))
		}
	}
	c := &ownscore.Score{Schedule: n.Schedule, D: n.Net.Dim(), H: h, Chain: chain, Features: ownscore.Kind(f.Metadata["features"])}
	if shape := f.Metadata["shape"]; shape != "" {
		if err := json.Unmarshal([]byte(shape), &c.Shape); err != nil {
			return nil, fmt.Errorf("%s: shape %q is no list of sizes", path, shape)
		}
	}
	if c.Cap, err = strconv.ParseFloat(f.Metadata["cap"], 64); err != nil {
		return nil, fmt.Errorf("%s: cap %q is no number", path, f.Metadata["cap"])
	}
	var weights []float64
	for _, t := range f.Tensors {
		if into, ok := map[string]*[]float64{"knots": &c.Knots, "log_rho": &c.LogRho, "weights": &weights, "omega": &c.Omega, "phase": &c.Phase}[t.Name]; ok {
			*into = t.F64
		}
	}
	if k := len(c.Knots); k > 0 && len(weights) > 0 {
		for row := range slices.Chunk(weights, max(1, len(weights)/k)) {
			c.Weights = append(c.Weights, row)
		}
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// orNone is what a message says of a value that there is not.
func orNone(key, v string) string {
	switch {
	case v == "" && key == "class":
		return "of no class"
	case v == "":
		return "the file does not say"
	}
	return v
}
