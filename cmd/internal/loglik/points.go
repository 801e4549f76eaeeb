package loglik

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/solver"
)

// Network is a checkpoint in the precisions that the methods want, with the scaling of its data. Close frees what it holds on
// a GPU.
type Network struct {
	*model.Model                   // in the precision of --precision
	Single, Double *solver.Network // in float32 and float64
}

// LoadNetwork reads a checkpoint and makes it run as the options say.
func LoadNetwork(f model.Flags) (*Network, error) {
	precision, err := ParsePrecision(f.Precision)
	if err != nil {
		return nil, err
	}
	m, err := model.Load(f.Checkpoint, model.Options{Schedule: f.Schedule, Act: f.Act, Prediction: f.Prediction, Device: f.Device, Workers: f.Workers, Precision: precision})
	if err != nil {
		return nil, err
	}
	n := &Network{Model: m}
	for _, p := range []struct {
		at        **solver.Network
		precision solver.Precision
	}{{&n.Single, solver.Float32}, {&n.Double, solver.Float64}} {
		if *p.at, err = solver.NewNetwork(m.Net.Engine(), m.Schedule, m.Prediction, p.precision); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return n, nil
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
	// Notes say how a file was read.
	Notes []data.Note
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
	set, err := data.LoadWith(name, data.Options{First: first, N: count, Seed: seed, Columns: from.Columns, Header: from.Header, Prefer: n.Columns})
	if err != nil {
		return nil, err
	}
	if set.D != n.Net.Dim() {
		hint := ""
		if n.Columns != nil {
			hint = fmt.Sprintf(", the columns %s", strings.Join(n.Columns, ", "))
		}
		return nil, fmt.Errorf("the points of %s have %d coordinates; the network of this checkpoint has D = %d%s", name, set.D, n.Net.Dim(), hint)
	}
	p.Notes = set.Notes
	if n.Columns != nil && set.Columns != nil && !slices.Equal(n.Columns, set.Columns) {
		p.Notes = append(p.Notes, data.Note{Label: "warning", Text: fmt.Sprintf("the network was trained on columns %s, and is given %s", strings.Join(n.Columns, ", "), strings.Join(set.Columns, ", "))})
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
