//go:build gpu && cgo

package exec

import (
	"errors"
	"math"
	"slices"

	"hbar/cuda/driver"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

const (
	// wideFrom is the number of units of every hidden layer from which on values run by kernels/gpu/dense_wgmma.cu.
	wideFrom = 256
	// panel is the number of rows and of columns of the pieces that activations and weights lie in there.
	panel = 64
	// wideInputs is the number of inputs up to which a layer on the input has a kernel of its own there.
	wideInputs = 16
	// wideScale is WIDE_SCALE there.
	wideScale = 16
)

// wide are the layers behind the first as dense_wgmma.cu takes them: in half precision, or at float32's accuracy as pairs of halves, whose
// activations are finite up to 65504/16. What is beyond becomes NaN or infinite, and so do the outputs of that row.
type wide struct {
	g       *General
	parts   int // 1: halves, 2: pairs
	module  *driver.Module
	kernels map[string]*driver.Kernel
	weights []*driver.Buffer // of each instruction; nil for those on the input and those of few outputs
	unscale []float32        // what to multiply sums by
	head    bool             // the layer before the last makes parts of the outputs, and its activations are not written
}

// wideLayerArgs has the layout of struct WideLayer of kernels/gpu/dense_wgmma.cu, which documents the fields.
type wideLayerArgs struct {
	A, B, Out, Out32   uint64
	OutRow             int64
	Parts, Head        uint64
	Bias, Add          uint64
	Unscale            float32
	M, N, K, HeadUnits int32
}

// wideEdgeArgs has the layout of struct WideEdge there.
type wideEdgeArgs struct {
	X       uint64
	XRow    int64
	W       uint64
	WRow    int64
	Bias    uint64
	BiasRow int64
	Panels  uint64
	Out     uint64
	OutRow  int64
	M, N, K int32
	Act     int32
}

// Wide reports whether values of the network run on warpgroup products on this device. Machine code for sm_90a runs on devices of compute capability 9.0 and on no later
// ones.
func (g *General) Wide() bool {
	p := g.p
	if g.wideFrom == 0 || g.d.Major != 9 || g.d.Minor != 0 {
		return false
	}
	for _, ins := range p.Forward {
		if ins.Act > simd.Tanh || ins.Add == 0 || ins.Src == p.Output || ins.Add == p.Output {
			return false
		}
		w := p.Widths[ins.Dst]
		if ins.Dst == p.Output {
			if ins.Src == 0 || ins.Add > 0 && !panels(w, 1) {
				return false
			}
		} else if !panels(w, g.wideFrom) || ins.Src == 0 && ins.Add >= 0 {
			return false
		}
	}
	return true
}

// panels reports whether a layer of w units, at least as many as least, consists of whole panels.
func panels(w, least int) bool { return w >= least && w%panel == 0 }

// whole rounds rows up to whole panels.
func whole(rows int) int { return (rows + panel - 1) / panel * panel }

func newWide(g *General, parts int) (*wide, error) {
	h := &wide{g: g, parts: parts, kernels: map[string]*driver.Kernel{}, weights: make([]*driver.Buffer, len(g.p.Forward)), unscale: make([]float32, len(g.p.Forward))}
	if err := h.open(); err != nil {
		return nil, errors.Join(err, h.free())
	}
	return h, nil
}

// kind names kernels.
func (h *wide) kind() string {
	if h.parts == 2 {
		return "split"
	}
	return "f16"
}

// layerKernel names the kernel of a layer, and units is the number of units of its tiles of 128 samples.
func (h *wide) layerKernel(act simd.Act) string {
	return "dense_" + h.kind() + "_wgmma_" + map[simd.Act]string{simd.Identity: "identity", simd.SiLU: "silu", simd.GELU: "gelu", simd.Tanh: "tanh"}[act]
}
func (h *wide) units() int { return 256 / h.parts }

// edgeKernel names a kernel of another kind.
func (h *wide) edgeKernel(kind string) string { return kind + "_" + h.kind() + "_wide" }

// takesHead reports whether the layer before the last can multiply its activations with the last one's weights: these are of one or two units, and nothing
// else reads the activations.
func (h *wide) takesHead() bool {
	p := h.g.p
	i := len(p.Forward) - 1
	if i < 1 || p.Forward[i].Dst != p.Output || p.Forward[i].Add >= 0 || p.Widths[p.Output] > 2 || p.Forward[i-1].Src == 0 {
		return false
	}
	for k, ins := range p.Forward {
		if hidden := p.Forward[i-1].Dst; ins.Add == hidden || ins.Src == hidden && k != i || ins.Dst == hidden && k != i-1 {
			return false
		}
	}
	return p.Forward[i].Src == p.Forward[i-1].Dst
}

// tilesOfUnits is the number of a layer's tiles beside each other.
func (h *wide) tilesOfUnits(units int) int { return (units + h.units() - 1) / h.units() }

func (h *wide) open() (err error) {
	g := h.g
	if h.module, err = g.d.Load(gpu.DenseWarpgroups); err != nil {
		return err
	}
	find := func(name string, threads, shared int) error {
		if h.kernels[name] == nil {
			h.kernels[name], err = h.module.Kernel(name, threads, shared)
		}
		return err
	}
	for _, name := range []string{"first", "pack", "head", "sum"} {
		if err := find(h.edgeKernel(name), 256, 0); err != nil {
			return err
		}
	}
	if err := find(h.edgeKernel("input"), tileF32Small.threads, tileF32Small.shared); err != nil {
		return err
	}
	h.head = h.takesHead()
	for i, ins := range g.p.Forward {
		w := g.p.Params[ins.W]
		if ins.Src == 0 || !panels(w.Rows, 1) {
			continue
		}
		// A ring of slices of 64 inputs, 192 KiB whatever the parts, then results on their way out, then barriers.
		if err := find(h.layerKernel(ins.Act), 384, 192<<10+4*8192+64); err != nil {
			return err
		}
		scale := float32(1)
		h.unscale[i] = 1
		if h.parts == 2 {
			scale = wideWeights(w.Data)
			h.unscale[i] = 1 / (scale * wideScale)
		}
		if h.weights[i], err = g.d.Alloc(2 * h.parts * w.Rows * w.Cols); err != nil {
			return err
		}
		a := driver.Pack(new(driver.Args).Buf(h.weights[i]), g.net32.param(ins.W, 0)).F32(scale).I32(w.Rows).I32(w.Cols)
		if err := g.launch(h.kernels[h.edgeKernel("pack")], w.Rows*w.Cols/8, a); err != nil {
			return err
		}
	}
	return nil
}

// wideWeights is the power of two that makes the largest weight one from 2¹¹ to 2¹², where what its two halves leave of it is least. It is limited, so that
// it and its inverse are far from the ends of float32's range.
func wideWeights(w []float32) float32 {
	largest := 0.0
	for _, v := range w {
		largest = max(largest, math.Abs(float64(v)))
	}
	if largest == 0 || math.IsInf(largest, 0) || math.IsNaN(largest) {
		return 1
	}
	_, e := math.Frexp(largest)
	return float32(math.Ldexp(1, min(max(12-e, -60), 60)))
}

func (h *wide) free() (err error) {
	if h == nil {
		return nil
	}
	for _, b := range h.weights {
		err = errors.Join(err, b.Free())
	}
	if h.module != nil {
		err = errors.Join(err, h.module.Unload())
	}
	return err
}

// pass is layers.pass for values. The rows of coordinates and the output are float32, the activations in between are panels.
func (h *wide) pass(rows int, in deviceRows, t *times) (deviceRows, error) {
	g := h.g
	p := g.p
	buf := make([]uint64, len(p.Widths))
	var parts uint64 // of the outputs
	for i, ins := range p.Forward {
		w := p.Params[ins.W]
		var out deviceRows
		if ins.Dst == p.Output {
			var err error
			if out, err = g.net32.rows(g.net32.outputSlot("value"), rows, w.Rows); err != nil {
				return out, err
			}
		} else if !h.head || i != len(p.Forward)-2 {
			s := g.slots[ins.Dst]
			b, err := g.space.bytes(slot{"panels", s}, 2*h.parts*whole(rows)*g.slotWidth[s])
			if err != nil {
				return out, err
			}
			buf[ins.Dst] = b.Address()
		}
		var err error
		switch {
		case ins.Src == 0:
			first := g.net32.product(i, rows, in, deviceRows{})
			err = h.edge("first", &wideEdgeArgs{
				X: in.at, XRow: int64(in.row), W: first.B.At, WRow: first.B.Col, Bias: t.bias[i].at, BiasRow: int64(t.bias[i].row),
				Panels: buf[ins.Dst], M: int32(rows), N: int32(w.Rows), K: first.K, Act: int32(ins.Act),
			})
		case h.head && i == len(p.Forward)-1:
			err = h.edge("sum", &wideEdgeArgs{
				X: parts, Bias: g.net32.param(ins.B, 0), Out: out.at, OutRow: int64(out.row),
				M: int32(rows), N: int32(w.Rows), K: int32(h.tilesOfUnits(w.Cols)), Act: int32(ins.Act),
			})
		case h.weights[i] == nil:
			err = h.edge("head", &wideEdgeArgs{
				W: g.net32.param(ins.W, 0), WRow: int64(w.Cols), Bias: g.net32.param(ins.B, 0), Panels: buf[ins.Src], Out: out.at, OutRow: int64(out.row),
				M: int32(rows), N: int32(w.Rows), K: int32(w.Cols), Act: int32(ins.Act),
			})
		default:
			q := wideLayerArgs{
				A: buf[ins.Src], B: h.weights[i].Address(), Out: buf[ins.Dst], Out32: out.at, OutRow: int64(out.row), Bias: g.net32.param(ins.B, 0),
				Unscale: h.unscale[i], M: int32(rows), N: int32(w.Rows), K: int32(w.Cols),
			}
			if ins.Add >= 0 {
				q.Add = buf[ins.Add]
			}
			if h.head && i == len(p.Forward)-2 {
				b, err := g.space.bytes(slot{"parts", 0}, 8*rows*h.tilesOfUnits(w.Rows))
				if err != nil {
					return out, err
				}
				parts = b.Address()
				last := p.Forward[i+1]
				q.Parts, q.Head, q.HeadUnits = parts, g.net32.param(last.W, 0), int32(p.Params[last.W].Rows)
			}
			tiles := (rows + 127) / 128 * h.tilesOfUnits(w.Rows)
			err = h.kernels[h.layerKernel(ins.Act)].Launch(min(tiles, g.d.Multiprocessors), driver.Pack(new(driver.Args), q))
		}
		if err != nil || ins.Dst == p.Output {
			return out, err
		}
	}
	return deviceRows{}, errors.New("cuda: no instruction writes the output") // Validate has seen to it
}

// edge enqueues a layer on the input, one of few outputs, or the sums of parts of outputs.
func (h *wide) edge(kind string, q *wideEdgeArgs) error {
	var grid int
	switch {
	case kind == "head":
		grid = (int(q.M) + 127) / 128 // eight warps, 16 rows each
	case kind == "sum":
		grid = min((int(q.M)+255)/256, 16*h.g.d.Multiprocessors)
	case q.K > wideInputs:
		kind, grid = "input", tileF32Small.grid(int(q.M), int(q.N))
	default:
		grid = min((whole(int(q.M))/panel*int(q.N)/panel+7)/8, 16*h.g.d.Multiprocessors)
	}
	return h.kernels[h.edgeKernel(kind)].Launch(grid, driver.Pack(new(driver.Args), *q))
}

// finite reports whether all numbers are.
func finite[T simd.Float](v []T) bool {
	return !slices.ContainsFunc(v, func(x T) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) })
}

// inRange calls run, with evaluations by wide if it takes the network. Samples whose results in x (rows of d numbers) or in more, which may be nil or has rows
// of its own, are not finite are computed again in float32, so that a sample does not depend on the others. run replaces x and more, unless
// there is an error. It is given progress, which then has been told of all samples, the first time alone.
func inRange[T simd.Float](g *General, x []float32, more []T, progress func(done int), run func(x []float32, more []T, by evaluator, progress func(done int)) error) error {
	if g.precision != FP32 || g.wide == nil {
		return run(x, more, nil, progress)
	}
	x0, more0 := slices.Clone(x), slices.Clone(more)
	if err := run(x, more, g.wide.pass, progress); err != nil || finite(x) && finite(more) {
		return err
	}
	x1, more1 := slices.Clone(x0), slices.Clone(more0)
	if err := run(x1, more1, nil, nil); err != nil {
		copy(x, x0)
		copy(more, more0)
		return err
	}
	d, n := g.p.D, len(x)/g.p.D
	for i := range n {
		s, e := part(more, i*len(more)/n, (i+1)*len(more)/n), part(more1, i*len(more)/n, (i+1)*len(more)/n)
		if !finite(x[i*d:(i+1)*d]) || !finite(s) {
			copy(x[i*d:(i+1)*d], x1[i*d:])
			copy(s, e)
		}
	}
	return nil
}
