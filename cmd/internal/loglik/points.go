package loglik

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/engine"
	"hbar/kernels"
	"hbar/solver"
)

// Network is a checkpoint in the precisions that the methods use, with the scaling of its data. Close frees what it holds on
// a GPU.
type Network struct {
	*model.Model                   // in the precision of --precision
	Single, Double *solver.Network // in float32 and float64
}

// LoadNetwork reads a checkpoint and makes it run as the options say.
func LoadNetwork(f model.Flags) (*Network, error) { return LoadConditional(f, "", false) }

// LoadConditional is LoadNetwork for a network that may have classes: class is one of them, or "none", and what "" stands for is in
// inTurn, as in model.Options.
func LoadConditional(f model.Flags, class string, inTurn bool) (*Network, error) {
	precision, err := ParsePrecision(f.Precision)
	if err != nil {
		return nil, err
	}
	m, err := model.Load(f.Checkpoint, model.Options{Schedule: f.Schedule, Act: f.Act, Prediction: f.Prediction, Device: f.Device, Workers: f.Workers, Precision: precision,
		Class: class, InTurn: inTurn})
	if err != nil {
		return nil, err
	}
	n, err := NewNetwork(m)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return n, nil
}

// NewNetwork is a model that runs, in the precisions that the methods want.
func NewNetwork(m *model.Model) (*Network, error) {
	n := &Network{Model: m}
	for _, p := range []struct {
		at        **solver.Network
		precision solver.Precision
	}{{&n.Single, solver.Float32}, {&n.Double, solver.Float64}} {
		var err error
		if *p.at, err = solver.NewNetwork(m.Net.Engine(), m.Schedule, m.Prediction, p.precision); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Sampler is the network in float32 under labels and guidance w, as samples are drawn; label nil: those of the network.
func (n *Network) Sampler(label func(sample uint64) float64, guidance float64) (*solver.Network, error) {
	if label == nil && guidance == 0 {
		return n.Single, nil
	}
	if label == nil {
		label = n.Label
	}
	e, err := n.Engine.With(engine.Condition{Label: label, Guidance: guidance})
	if err != nil {
		return nil, err
	}
	return solver.NewNetwork(e.Solver, n.Schedule, n.Prediction, solver.Float32)
}

// Models are what Run takes.
func (n *Network) Models() Models {
	return Models{Schedule: n.Schedule, Paths: n.Net, Single: n.Single, Double: n.Double}
}

// fresh numbers the samples of a built-in set behind any that a network may have been trained on.
const fresh = 1 << 40

// Points are data for a network.
type Points struct {
	Name string
	D    int
	X    []float64 // n×D in data units
	Z    []float64 // n×D as the network sees them
	Norm data.Normalisation
	// NormSource says where Norm is from.
	NormSource string
	Shape      []int   // of one point
	Labels     []int32 // of the points, nil if the data have none
	Bytes      bool    // the data are bytes
	// CharBits is the number of dimensions of a character of text, 0 of other points.
	CharBits int
	// Notes say how a file was read.
	Notes []data.Note
	// Own are the log-weights of the paths that made generated points (likelihood.Generated); nil for data.
	Own []float64
	// Fresh: drawn anew, so not what the network was trained on.
	Fresh bool
}

// N is the number of points.
func (p *Points) N() int { return len(p.X) / p.D }

// Introduce prints how the points were read.
func (p *Points) Introduce(w io.Writer) {
	for _, n := range p.Notes {
		fmt.Fprintf(w, "%-9s %s\n", n.Label, n.Text)
	}
}

// LogDet is log |∂z/∂x| in nats: log q in data units is log q of the network's coordinates plus LogDet.
func (p *Points) LogDet() float64 { return p.Norm.LogDet(p.D) }

// Source says where points come from. It is what the options --data, --columns, --header and --seed say.
type Source struct {
	Data            string // a built-in set or a file; "" for the checkpoint's training set
	Columns, Header string // of a table
	Seed            uint64 // of a built-in set
}

// Define makes --data, --columns and --header.
func (s *Source) Define(g *flags.Group, usage string) {
	g.String(&s.Data, "data", "NAME|FILE", usage)
	flags.DefineTable(g, &s.Columns, &s.Header)
}

// LoadPoints reads n points (n ≤ 0: all of a file, or def of a built-in set) from number first on. Of a table it takes the columns
// that the network was trained on, where the table has them all. A network from elsewhere, without a normalisation, takes that of
// a built-in set.
func (n *Network) LoadPoints(from Source, first uint64, count, def int) (*Points, error) {
	return n.load(from, first, count, def, nil)
}

// LoadRandom loads count points of a set that is drawn anew. Of any other set, whose rows may be sorted, it takes so many at random, by the seed
// and draw; of a set with labels only those whose label keep takes, all if keep is nil.
func (n *Network) LoadRandom(from Source, count int, seed, draw uint64, keep func(label int32) bool) (*Points, error) {
	return n.load(from, 0, count, 0, func(of int, labels []int32) []int {
		order := rand.New(kernels.NewSource(seed, kernels.StreamResample, draw)).Perm(of)
		if keep != nil && labels != nil {
			order = slices.DeleteFunc(order, func(i int) bool { return !keep(labels[i]) })
		}
		return order[:min(len(order), count)]
	})
}

func (n *Network) load(from Source, first uint64, count, def int, choose func(of int, labels []int32) []int) (*Points, error) {
	name, seed := from.Data, from.Seed
	if name == "" {
		if !data.IsBuiltin(n.Data) {
			return nil, fmt.Errorf("--data is missing: the checkpoint's own data (%q) is not a built-in set; have %s, or a file", n.Data, strings.Join(data.Names(), ", "))
		}
		name = n.Data
	}
	p := &Points{}
	if data.IsBuiltin(name) {
		if count <= 0 {
			count = def
		}
		if _, err := data.Load(name, fresh, 1, seed); err == nil { // a set that can be drawn without end
			p.Fresh = true
			first += fresh
		} else if have, err := data.Load(name, 0, 0, seed); err == nil && first < uint64(have.N()) {
			count = min(count, have.N()-int(first))
		}
	}
	choosing := choose != nil && !p.Fresh
	if choosing {
		count = 0 // all
	}
	set, err := data.LoadWith(name, n.asText(name, data.Options{First: first, N: count, Seed: seed, Columns: from.Columns, Header: from.Header, Prefer: n.Columns}))
	if err != nil {
		return nil, err
	}
	if shape := n.SampleShape(); len(shape) == 3 && len(set.Shape) == 3 && !slices.Equal(shape, set.Shape) {
		return nil, fmt.Errorf("the images of %s are %s; the network of this checkpoint was trained on %s (height×width×channels)", name, times(set.Shape), times(shape))
	}
	if set.D != n.Net.Dim() {
		hint := ""
		if n.Columns != nil {
			hint = fmt.Sprintf(", the columns %s", strings.Join(n.Columns, ", "))
		}
		return nil, fmt.Errorf("the points of %s have %d coordinates; the network of this checkpoint has D = %d%s", name, set.D, n.Net.Dim(), hint)
	}
	if choosing {
		set.Choose(choose(set.N(), set.Labels)) // before the numbers of all become float64
	}
	p.Notes, p.Shape, p.Bytes = set.Notes, n.SampleShape(), set.Bytes != nil
	if p.Labels, err = set.LabelsAs(n.ClassNames); err != nil {
		p.Notes = append(p.Notes, data.Note{Label: "warning", Text: fmt.Sprintf("%v; the labels are left away", err)})
	}
	if k := n.Config().Classes(); k > 0 && n.ClassNames == nil && set.ClassNames != nil && len(set.ClassNames) != k {
		p.Notes = append(p.Notes, data.Note{Label: "warning", Text: fmt.Sprintf("%s has %d classes with names, and the checkpoint %d without; they are taken for its first %d, in the order of their names",
			set.Name, len(set.ClassNames), k, len(set.ClassNames))})
	}
	if n.Columns != nil && set.Columns != nil && !slices.Equal(n.Columns, set.Columns) {
		p.Notes = append(p.Notes, data.Note{Label: "warning", Text: fmt.Sprintf("the network was trained on columns %s, and is given %s", strings.Join(n.Columns, ", "), strings.Join(set.Columns, ", "))})
	}
	if n.Alphabet != nil {
		p.CharBits = n.Alphabet.Bits()
	}
	p.Name, p.D, p.X = set.Name, set.D, set.Values()
	p.Norm, p.NormSource = n.Norm, "checkpoint"
	if n.Norm.IsIdentity() && n.Version == "" {
		p.NormSource = "none: the checkpoint has none, and points of a file are taken as they are"
		if data.IsBuiltin(name) {
			p.Norm, p.NormSource = set.Norm, "data set: the checkpoint has none"
		}
	}
	p.Z = make([]float64, len(p.X))
	p.Norm.Apply(p.Z, p.X, p.D)
	return p, nil
}

// asText has a network for text read a file as windows of characters, one after the other, so that each character counts once. Arrays hold bits.
func (n *Network) asText(name string, o data.Options) data.Options {
	ext := strings.ToLower(filepath.Ext(name))
	if n.Alphabet != nil && ext != ".npy" && ext != ".npz" && !data.IsBuiltin(name) {
		o.Text, o.Alphabet, o.Length = true, n.Alphabet, n.SampleShape()[0]
	}
	return o
}

// times writes a shape: 28×28×1.
func times(shape []int) string {
	parts := make([]string, len(shape))
	for i, v := range shape {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, "×")
}

// Pixels reports whether the network was trained on images of values from 0 to 255, by its normalisation.
func (p *Points) Pixels() bool {
	return len(p.Shape) == 3 && len(p.Norm.Mean) == 1 && len(p.Norm.Scale) == 1 && p.Norm.Mean[0] == 127.5 && p.Norm.Scale[0] == 127.5
}

// CheckRange refuses values that cannot be pixels, for a network that was trained on pixels.
func (p *Points) CheckRange() error {
	if !p.Pixels() || len(p.X) == 0 {
		return nil
	}
	least, most := slices.Min(p.X), slices.Max(p.X)
	if least >= 0 && most > 1 && most <= 256 || p.Bytes { // up to 256 with noise of a dequantisation elsewhere
		return nil
	}
	return fmt.Errorf("the values of %s are from %g to %g; the network was trained on pixels from 0 to 255", p.Name, least, most)
}

// AreWhole reports whether all values are whole numbers, of which more than two differ or which are bytes.
func (p *Points) AreWhole() bool {
	if p.Bytes {
		return true
	}
	most := 0.0
	for _, v := range p.X {
		if v != math.Trunc(v) || v < 0 || v > 255 {
			return false
		}
		most = max(most, v)
	}
	return most > 1 && len(p.Shape) == 3
}

// Digest names the points with their labels.
func (p *Points) Digest() string {
	h := sha256.New()
	var b [8]byte
	for _, v := range p.X {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
		h.Write(b[:])
	}
	for _, l := range p.Labels {
		binary.LittleEndian.PutUint32(b[:], uint32(l))
		h.Write(b[:4])
	}
	return hex.EncodeToString(h.Sum(nil))
}
