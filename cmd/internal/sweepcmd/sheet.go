package sweepcmd

import (
	"fmt"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/samples"
)

// rows are the pictures of each h and steps, one below the other, on one noise. A nil value takes none.
type rows struct {
	what   samples.Options
	names  []string
	sheets []*samples.Sheet
	shown  [][]float64 // the samples of each row
}

// newRows begins a sheet of the network's samples in data units, if one is wanted.
func newRows(net *loglik.Network, o options) (*rows, error) {
	if o.sheet == "" {
		return nil, nil
	}
	r := &rows{what: samples.Options{N: o.n, Shape: net.SampleShape()}}
	low, high, ok := samples.FromNormalisation(net.Norm)
	if !ok {
		return nil, fmt.Errorf("--sheet: the data of %s were scaled value by value, so none is known to be black or white", o.Checkpoint)
	}
	r.what.Low, r.what.High = low, high
	_, err := samples.NewRow(r.what) // what cannot be shown is refused before anything is drawn
	return r, err
}

// rowName is what stands beside a row.
func rowName(c *Cell) string { return fmt.Sprintf("h = %v, %d steps", c.H, c.Steps) }

// first are the first samples of a cell, those that are shown.
func (r *rows) first(x []float64) []float64 {
	if r == nil {
		return nil
	}
	room := samples.RowRoom
	for _, v := range r.what.Shape {
		room *= v
	}
	return slices.Clone(x[:min(len(x), room)])
}

// add takes what is shown of a cell.
func (r *rows) add(name string, x []float64) error {
	if r == nil {
		return nil
	}
	s, err := samples.NewRow(r.what)
	if err != nil {
		return err
	}
	s.Add(x)
	r.names, r.sheets, r.shown = append(r.names, name), append(r.sheets, s), append(r.shown, x)
	return nil
}

func (r *rows) write(path string) error { return samples.WriteRows(path, r.names, r.sheets) }
