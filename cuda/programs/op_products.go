//go:build gpu && cgo

package programs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// These mirror structs of kernels/gpu/net_gemm.cuh and net_products.cuh.
type stridedWire struct {
	P       uint64
	SX, SK  int64
	Wide, _ int32
}

type epilogueWire struct {
	Y, Pre, Bias, Vector, Gate, Residual  uint64
	YRow, VectorRow, GateRow, ResidualRow int64
	Rows, Act                             int32
}

type productWire struct {
	A, B                                           stridedWire
	Q                                              epilogueWire
	AOuter, AInner, BOuter, BInner, YOuter, YInner int64
	M, N, K, InnerItems, Split, _                  int32
}

type convolutionWire struct {
	X, W, G                                           uint64
	H, W_, C, KH, KW, OH, OW, O, Stride, Top, Left, _ int32
}

type convProductWire struct {
	C              convolutionWire
	Q              epilogueWire
	M, N, K, Split int32
	Part           int64
}

// tile is a size of the product kernels' tiles.
type tile struct {
	name                  string
	m, n, threads, shared int
}

var tiles = [2]tile{{"large", 128, 128, 256, 2 * (256 + 16) * 32 * 4}, {"small", 64, 64, 128, 3 * (128 + 16) * 32 * 4}}

// arithmetic is how kernels' names say a precision.
var arithmetic = map[exec.Precision]string{exec.FP32: "f32", exec.TF32: "tf32", exec.BF16: "bf16", exec.F16: "f16"}

// products are a kernel in both sizes of tiles, or in small ones alone.
type products [2]*driver.Kernel

// others is the arithmetic of all products but those of dense layers, convolutions and attention. In F16 it is TF32, which rounds to as many bits and has float32's
// range: they are cotangents and other rare products, for which there are no kernels in F16.
func (x *Executor) others() exec.Precision {
	if x.precision == exec.F16 {
		return exec.TF32
	}
	return x.precision
}

// products binds a kernel of net_products.cu.
func (x *Executor) products(kind string) (products, error) { return x.productsIn(x.others(), kind) }

// productsIn binds one in an arithmetic.
func (x *Executor) productsIn(arith exec.Precision, kind string) (p products, err error) {
	for i, t := range tiles {
		if kind == anyProduct && t.name != "small" {
			continue
		}
		if p[i], err = x.kernel("products", "net_"+kind+"_"+arithmetic[arith]+"_"+t.name, t.threads, t.shared); err != nil {
			return p, err
		}
	}
	return p, nil
}

// run enqueues a product of m×n sums, as often as items says: in large tiles where these keep the device busy.
func (p products) run(x *Executor, m, n, items int, a *driver.Args) {
	blocks := func(t tile) int { return (m + t.m - 1) / t.m * ((n + t.n - 1) / t.n) * items }
	i := 1
	if p[0] != nil && m >= 128 && n >= 96 && blocks(tiles[0]) >= x.d.Multiprocessors {
		i = 0
	}
	x.launch(p[i], blocks(tiles[i]), a)
}

// The kernels of products by how their operands lie in memory: both with neighbours along k, the second or both with neighbours in
// neighbouring rows, or any.
const (
	alongProduct  = "product"
	inputProduct  = "product_input"
	weightProduct = "product_weight"
	anyProduct    = "product_any"
)

// along is an operand whose rows are ld apart and contiguous in k, of which there are so many.
func along(at uint64, ld, k int) stridedWire {
	return stridedWire{P: at, SX: int64(ld), SK: 1, Wide: wide(at, ld, k)}
}

// across is an operand of so many rows, which are neighbours in memory, and steps of k ld apart.
func across(at uint64, ld, rows int) stridedWire {
	return stridedWire{P: at, SX: 1, SK: int64(ld), Wide: wide(at, ld, rows)}
}

// wide is 1 where an operand can be copied 16 bytes at a time: it begins at a multiple of 16 bytes, and all distances and the number of neighbours
// are multiples of four.
func wide(at uint64, numbers ...int) int32 {
	if at%16 != 0 || slices.ContainsFunc(numbers, func(d int) bool { return d%4 != 0 }) {
		return 0
	}
	return 1
}

// checkWeights reports weights that are not the same for all samples, which the kernels do not take.
func (x *Executor) checkWeights(ids ...program.ID) error {
	for _, id := range ids {
		if x.values[id].Rate == program.Sample {
			return errors.New("weights that differ from sample to sample have no kernel")
		}
	}
	return nil
}

// after is what follows a product, by the fused layer l; in are its inputs.
func (x *Executor) after(l fuse.Layer, in program.Instr, act int) epilogueWire {
	cols, rows := lastDim(x.shape(in.Out[0])), x.rows(in.Out[0])
	q := epilogueWire{Y: x.get(in.Out[0]), YRow: int64(cols), Rows: int32(rows), Act: int32(act)}
	k := 2
	if l.Bias {
		q.Bias = x.get(in.In[k])
		k++
	}
	if l.Vector {
		q.Vector, q.VectorRow = x.get(in.In[k]), int64(x.per(in.In[k]))
		k++
	}
	if l.Residual {
		q.Residual, q.ResidualRow = x.get(in.In[k]), int64(cols)
		k++
	}
	if l.Gated {
		q.Gate, q.GateRow = x.get(in.In[k]), int64(x.per(in.In[k]))
	}
	if l.Pre {
		q.Pre = x.get(in.Out[1])
	}
	return q
}

func bindDense(x *Executor, in program.Instr) (func(), error) {
	return bindLayer(x, program.Instr{Op: fuse.Layer{Op: in.Op, Bias: len(in.In) == 3}, In: in.In, Out: in.Out})
}

func bindLayer(x *Executor, in program.Instr) (func(), error) {
	l := in.Op.(fuse.Layer)
	act, err := activation(l.Act)
	if err != nil {
		return nil, err
	}
	if err := x.checkWeights(in.In[1 : 1+l.Inner()-1]...); err != nil {
		return nil, err
	}
	if _, ok := l.Op.(ops.Conv); ok {
		return x.convolution(l, in, act)
	}
	w, rows := x.shape(in.In[1]), x.rows(in.In[0])
	g, err := x.packed(alongProduct, rows, denseWeights(in.In[1], w).after(x, in.In[0]))
	if err != nil {
		return nil, err
	}
	p, err := x.productsIn(x.precision, alongProduct)
	return func() {
		v := productWire{A: along(x.get(in.In[0]), w[1], w[1]), B: along(x.get(in.In[1]), w[1], w[1]), Q: x.after(l, in, act),
			M: int32(x.n * rows), N: int32(w[0]), K: int32(w[1]), InnerItems: 1}
		if g != nil {
			g.run(x, x.n*rows, driver.Pack(&driver.Args{}, packedProductWire{v, g.with(x, in.Out[0])}))
			return
		}
		p.run(x, x.n*rows, w[0], 1, driver.Pack(&driver.Args{}, v))
	}, err
}

func bindDenseInput(x *Executor, in program.Instr) (func(), error) {
	if err := x.checkWeights(in.In[1]); err != nil {
		return nil, err
	}
	w, rows := x.shape(in.In[1]), x.rows(in.In[0])
	g, err := x.packed(alongProduct, rows, packedWeights{of: in.In[1], n: w[1], channels: w[0], taps: 1, sn: 1, sk: w[1]})
	if err != nil {
		return nil, err
	}
	p, err := x.products(inputProduct)
	return func() {
		v := productWire{A: along(x.get(in.In[0]), w[0], w[0]), B: across(x.get(in.In[1]), w[1], w[1]), Q: epilogueWire{Y: x.get(in.Out[0]), YRow: int64(w[1])},
			M: int32(x.n * rows), N: int32(w[1]), K: int32(w[0]), InnerItems: 1}
		if g != nil {
			g.run(x, x.n*rows, driver.Pack(&driver.Args{}, packedProductWire{v, g.with(x, in.Out[0])}))
			return
		}
		p.run(x, x.n*rows, w[1], 1, driver.Pack(&driver.Args{}, v))
	}, err
}

// repeats binds a copy of a value for each sample to scratch memory, from an offset on, where all samples share it; it returns the
// function that enqueues it and gives the address.
func (x *Executor) repeats(id program.ID, offset *int) (func() uint64, error) {
	if x.values[id].Rate == program.Sample {
		return func() uint64 { return x.get(id) }, nil
	}
	size, at := x.values[id].size, *offset
	*offset += rounded(size)
	e, err := x.elementwise(elCopy)
	return func() uint64 {
		if x.n == 1 {
			return x.get(id)
		}
		to := x.scratch.At(at * x.room)
		e.run(x, []dim{{n: x.n, to: size}, {n: size, to: 1, from: [maxOperands]int{1}}}, to, x.get(id))
		return to
	}, err
}

// both binds copies for each sample of the two operands of a sum over samples, and the parts of the sum behind them, of so many samples each.
func (x *Executor) both(in program.Instr, group int) (a, b func() uint64, j join, err error) {
	size := x.values[in.Out[0]].size
	at := 0
	if a, err = x.repeats(in.In[0], &at); err != nil {
		return
	}
	if b, err = x.repeats(in.In[1], &at); err != nil {
		return
	}
	k, err := x.joins()
	x.reserve(at+(size+group-1)/group, size)
	return a, b, join{kernels: k, size: size, group: group, behind: at}, err
}

// partSamples is how many samples a part of a sum over samples of m×n numbers has, each of them with so many rows: fewer where the result has few tiles,
// so that the parts together keep a device busy.
func partSamples(m, n, rows int) int {
	t := tiles[1]
	all := (m + t.m - 1) / t.m * ((n + t.n - 1) / t.n)
	least := min(max(256, 32*all), 2048)
	g := 1
	for g < 16 && g*rows < least {
		g *= 2
	}
	return g
}

func bindDenseWeight(x *Executor, in program.Instr) (func(), error) {
	w, rows := x.shape(in.Out[0]), x.rows(in.In[0])
	run, group, err := x.weights(weightProduct, in)
	if err != nil {
		return nil, err
	}
	ga, xa, j, err := x.both(in, group)
	return func() {
		g, a := ga(), xa()
		x.joined(j, x.get(in.Out[0]), func(part uint64, parts int) {
			v := productWire{A: across(g, w[0], w[0]), B: across(a, w[1], w[1]), Q: epilogueWire{Y: part, YRow: int64(w[1])},
				M: int32(w[0]), N: int32(w[1]), K: int32(x.n * rows), InnerItems: 1, YInner: int64(w[0] * w[1]), Split: int32(j.group * rows)}
			run(parts, driver.Pack(&driver.Args{}, v))
		})
	}, err
}

// geometry is that of a convolution of an image with weights to a result.
func geometry(op ops.Conv, image, w, result []int) convolutionWire {
	return convolutionWire{H: int32(image[0]), W_: int32(image[1]), C: int32(image[2]), KH: int32(w[1]), KW: int32(w[2]),
		OH: int32(result[0]), OW: int32(result[1]), O: int32(result[2]), Stride: int32(op.Stride), Top: int32(op.Top), Left: int32(op.Left)}
}

// checkImage reports images with more rows or columns than fit in half a register of a kernel, padding included.
func checkImage(images ...[]int) error {
	for _, s := range images {
		if max(s[0], s[1]) >= 1<<14 {
			return fmt.Errorf("a convolution of images of %d×%d pixels has no kernel: it takes fewer than %d rows and columns", s[0], s[1], 1<<14)
		}
	}
	return nil
}

func (x *Executor) convolution(l fuse.Layer, in program.Instr, act int) (func(), error) {
	w, y := x.shape(in.In[1]), x.shape(in.Out[0])
	if err := checkImage(x.shape(in.In[0]), y); err != nil {
		return nil, err
	}
	g := geometry(l.Op.(ops.Conv), x.shape(in.In[0]), w, y)
	c, err := x.packed("conv", y[0]*y[1], convWeights(in.In[1], w).after(x, in.In[0]))
	if err != nil {
		return nil, err
	}
	p, err := x.productsIn(x.precision, "conv")
	return func() {
		g.X, g.W = x.get(in.In[0]), x.get(in.In[1])
		v := convProductWire{C: g, Q: x.after(l, in, act), M: int32(x.n * y[0] * y[1]), N: int32(y[2]), K: int32(w[1] * w[2] * w[3])}
		if c != nil {
			c.run(x, int(v.M), driver.Pack(&driver.Args{}, packedConvProductWire{v, c.with(x, in.Out[0])}))
			return
		}
		p.run(x, int(v.M), y[2], 1, driver.Pack(&driver.Args{}, v))
	}, err
}

func bindConvInput(x *Executor, in program.Instr) (func(), error) {
	if err := x.checkWeights(in.In[1]); err != nil {
		return nil, err
	}
	w, y := x.shape(in.In[1]), x.shape(in.Out[0])
	if err := checkImage(x.shape(in.In[0]), y); err != nil {
		return nil, err
	}
	g := geometry(in.Op.(ops.ConvInput).Conv, y, w, x.shape(in.In[0]))
	c, err := x.packed("conv_input", y[0]*y[1], packedWeights{of: in.In[1], n: w[3], channels: w[0], taps: w[1] * w[2], sn: 1, st: w[3], sk: w[1] * w[2] * w[3]})
	if err != nil {
		return nil, err
	}
	p, err := x.products("conv_input")
	return func() {
		g.G, g.W = x.get(in.In[0]), x.get(in.In[1])
		v := convProductWire{C: g, Q: epilogueWire{Y: x.get(in.Out[0]), YRow: int64(y[2])}, M: int32(x.n * y[0] * y[1]), N: int32(y[2]), K: int32(w[1] * w[2] * w[0])}
		if c != nil {
			c.run(x, int(v.M), driver.Pack(&driver.Args{}, packedConvProductWire{v, c.with(x, in.Out[0])}))
			return
		}
		p.run(x, int(v.M), y[2], 1, driver.Pack(&driver.Args{}, v))
	}, err
}

func bindConvWeight(x *Executor, in program.Instr) (func(), error) {
	w, y := x.shape(in.Out[0]), x.shape(in.In[0])
	pixels, columns := y[0]*y[1], w[1]*w[2]*w[3]
	g := geometry(in.Op.(ops.ConvWeight).Conv, x.shape(in.In[1]), w, y)
	run, group, err := x.weights("conv_weight", in)
	if err != nil {
		return nil, err
	}
	ga, xa, j, err := x.both(in, group)
	return func() {
		g.G, g.X = ga(), xa()
		x.joined(j, x.get(in.Out[0]), func(part uint64, parts int) {
			v := convProductWire{C: g, Q: epilogueWire{Y: part, YRow: int64(columns)}, M: int32(w[0]), N: int32(columns), K: int32(x.n * pixels),
				Split: int32(j.group * pixels), Part: int64(w[0] * columns)}
			run(parts, driver.Pack(&driver.Args{}, v))
		})
	}, err
}

// term is an index of an Einstein sum with its size and its distances in A, B and the result; 0 where it is not.
type term struct{ n, a, b, y int }

// terms sorts the indices: those of all three arrays, of A and the result, of B and the result, and those that are summed.
func (x *Executor) terms(op ops.Einsum, in program.Instr) (batch, m, n, k []term) {
	at := func(s string, id program.ID, c rune) (size, step int) {
		i := strings.IndexRune(s, c)
		if i < 0 {
			return 0, 0
		}
		return x.shape(id)[i], program.Strides(x.shape(id))[i]
	}
	seen := ""
	for _, c := range op.Out + op.A + op.B {
		if strings.ContainsRune(seen, c) {
			continue
		}
		seen += string(c)
		na, a := at(op.A, in.In[0], c)
		nb, b := at(op.B, in.In[1], c)
		_, y := at(op.Out, in.Out[0], c)
		t := term{max(na, nb), a, b, y}
		inA, inB, inY := na > 0, nb > 0, strings.ContainsRune(op.Out, c)
		switch {
		case !inY:
			k = append(k, t)
		case inA && inB:
			batch = append(batch, t)
		case inA:
			m = append(m, t)
		default:
			n = append(n, t)
		}
	}
	return
}

func bindEinsum(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Einsum)
	batch, m, n, k := x.terms(op, in)
	if len(batch) > 1 || len(m) != 1 || len(n) != 1 || len(k) != 1 || n[0].y != 1 {
		return x.anyEinsum(batch, m, n, k, in)
	}
	inner := term{n: 1}
	if len(batch) == 1 {
		inner = batch[0]
	}
	kind := anyProduct
	switch {
	case k[0].a == 1 && k[0].b == 1:
		kind = alongProduct
	case k[0].a == 1 && n[0].b == 1:
		kind = inputProduct
	case m[0].a == 1 && n[0].b == 1:
		kind = weightProduct
	}
	p, err := x.products(kind)
	// operand is one of a number of rows, of which items are pa and inner apart.
	operand := func(at uint64, sx, sk, rows, pa, inner int) stridedWire {
		s := stridedWire{P: at, SX: int64(sx), SK: int64(sk)}
		switch {
		case sk == 1:
			s.Wide = wide(at, sx, k[0].n, pa, inner)
		case sx == 1:
			s.Wide = wide(at, sk, rows, pa, inner)
		}
		return s
	}
	return func() {
		pa, pb, py := x.per(in.In[0]), x.per(in.In[1]), x.values[in.Out[0]].size
		v := productWire{
			A: operand(x.get(in.In[0]), m[0].a, k[0].a, m[0].n, pa, inner.a), B: operand(x.get(in.In[1]), n[0].b, k[0].b, n[0].n, pb, inner.b),
			Q:      epilogueWire{Y: x.get(in.Out[0]), YRow: int64(m[0].y)},
			AOuter: int64(pa), AInner: int64(inner.a), BOuter: int64(pb), BInner: int64(inner.b), YOuter: int64(py), YInner: int64(inner.y),
			M: int32(m[0].n), N: int32(n[0].n), K: int32(k[0].n), InnerItems: int32(inner.n),
		}
		p.run(x, m[0].n, n[0].n, x.n*inner.n, driver.Pack(&driver.Args{}, v))
	}, err
}

// einsumWire mirrors struct Einsum of kernels/gpu/net_elements.cu.
type einsumWire struct {
	Out, A, B                               uint64
	Size, FromA, FromB, Inner, StepA, StepB [maxDims]int32
	Rank, Depth, Count, Terms               int32
}

func (x *Executor) anyEinsum(batch, m, n, k []term, in program.Instr) (func(), error) {
	kept := slices.Concat(batch, m, n)
	slices.SortFunc(kept, func(a, b term) int { return b.y - a.y }) // as the result has them
	if len(kept) >= maxDims || len(k) > maxDims {
		return nil, errors.New("more indices than the kernel takes")
	}
	f, err := x.kernel("elements", "net_einsum", 256, 0)
	return func() {
		w := einsumWire{Out: x.get(in.Out[0]), A: x.get(in.In[0]), B: x.get(in.In[1]), Rank: int32(len(kept) + 1), Depth: int32(len(k)), Count: int32(x.n), Terms: 1}
		w.Size[0], w.FromA[0], w.FromB[0] = int32(x.n), int32(x.per(in.In[0])), int32(x.per(in.In[1]))
		for i, t := range kept {
			w.Size[i+1], w.FromA[i+1], w.FromB[i+1] = int32(t.n), int32(t.a), int32(t.b)
			w.Count *= int32(t.n)
		}
		for i, t := range k {
			w.Inner[i], w.StepA[i], w.StepB[i] = int32(t.n), int32(t.a), int32(t.b)
			w.Terms *= int32(t.n)
		}
		x.each(f, int(w.Count), driver.Pack(&driver.Args{}, w))
	}, err
}
