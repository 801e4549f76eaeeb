//go:build gpu && cgo

package exec

import (
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// layersPass is a Pass that runs one instruction after another, for any network: products by kernels/gpu/dense.cu, everything else by
// train.cu.
type layersPass struct {
	d             *driver.Device
	p             *kernels.ChainTraining
	l             *Layout
	param, g      *driver.Buffer
	byWeight      map[int]int // layers of weights
	dense, module *driver.Module
	kernels       map[string]*driver.Kernel
	n             int // number of rows for which memory is allocated

	fwd, slope, grad []*driver.Buffer // by forward and gradient buffer; slope nil for identities
	target, weight   *driver.Buffer
	coef, pick       *driver.Buffer
}

func newLayersPass(d *driver.Device, p *kernels.ChainTraining, l *Layout, param, g *driver.Buffer) (*layersPass, error) {
	q := &layersPass{d: d, p: p, l: l, param: param, g: g, byWeight: map[int]int{}, kernels: map[string]*driver.Kernel{},
		fwd: make([]*driver.Buffer, len(p.Widths)), slope: make([]*driver.Buffer, len(p.Widths)), grad: make([]*driver.Buffer, len(p.GradWidths))}
	for i := range l.Layers {
		q.byWeight[l.Layers[i].weight] = i
	}
	if err := q.open(); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

func (q *layersPass) open() (err error) {
	if q.dense, err = q.d.Load(gpu.Dense); err != nil {
		return err
	}
	if q.module, err = q.d.Load(gpu.Train); err != nil {
		return err
	}
	for _, t := range []tile{tileF32Large, tileF32Small, tileF32Narrow} {
		if q.kernels[t.name], err = q.dense.Kernel(t.name, t.threads, t.shared); err != nil {
			return err
		}
	}
	for _, name := range []string{"train_times", "train_draw", "train_loss", "train_slope"} {
		if q.kernels[name], err = q.module.Kernel(name, 256, 0); err != nil {
			return err
		}
	}
	return nil
}

func (q *layersPass) Resize(n int) error {
	q.n = n
	again := func(b **driver.Buffer, bytes int) error {
		if err := (*b).Free(); err != nil {
			return err
		}
		var err error
		if *b, err = q.d.Alloc(bytes); err != nil {
			return fmt.Errorf("%w, for batches of %d rows", err, n)
		}
		return nil
	}
	rows := func(b **driver.Buffer, width int) error { return again(b, 4*n*round4(width)) }
	for i, w := range q.p.Widths {
		if err := rows(&q.fwd[i], w); err != nil {
			return err
		}
	}
	for i, w := range q.p.GradWidths {
		if err := rows(&q.grad[i], w); err != nil {
			return err
		}
	}
	for _, in := range q.p.Forward {
		if in.Act != simd.Identity {
			if err := rows(&q.slope[in.Dst], q.p.Widths[in.Dst]); err != nil {
				return err
			}
		}
	}
	return errors.Join(again(&q.target, 4*n*q.p.D), again(&q.weight, 4*n), again(&q.coef, 8*kernels.Coefs*n), again(&q.pick, 8*n))
}

func (q *layersPass) X(layer int) uint64 {
	l := &q.l.Layers[layer]
	if l.large() {
		return 0
	}
	return q.fwd[l.x].Address()
}

func (q *layersPass) DZ(layer int) uint64   { return q.grad[q.l.Layers[layer].dz].Address() }
func (q *layersPass) Input() *driver.Buffer { return q.Activation(0) }

func (q *layersPass) Activation(layer int) *driver.Buffer { return q.fwd[q.l.Layers[layer].x] }

func (q *layersPass) Launch(a DrawArgs, control, rowLoss *driver.Buffer, n int, reached func(layer int) error) error {
	if a.Data != 0 {
		a.Target, a.Weight = q.target.Address(), q.weight.Address()
		if err := q.drawBatch(a, control, n); err != nil {
			return err
		}
	}
	for _, in := range q.p.Forward {
		l := q.layer(in.W)
		g := denseArgs{
			A: matrix(q.fwd[in.Src].Address(), int64(l.LDK), 1), B: matrix(q.param.At(l.W), 1, int64(l.LDK)),
			C: q.fwd[in.Dst].Address(), CRow: int64(l.LDN), Bias: q.param.At(l.B),
			M: int32(n), N: int32(l.N), K: int32(l.K), Group: 1, Act: int32(in.Act),
		}
		if in.Act != simd.Identity {
			g.Slope, g.SlopeRow = q.slope[in.Dst].Address(), int64(l.LDN)
		}
		if in.Add >= 0 {
			g.Add, g.AddRow = q.fwd[in.Add].Address(), int64(l.LDN)
		}
		if err := q.product(&g); err != nil {
			return err
		}
	}
	d := q.p.D
	args := driver.Pack(new(driver.Args).Buf(q.fwd[q.p.Output]).I32(round4(d)), a.Target)
	driver.Pack(args, a.Weight).I32(d).I32(n).F32(LossScale(int(a.Batch), d)).Buf(q.grad[q.p.LossGrad]).I32(round4(d)).Buf(rowLoss)
	if err := q.kernels["train_loss"].Launch((32*n+255)/256, args); err != nil {
		return err
	}
	for _, in := range q.p.Backward {
		var err error
		switch in.Op {
		case kernels.BackInput:
			err = q.backInput(in, n)
		case kernels.BackAct:
			err = q.backAct(in, n)
		case kernels.BackParams:
			l := q.byWeight[in.W]
			if q.l.Layers[l].large() {
				err = q.backWeights(&q.l.Layers[l], n)
			}
			if err == nil && reached != nil {
				err = reached(l)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *layersPass) drawBatch(a DrawArgs, control *driver.Buffer, n int) error {
	if err := q.each("train_times", 8*n, driver.Pack(new(driver.Args), a).Buf(control).I32(n).Buf(q.coef).Buf(q.pick)); err != nil {
		return err
	}
	args := driver.Pack(new(driver.Args), a).Buf(control).I32(n).Buf(q.coef).Buf(q.pick).Buf(q.fwd[0]).I32(round4(q.p.Widths[0])).Buf(q.target).Buf(q.weight)
	return q.each("train_draw", n*q.p.Widths[0], args)
}

// backInput is dst = (src W + add) f′, kernels.BackInput.
func (q *layersPass) backInput(in kernels.BackInstr, n int) error {
	l := q.layer(in.W)
	g := denseArgs{
		A: matrix(q.grad[in.Src].Address(), int64(l.LDN), 1), B: matrix(q.param.At(l.W), int64(l.LDK), 1),
		C: q.grad[in.Dst].Address(), CRow: int64(l.LDK),
		M: int32(n), N: int32(l.K), K: int32(l.N), Group: 1,
	}
	slope := in.Act >= 0 && q.slope[in.Act] != nil
	if slope {
		g.Mul, g.MulRow = q.slope[in.Act].Address(), int64(l.LDK)
	}
	switch {
	case in.Add >= 0 && slope: // a product's epilogue adds last
		if err := q.copy(in.Dst, in.Add, n); err != nil {
			return err
		}
		g.Accumulate = 1
	case in.Add >= 0:
		g.Add, g.AddRow = q.grad[in.Add].Address(), int64(l.LDK)
	}
	return q.product(&g)
}

// backAct is dst = src f′, kernels.BackAct.
func (q *layersPass) backAct(in kernels.BackInstr, n int) error {
	if in.Act < 0 || q.slope[in.Act] == nil {
		return q.copy(in.Dst, in.Src, n)
	}
	w := q.p.GradWidths[in.Dst]
	ld := round4(w)
	return q.each("train_slope", n*w, new(driver.Args).Buf(q.grad[in.Dst]).I32(ld).Buf(q.grad[in.Src]).I32(ld).Buf(q.slope[in.Act]).I32(ld).I32(n).I32(w))
}

// layer is the layer of a weight.
func (q *layersPass) layer(weight int) *Layer { return &q.l.Layers[q.byWeight[weight]] }

// large reports whether a product computes the gradient of the layer's weights in less time than train_grad, which reads input and
// gradient again for every few weights.
func (l *Layer) large() bool { return l.N >= 128 && l.K >= 128 }

// backWeights is the gradient of a layer's weights, dzᵀ x over the rows in order.
func (q *layersPass) backWeights(l *Layer, n int) error {
	return q.product(&denseArgs{
		A: matrix(q.grad[l.dz].Address(), 1, int64(l.LDN)), B: matrix(q.fwd[l.x].Address(), int64(l.LDK), 1),
		C: q.g.At(l.W), CRow: int64(l.LDK), M: int32(l.N), N: int32(l.K), K: int32(n), Group: 1,
	})
}

// copy copies rows of a gradient buffer.
func (q *layersPass) copy(dst, src, n int) error {
	return driver.Copy(q.grad[dst].View(0, 4*n*round4(q.p.GradWidths[dst])), q.grad[src])
}

// product enqueues a product; all tiles give the same results.
func (q *layersPass) product(g *denseArgs) error {
	m, n := int(g.M), int(g.N)
	blocks := func(t tile) int { return (m + t.m - 1) / t.m * ((n + t.n - 1) / t.n) }
	t := tileF32Small
	switch {
	case n <= tileF32Narrow.n:
		t = tileF32Narrow
	case n > tileF32Small.n && blocks(tileF32Large) >= q.d.Multiprocessors:
		t = tileF32Large
	}
	return q.kernels[t.name].Launch(blocks(t), driver.Pack(new(driver.Args), *g))
}

// each enqueues an element kernel.
func (q *layersPass) each(name string, elements int, a *driver.Args) error {
	return q.kernels[name].Launch(min((elements+255)/256, 16*q.d.Multiprocessors), a)
}

func (q *layersPass) Close() error {
	var err error
	for _, bs := range [][]*driver.Buffer{q.fwd, q.slope, q.grad, {q.target, q.weight, q.coef, q.pick}} {
		for _, b := range bs {
			err = errors.Join(err, b.Free())
		}
	}
	for _, m := range []*driver.Module{q.dense, q.module} {
		if m != nil {
			err = errors.Join(err, m.Unload())
		}
	}
	q.dense, q.module = nil, nil
	return err
}
