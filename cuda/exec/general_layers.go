//go:build gpu && cgo

package exec

import (
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels/simd"
)

// deviceRows is a matrix on the device: element (i, j) is i·row + j elements behind the address at. With at 0 there is none.
type deviceRows struct {
	at  uint64 // address
	row int    // stride of the rows in elements; 0: one row stands for all
}

// layers are a network's parameters on the device in one element type.
type layers[F simd.Float] struct {
	g      *General
	params *driver.Buffer
	offset []int // of each parameter, in elements
}

func newLayers[F simd.Float](g *General) (*layers[F], error) {
	n := &layers[F]{g: g}
	var all []F
	for _, q := range g.p.Params {
		for len(all)%16 != 0 {
			all = append(all, 0)
		}
		n.offset = append(n.offset, len(all))
		for _, v := range q.Data {
			all = append(all, F(v))
		}
	}
	var err error
	if n.params, err = driver.NewBuffer(g.d, all); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *layers[F]) free() error {
	if n == nil {
		return nil
	}
	return n.params.Free()
}

func (n *layers[F]) size() int { return bytesOfEach[F]() }

// name is that of a kernel in F.
func (n *layers[F]) name(kernel string) string { return fmt.Sprintf("%s_f%d", kernel, 8*n.size()) }

// param is the address of element j of a parameter.
func (n *layers[F]) param(i, j int) uint64 {
	return n.params.Address() + uint64(n.size()*(n.offset[i]+j))
}

// rows returns scratch memory for r rows of w numbers.
func (n *layers[F]) rows(s slot, r, w int) (deviceRows, error) {
	b, err := n.g.space.bytes(s, n.g.padded(r)*w*n.size())
	if err != nil {
		return deviceRows{}, err
	}
	return deviceRows{b.Address(), w}, nil
}

// upload returns scratch memory that holds v, rows of w numbers.
func (n *layers[F]) upload(s slot, v []F, w int) (deviceRows, error) {
	p, err := n.rows(s, len(v)/w, w)
	if err != nil {
		return p, err
	}
	return p, driver.Upload(n.g.space.buffers[s], v)
}

// download copies the start of a slot.
func (n *layers[F]) download(dst []F, s slot) error {
	return driver.Download(dst, n.g.space.buffers[s])
}

// after is the matrix without its first i rows.
func (n *layers[F]) after(p deviceRows, i int) deviceRows {
	return deviceRows{p.at + uint64(i*p.row*n.size()), p.row}
}

// times hold what the layers on the input need of the times τ: the features φ(τ), and b + W_τ φ(τ) for each instruction on the input.
// With one time for all samples the stride of the rows is 0.
type times struct {
	phi  deviceRows
	bias []deviceRows
}

// times computes them for tau. With shared, one time stands for all rows.
func (n *layers[F]) times(tau []float64, shared bool) (times, error) {
	p := n.g.p
	t := times{bias: make([]deviceRows, len(p.Forward))}
	taus, err := n.g.space.bytes(slot{"tau", 0}, 8*len(tau))
	if err != nil {
		return t, err
	}
	if err := driver.Upload(taus, tau); err != nil {
		return t, err
	}
	tf := p.Time.Width()
	if t.phi, err = n.rows(slot{"phi", 0}, len(tau), tf); err != nil {
		return t, err
	}
	a := driver.Pack(new(driver.Args), t.phi.at).Buf(taus).Buf(n.g.freqs).I32(len(p.Time.Freqs)).I32(len(tau))
	if err := n.g.each(n.name("features"), len(tau)*tf, a); err != nil {
		return t, err
	}
	for i, ins := range p.Forward {
		if ins.Src != 0 {
			continue
		}
		w := p.Params[ins.W]
		if t.bias[i], err = n.rows(slot{"bias", i}, len(tau), w.Rows); err != nil {
			return t, err
		}
		q := denseArgs{
			A: matrix(t.phi.at, int64(tf), 1), B: matrix(n.param(ins.W, p.D), 1, int64(w.Cols)),
			C: t.bias[i].at, CRow: int64(w.Rows), Bias: n.param(ins.B, 0),
			M: int32(len(tau)), N: int32(w.Rows), K: int32(tf), Group: 1,
		}
		if err := n.dense(&q); err != nil {
			return t, err
		}
		if shared {
			t.bias[i].row = 0
		}
	}
	if shared {
		t.phi.row = 0
	}
	return t, nil
}

// batchTimes are the times of samples lo to hi: common to all of a call, or each its own.
func (n *layers[F]) batchTimes(tau []float64, lo, hi int) (times, error) {
	if len(tau) == 1 {
		return n.times(tau, true)
	}
	return n.times(tau[lo:hi], false)
}

// of are the times of row k alone.
func (n *layers[F]) timesOf(t times, k int) times {
	one := times{phi: n.after(t.phi, k), bias: make([]deviceRows, len(t.bias))}
	one.phi.row = 0
	for i, b := range t.bias {
		if b.at != 0 {
			one.bias[i] = deviceRows{at: n.after(b, k).at}
		}
	}
	return one
}

// What the rows of a sample are; rows.cu has the same.
const (
	rowsGiven = iota
	rowsUnit
	rowsJet
)

// input returns the rows of buffer 0. If no layer adds this buffer and x holds the coordinates already, that is x. Else the rows are
// computed, with the time features phi (unless there are none) in the first row of each group.
func (n *layers[F]) input(rows, group, kind int, x, phi deviceRows) (deviceRows, error) {
	p := n.g.p
	width := p.D
	if n.g.sumsInput {
		width = p.Widths[0]
	} else if kind == rowsGiven {
		return x, nil
	}
	in, err := n.rows(slot{"input", 0}, rows, width)
	if err != nil {
		return in, err
	}
	a := driver.Pack(new(driver.Args), in.at).I32(width)
	driver.Pack(a, x.at).I32(p.D).I32(kind).I32(group)
	driver.Pack(driver.Pack(driver.Pack(a, phi.at), int64(phi.row)), int64(rows))
	return in, n.g.each(n.name("input_rows"), rows*width, a)
}

// product is the matrix product of instruction i on rows of src, without bias, activation and residual.
func (n *layers[F]) product(i, rows int, src, dst deviceRows) denseArgs {
	p := n.g.p
	ins := p.Forward[i]
	w := p.Params[ins.W]
	k := w.Cols
	if ins.Src == 0 {
		k = p.D
	}
	return denseArgs{
		A: matrix(src.at, int64(src.row), 1), B: matrix(n.param(ins.W, 0), 1, int64(w.Cols)), C: dst.at, CRow: int64(dst.row),
		M: int32(rows), N: int32(w.Rows), K: int32(k), Group: 1,
	}
}

// addBias adds the bias of instruction i to the first row of each group.
func (n *layers[F]) addBias(q *denseArgs, i, group int, t times) {
	q.Group = int32(group)
	if ins := n.g.p.Forward[i]; ins.Src != 0 {
		q.Bias = n.param(ins.B, 0)
		return
	}
	q.Bias, q.BiasRow = t.bias[i].at, int64(t.bias[i].row)
}

// pass takes rows through all layers, in scratch memory named by use, and returns the output. For values t holds the times, and
// slopes, unless nil, receives f' of each layer. For tangents t is nil, a sample has group rows, and their sums are multiplied
// by slopes.
func (n *layers[F]) pass(use string, rows, group int, in deviceRows, t *times, slopes []deviceRows) (deviceRows, error) {
	p := n.g.p
	buf := make([]deviceRows, len(p.Widths))
	buf[0] = in
	for i, ins := range p.Forward {
		s := n.g.slots[ins.Dst]
		dst, err := n.rows(slot{use, s}, rows, n.g.slotWidth[s])
		if err != nil {
			return dst, err
		}
		dst.row = p.Widths[ins.Dst]
		buf[ins.Dst] = dst
		q := n.product(i, rows, buf[ins.Src], dst)
		active := ins.Act != simd.Identity
		if t != nil {
			n.addBias(&q, i, 1, *t)
			q.Act = int32(ins.Act)
			if slopes != nil && active {
				q.Slope, q.SlopeRow = slopes[i].at, int64(slopes[i].row)
			}
		} else if active {
			q.Group = int32(group)
			q.Mul, q.MulRow = slopes[i].at, int64(slopes[i].row)
		}
		if ins.Add >= 0 {
			q.Add, q.AddRow = buf[ins.Add].at, int64(buf[ins.Add].row)
		}
		if err := n.layer(ins.Src, &q); err != nil {
			return dst, err
		}
	}
	return buf[p.Output], nil
}

// outputSlot is the scratch memory in which pass left the output.
func (n *layers[F]) outputSlot(use string) slot { return slot{use, n.g.slots[n.g.p.Output]} }

// slopes returns memory for f' of each layer.
func (n *layers[F]) slopes(rows int) (s []deviceRows, err error) {
	p := n.g.p
	s = make([]deviceRows, len(p.Forward))
	for i, ins := range p.Forward {
		if ins.Act == simd.Identity {
			continue
		}
		if s[i], err = n.rows(slot{"slope", i}, rows, p.Widths[ins.Dst]); err != nil {
			return nil, err
		}
	}
	return s, nil
}
