package cpu

import (
	"hbar/program"
	"hbar/program/ops"
)

// weights calls set with the numbers of a weight: when parameters have changed, or for each block if the weight is not a
// constant. It returns what a binder's prepare and the start of its run should do.
func (x *Executor) weights(id program.ID, set func(w []float32)) (prepare, start func()) {
	load := func() { set(x.get(id)) }
	if x.constant(id) {
		return load, func() {}
	}
	return nil, load
}

// layerOf is the layer of an instruction whose second input is the weight. The lanes of an executor share those of weights that are constant.
func layerOf[L any](x *Executor, in program.Instr, layer func() L) L {
	if x.of != nil && x.constant(in.In[1]) {
		return x.of.layers[in.Out[0]].(L)
	}
	l := layer()
	x.layers[in.Out[0]] = l
	return l
}

// bias returns the bias of a layer with inputs x, weights and perhaps bias.
func (x *Executor) bias(in program.Instr) []float32 {
	if len(in.In) < 3 {
		return nil
	}
	return x.get(in.In[2])
}

func bindDense(x *Executor, in program.Instr) (bound, error) { return x.dense(in, nil), nil }

// dense binds a dense layer; more adds to its epilogue.
func (x *Executor) dense(in program.Instr, more func(e *Epilogue)) bound {
	w := x.shape(in.In[1])
	d := layerOf(x, in, func() *Dense { return NewDense(w[1], w[0]) })
	rows := x.rows(in.In[0])
	prepare, start := x.weights(in.In[1], func(w []float32) { d.SetForward(x.team, w) })
	return bound{
		prepare: prepare,
		run: func() {
			start()
			a := x.array(in.In[0])
			e := &Epilogue{Bias: x.bias(in)}
			if more != nil {
				more(e)
			}
			d.Forward(x.team, x.get(in.Out[0]), w[0], a.s, a.ld, x.n*rows, e)
		},
		bytes: func() int64 { f, _ := d.Bytes(); return int64(f) },
	}
}

func bindDenseInput(x *Executor, in program.Instr) (bound, error) { return x.denseInput(in, nil), nil }

// denseInput binds the cotangent of a dense layer's input, times an array of its layout unless that is nil.
func (x *Executor) denseInput(in program.Instr, times func() []float32) bound {
	w := x.shape(in.In[1])
	d := layerOf(x, in, func() *Dense { return NewDense(w[1], w[0]) })
	rows := x.rows(in.In[0])
	prepare, start := x.weights(in.In[1], func(w []float32) { d.SetBackward(x.team, w) })
	return bound{
		prepare: prepare,
		run: func() {
			start()
			a := x.array(in.In[0])
			if times != nil {
				d.BackwardXTimes(x.team, x.get(in.Out[0]), w[1], a.s, a.ld, x.n*rows, times())
				return
			}
			d.BackwardX(x.team, x.get(in.Out[0]), w[1], a.s, a.ld, x.n*rows, false)
		},
		bytes: func() int64 { _, b := d.Bytes(); return int64(b) },
	}
}

func bindDenseWeight(x *Executor, in program.Instr) (bound, error) {
	w := x.shape(in.Out[0])
	d := NewDense(w[1], w[0])
	rows := x.rows(in.In[0])
	return bound{run: func() {
		g, a := x.eachRows(in.In[0]), x.eachRows(in.In[1])
		d.BackwardW(x.team, x.get(in.Out[0]), g.s, g.ld, a.s, a.ld, x.n*rows, x.accumulate)
	}}, nil
}

// eachRows is a value with rows for each of the block's samples.
func (x *Executor) eachRows(id program.ID) array {
	if x.values[id].Rate == program.Sample || x.n == 1 {
		return x.array(id)
	}
	c := lastDim(x.shape(id))
	return array{x.each(id), c, c}
}

func bindBiasSum(x *Executor, in program.Instr) (bound, error) {
	rows := x.rows(in.In[0])
	c := lastDim(x.shape(in.In[0]))
	return bound{run: func() {
		a := x.array(in.In[0])
		BackwardBias(x.team, x.get(in.Out[0]), a.s, a.ld, x.n*rows, c, x.accumulate)
	}}, nil
}

// convolution plans op for an image of the given shape and weights.
func convolution(op ops.Conv, image, w []int) (*Conv, error) {
	return NewConv(ConvShape{H: image[0], W: image[1], In: w[3], Out: w[0], KH: w[1], KW: w[2], Stride: op.Stride,
		Left: op.Left, Right: op.Right, Top: op.Top, Bottom: op.Bottom})
}

func bindConv(x *Executor, in program.Instr) (bound, error) { return x.conv(in, nil) }

// conv binds a convolution; more adds to its epilogue.
func (x *Executor) conv(in program.Instr, more func(e *Epilogue)) (bound, error) {
	w := x.shape(in.In[1])
	var err error
	c := layerOf(x, in, func() (c *Conv) {
		c, err = convolution(in.Op.(ops.Conv), x.shape(in.In[0]), w)
		return c
	})
	if err != nil {
		return bound{}, err
	}
	prepare, start := x.weights(in.In[1], func(w []float32) { c.SetForward(x.team, w) })
	return bound{
		prepare: prepare,
		run: func() {
			start()
			a := x.array(in.In[0])
			e := &Epilogue{Bias: x.bias(in)}
			if more != nil {
				more(e)
			}
			c.Forward(x.team, x.get(in.Out[0]), w[0], a.s, a.ld, x.n, e)
		},
		bytes: func() int64 { f, _ := c.Bytes(); return int64(f) },
	}, nil
}

func bindConvInput(x *Executor, in program.Instr) (bound, error) {
	w := x.shape(in.In[1])
	var err error
	c := layerOf(x, in, func() (c *Conv) {
		c, err = convolution(in.Op.(ops.ConvInput).Conv, x.shape(in.Out[0]), w)
		return c
	})
	if err != nil {
		return bound{}, err
	}
	prepare, start := x.weights(in.In[1], func(w []float32) { c.SetBackward(x.team, w) })
	return bound{
		prepare: prepare,
		run: func() {
			start()
			a := x.array(in.In[0])
			c.BackwardX(x.team, x.get(in.Out[0]), w[3], a.s, a.ld, x.n, false)
		},
		bytes: func() int64 { _, b := c.Bytes(); return int64(b) },
	}, nil
}

func bindConvWeight(x *Executor, in program.Instr) (bound, error) {
	c, err := convolution(in.Op.(ops.ConvWeight).Conv, x.shape(in.In[1]), x.shape(in.Out[0]))
	if err != nil {
		return bound{}, err
	}
	var sums []float32 // made when it is needed: an executor with lanes may need none itself
	into := func() []float32 {
		if c.InPlace() {
			return x.get(in.Out[0])
		}
		if sums == nil {
			sums = aligned(c.Sums())
		}
		return sums
	}
	return bound{
		run: func() {
			g, a := x.eachRows(in.In[0]), x.eachRows(in.In[1])
			c.BackwardW(x.team, into(), g.s, g.ld, a.s, a.ld, x.n, x.accumulate)
		},
		finish: func() {
			if !c.InPlace() {
				c.FinishW(x.team, x.get(in.Out[0]), into(), false)
			}
		},
		bytes: func() int64 {
			if c.InPlace() {
				return 0
			}
			return 4 * int64(c.Sums())
		},
	}, nil
}
