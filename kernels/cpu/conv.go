package cpu

import "fmt"

// ConvShape describes a two-dimensional convolution (cross-correlation, as in PyTorch) of images [H, W, In] to images
// [OutH, OutW, Out] with zeros around the image.
type ConvShape struct {
	H, W, In, Out            int
	KH, KW                   int // kernel
	Stride                   int // both directions; 0 means 1
	Left, Right, Top, Bottom int // rows and columns of zeros
}

// OutH is the height of an output image.
func (s ConvShape) OutH() int { return (s.H+s.Top+s.Bottom-s.KH)/max(1, s.Stride) + 1 }

// OutW is the width of an output image.
func (s ConvShape) OutW() int { return (s.W+s.Left+s.Right-s.KW)/max(1, s.Stride) + 1 }

// MultiplyAdds of the sums of one sample, counted directly, with those of the padding.
func (s ConvShape) MultiplyAdds() int { return s.OutH() * s.OutW() * s.Out * s.KH * s.KW * s.In }

func (s ConvShape) String() string {
	return fmt.Sprintf("convolution %d×%d of [%d, %d, %d] to %d channels, stride %d, padding left %d, right %d, top %d, bottom %d",
		s.KH, s.KW, s.H, s.W, s.In, s.Out, s.Stride, s.Left, s.Right, s.Top, s.Bottom)
}

func (s ConvShape) check() error {
	switch {
	case s.H < 1 || s.W < 1 || s.In < 1 || s.Out < 1 || s.KH < 1 || s.KW < 1 || s.Stride < 1:
		return fmt.Errorf("%v: sizes must be positive", s)
	case s.Left < 0 || s.Right < 0 || s.Top < 0 || s.Bottom < 0:
		return fmt.Errorf("%v: padding must not be negative", s)
	case s.H+s.Top+s.Bottom < s.KH || s.W+s.Left+s.Right < s.KW:
		return fmt.Errorf("%v: the kernel is larger than the padded image", s)
	}
	return nil
}

// Conv is a convolution with its weights in the layouts of the products. The weights, [Out, KH, KW, In] row-major, stay
// with the caller, who calls SetForward and SetBackward whenever they have changed. Images are [n, H, W, C] with a
// stride ld ≥ C between pixels, so that a range of channels of a wider image can be given.
type Conv struct {
	ConvShape
	dense *Dense // of a 1×1 kernel with stride 1 and no padding, which is a dense layer over pixels; else
	wino  *winograd
	im2c  *im2col // where there is none of the two

	few, fewBack *narrow // in place of im2c, forward or of the gradient in x, if not nil
}

// NewConv plans a convolution. The way it is computed depends on the shape alone. It allocates no weights.
func NewConv(s ConvShape) (*Conv, error) {
	if s.Stride == 0 {
		s.Stride = 1
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	c := &Conv{ConvShape: s}
	switch {
	case s.KH == 1 && s.KW == 1 && s.Stride == 1 && s.Left+s.Right+s.Top+s.Bottom == 0:
		c.dense = NewDense(s.In, s.Out)
	case winogradSuits(s):
		c.wino = newWinograd(s)
	default:
		c.im2c = newIm2col(s)
		if narrowSuits(s) {
			c.few = newNarrow(s, false)
		}
		if b := newNarrow(s, true); s.Stride == 1 && narrowSuits(b.ConvShape) {
			c.fewBack = b
		}
	}
	return c, nil
}

// Bytes is the memory of the packed weights that SetForward and SetBackward allocate.
func (c *Conv) Bytes() (forward, backward int) {
	if c.dense != nil {
		return c.dense.Bytes()
	}
	if c.wino != nil {
		return c.wino.bytes()
	}
	forward, backward = c.im2c.bytes()
	if c.few != nil {
		forward = c.few.bytes()
	}
	if c.fewBack != nil {
		backward = c.fewBack.bytes()
	}
	return forward, backward
}

// SetForward takes the weights w [Out, KH, KW, In] for Forward.
func (c *Conv) SetForward(t *Team, w []float32) {
	need("convolution weights", len(w), c.Out*c.KH*c.KW*c.In)
	if c.dense != nil {
		c.dense.SetForward(t, w)
		return
	}
	if c.wino != nil {
		c.wino.setForward(t, w)
		return
	}
	if c.few != nil {
		c.few.set(t, w)
		return
	}
	c.im2c.fwd.SetForward(t, w)
}

// SetBackward takes the weights w [Out, KH, KW, In] for BackwardX.
func (c *Conv) SetBackward(t *Team, w []float32) {
	need("convolution weights", len(w), c.Out*c.KH*c.KW*c.In)
	if c.dense != nil {
		c.dense.SetBackward(t, w)
		return
	}
	if c.wino != nil {
		c.wino.setBackward(t, w)
		return
	}
	if c.fewBack != nil {
		c.fewBack.setFlipped(t, w)
		return
	}
	c.im2c.setBackward(t, w)
}

// Forward computes the outputs y [n, OutH, OutW, Out] of the images x [n, H, W, In]; e may be nil. y must not overlap x.
func (c *Conv) Forward(t *Team, y []float32, ldy int, x []float32, ldx, n int, e *Epilogue) {
	if n == 0 {
		return
	}
	rows := c.OutH() * c.OutW()
	needRows("convolution input", len(x), ldx, n*c.H*c.W, c.In)
	needRows("convolution output", len(y), ldy, n*rows, c.Out)
	if e != nil && e.SampleBias != nil {
		e2 := *e
		e2.SampleRows = rows
		e = &e2
	}
	e.check(n*rows, c.Out)
	if c.dense != nil {
		c.dense.Forward(t, y, ldy, x, ldx, n*rows, e)
		return
	}
	if c.wino != nil {
		c.wino.forward(t, y, ldy, x, ldx, n, e)
		return
	}
	if c.few != nil {
		c.few.forward(t, y, ldy, x, ldx, n, e)
		return
	}
	c.im2c.forward(t, y, ldy, x, ldx, n, e)
}

// BackwardX computes the gradient dx [n, H, W, In] from dy [n, OutH, OutW, Out], or adds it to dx if accumulate. dx must
// not overlap dy.
func (c *Conv) BackwardX(t *Team, dx []float32, lddx int, dy []float32, lddy, n int, accumulate bool) {
	if n == 0 {
		return
	}
	rows := c.OutH() * c.OutW()
	needRows("convolution output gradient", len(dy), lddy, n*rows, c.Out)
	needRows("convolution input gradient", len(dx), lddx, n*c.H*c.W, c.In)
	if c.dense != nil {
		c.dense.BackwardX(t, dx, lddx, dy, lddy, n*rows, accumulate)
		return
	}
	if c.wino != nil {
		c.wino.bwd.forward(t, dx, lddx, dy, lddy, n, &Epilogue{Accumulate: accumulate})
		return
	}
	if c.fewBack != nil {
		c.fewBack.forward(t, dx, lddx, dy, lddy, n, &Epilogue{Accumulate: accumulate})
		return
	}
	c.im2c.backwardX(t, dx, lddx, dy, lddy, n, accumulate)
}

// Sums is the number of elements in which BackwardW keeps the gradient of the weights. InPlace reports whether they are
// laid out as the weights, so that the gradient itself can be given for them.
func (c *Conv) Sums() int {
	if c.wino != nil {
		return c.wino.sums()
	}
	return c.Out * c.KH * c.KW * c.In
}

// InPlace: see Sums.
func (c *Conv) InPlace() bool { return c.wino == nil }

// BackwardW computes the gradient of the weights over n samples in sums, or adds it to sums if accumulate. FinishW takes
// it from there. Each element is summed over samples and pixels in their order: a batch in several calls, the second and
// later ones with accumulate, gives the same bits as in one.
func (c *Conv) BackwardW(t *Team, sums, dy []float32, lddy int, x []float32, ldx, n int, accumulate bool) {
	need("sums of a convolution's weight gradient", len(sums), c.Sums())
	rows := c.OutH() * c.OutW()
	if n > 0 {
		needRows("convolution output gradient", len(dy), lddy, n*rows, c.Out)
		needRows("convolution input", len(x), ldx, n*c.H*c.W, c.In)
	}
	if c.dense != nil {
		c.dense.BackwardW(t, sums, dy, lddy, x, ldx, n*rows, accumulate)
		return
	}
	if c.wino != nil {
		c.wino.backwardW(t, sums, dy, lddy, x, ldx, n, accumulate)
		return
	}
	c.im2c.backwardW(t, sums, dy, lddy, x, ldx, n, accumulate)
}

// FinishW writes the gradient dw, laid out as the weights, from the sums of BackwardW, or adds it to dw if accumulate.
// Where InPlace holds and sums is dw there is nothing to do.
func (c *Conv) FinishW(t *Team, dw, sums []float32, accumulate bool) {
	size := c.Out * c.KH * c.KW * c.In
	need("convolution weight gradient", len(dw), size)
	need("sums of a convolution's weight gradient", len(sums), c.Sums())
	switch {
	case c.wino != nil:
		c.wino.finishW(t, dw, sums, accumulate)
	case &dw[0] == &sums[0]:
	case accumulate:
		t.Impl.Add(dw[:size], dw[:size], sums[:size])
	default:
		copy(dw[:size], sums)
	}
}
