//go:build gpu && cgo

package exec

import (
	"errors"
	"fmt"
	"slices"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/fit"
)

// DrawArgs has the layout of struct Draw of kernels/gpu/train.cuh.
type DrawArgs struct {
	Cumulative, Ratios, Guide, Values uint64
	Guides, Cells, Curves, _          int32
	Data, Freqs, Target, Weight       uint64
	N, Seed                           uint64
	Batch, First                      uint64 // rows of a batch, and the number of the trainer's first
	D, NFreqs                         int32
}

// drawer holds what batches are drawn from, on the device.
type drawer struct {
	args    DrawArgs // for batches that the device draws; Data is 0 if there are none
	buffers []*driver.Buffer
}

func newDrawer(d *driver.Device, p *kernels.ChainTraining, b *kernels.Batches) (*drawer, error) {
	w := &drawer{args: DrawArgs{D: int32(p.D), NFreqs: int32(len(p.Time.Freqs))}}
	if err := w.upload(d, p, b); err != nil {
		return nil, errors.Join(err, w.free())
	}
	return w, nil
}

func (w *drawer) upload(d *driver.Device, p *kernels.ChainTraining, b *kernels.Batches) error {
	a := &w.args
	if err := send(w, d, &a.Freqs, p.Time.Freqs); err != nil || b == nil {
		return err
	}
	t := &b.Times
	if len(b.X) == 0 || len(b.X)%p.D != 0 {
		return fmt.Errorf("cuda: training data of %d numbers; want rows of %d", len(b.X), p.D)
	}
	if (t.Points == nil) == (t.Curves == nil) || t.Points != nil && len(t.Points) != t.Cells || t.Cumulative != nil && (len(t.Cumulative) != t.Cells || len(t.Ratios) != t.Cells) {
		return fmt.Errorf("cuda: a table of times of %d cells with %d points, %d curves, %d probabilities and %d ratios; see kernels.TimeTable",
			t.Cells, len(t.Points), len(t.Curves), len(t.Cumulative), len(t.Ratios))
	}
	guide := t.Guide()
	a.N, a.Seed = uint64(len(b.X)/p.D), b.Seed
	a.Guides, a.Cells = int32(len(guide)), int32(t.Cells)
	if t.Curves != nil {
		a.Curves = 1
	}
	return errors.Join(send(w, d, &a.Cumulative, t.Cumulative), send(w, d, &a.Ratios, t.Ratios), send(w, d, &a.Guide, guide),
		send(w, d, &a.Values, t.Points), send(w, d, &a.Values, t.Curves), send(w, d, &a.Data, b.X))
}

// send uploads src and stores its address in at; an empty src changes nothing.
func send[T any](w *drawer, d *driver.Device, at *uint64, src []T) error {
	if len(src) == 0 {
		return nil
	}
	b, err := driver.NewBuffer(d, src)
	if err != nil {
		return err
	}
	w.buffers, *at = append(w.buffers, b), b.Address()
	return nil
}

func (w *drawer) free() error {
	var err error
	for _, b := range w.buffers {
		err = errors.Join(err, b.Free())
	}
	w.buffers = nil
	return err
}

// hostBatch is a batch that a fit.Source draws on the host: the network's input with rows of ld, targets, weights.
type hostBatch struct {
	input, target, weight []float32
}

// fill draws n rows, from row first on, of the batch of a step.
func (h *hostBatch) fill(p *kernels.ChainTraining, src fit.Source, step int64, first, n, ld int) {
	d, f := p.D, p.Time.Width()
	h.input = slices.Grow(h.input[:0], n*ld)[:n*ld]
	h.target = slices.Grow(h.target[:0], n*d)[:n*d]
	h.weight = slices.Grow(h.weight[:0], n)[:n]
	t := &fit.Tile{Step: step, Lo: first, Hi: first + n, X: make([]float32, n*d), Tau: make([]float64, n), Target: h.target, Weight: h.weight,
		Features: make([]float32, n*f)}
	src.Fill(t)
	for i := range n {
		row := h.input[i*ld:][:ld]
		copy(row, t.X[i*d:][:d])
		if t.HasFeatures {
			copy(row[d:], t.Features[i*f:][:f])
		} else {
			p.Time.Fill(row[d:], t.Tau[i])
		}
		clear(row[d+f:])
	}
}
