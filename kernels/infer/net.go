package infer

import (
	"math"
	"sync"
	"unsafe"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// net is a program packed for one element type.
type net[F simd.Float] struct {
	d, tf int       // coordinates and time features
	freqs []float32 // of the time feature; nil for the time itself
	one   [1]F      // 1
	panel int       // columns of a panel
	rows  int       // rows of a tile, unless the options say otherwise

	ld     []int // row stride of each buffer: its width padded to whole panels
	layers []layer[F]
	output int
	timeLD int // row stride of a time table: the padded widths of the layers on the input, in order

	slots  []int // which scratch array holds each buffer, in evaluations without a backward pass
	slotLD []int // the widest row of each scratch array

	// head is the last layer if Head32 computes it, that is if it is linear, has few outputs and is not on the input; else nil.
	head *layer[F]

	prod    func(*simd.Product[F])
	jet     func(f simd.Act, x []F, ld, w, dim, order int)
	add     func(dst, src []F)
	headRun func(out, h []F, ld int, wt, bias []F, m, w, outs int)

	pool  sync.Pool    // *work[F]
	tapes [5]sync.Pool // *tape[F], by rows of a sample
	backs func() [][]F
}

// layer is one dense instruction. On the input (src = 0) the weights of the coordinates and of the time features are
// packed separately.
type layer[F simd.Float] struct {
	dst, src, add int
	act           simd.Act
	in, out       int // inputs of w (coordinates only if src = 0) and outputs
	np            int // panels of outputs
	w             []F // [np][in][panel]
	wt            []F // src = 0: the time features' weights, [np][tf][panel]
	timeAt        int // src = 0: where a row of a time table has this layer's bias
	cols          []F // src = 0: the weights of each coordinate, [d][ld of dst]
	bias          []F // np·panel
	dense         []F // head only: the weights, [out][ld of src]
	none          []F // head only: a bias of zeros
}

// headOutputs is the largest number of outputs for which Head32 is used. A product works on whole panels of outputs.
const headOutputs = 8

func newNet32(p *kernels.Chain, im *simd.Impl) *net[float32] {
	n := newNet[float32](p, simd.Panel32)
	n.prod, n.jet, n.headRun = im.Product32, im.Jet32, im.Head32
	n.add = func(dst, src []float32) { im.Update(dst, src, nil, nil, &sum) }
	last := &n.layers[len(n.layers)-1]
	if last.dst == n.output && last.src != 0 && last.add < 0 && last.act == simd.Identity && last.out <= headOutputs {
		n.head, n.layers = last, n.layers[:len(n.layers)-1]
		w := p.Params[p.Forward[len(p.Forward)-1].W].Data
		last.none = make([]float32, last.out)
		last.dense = aligned[float32](last.out * n.ld[last.src])
		for o := range last.out {
			copy(last.dense[o*n.ld[last.src]:], w[o*last.in:(o+1)*last.in])
		}
	}
	n.plan()
	return n
}

// sum are the coefficients that make Update add s to x.
var sum = [8]float32{0: 1, 1: 1}

func newNet64(p *kernels.Chain, im *simd.Impl) *net[float64] {
	n := newNet[float64](p, simd.Panel64)
	n.prod, n.jet = im.Product64, im.Jet64
	n.add = func(dst, src []float64) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] += src[i]
		}
	}
	n.plan()
	return n
}

func newNet[F simd.Float](p *kernels.Chain, panel int) *net[F] {
	n := &net[F]{d: p.D, tf: p.Time.Width(), freqs: p.Time.Freqs, panel: panel, output: p.Output, one: [1]F{1}}
	for _, w := range p.Widths {
		n.ld = append(n.ld, (w+panel-1)/panel*panel)
	}
	widest := 0
	for i, ins := range p.Forward {
		w, b := p.Params[ins.W], p.Params[ins.B]
		np := n.ld[ins.Dst] / panel
		l := layer[F]{dst: ins.Dst, src: ins.Src, add: ins.Add, act: ins.Act, in: w.Cols, out: w.Rows, np: np, timeAt: -1}
		if ins.Src == 0 {
			l.in = p.D
			l.wt = pack[F](w.Rows, n.tf, panel, func(o, k int) float32 { return w.Data[o*w.Cols+p.D+k] })
			l.cols = aligned[F](p.D * n.ld[ins.Dst])
			for o := range w.Rows {
				for k := range p.D {
					l.cols[k*n.ld[ins.Dst]+o] = F(w.Data[o*w.Cols+k])
				}
			}
			l.timeAt = n.timeLD
			n.timeLD += n.ld[ins.Dst]
		}
		l.w = pack[F](w.Rows, l.in, panel, func(o, k int) float32 { return w.Data[o*w.Cols+k] })
		l.bias = aligned[F](np * panel)
		for o, v := range b.Data {
			l.bias[o] = F(v)
		}
		if i > 0 {
			widest = max(widest, n.ld[ins.Src])
		}
		n.layers = append(n.layers, l)
	}
	n.rows = rowsFor(widest * 64 / panel)
	n.backs = sync.OnceValue(func() [][]F { return packBack[F](n, p) })
	return n
}

// rowsFor is the number of rows of a tile for a network whose widest inner buffer has rows of so many bytes. 48 rows
// hide the cost of loading a panel; narrow networks take more as long as the tile stays in the first-level cache.
func rowsFor(bytes int) int {
	const cache = 24 << 10
	return max(48, min(cache/max(bytes, 1), 96))
}

// pack returns panels [⌈units/panel⌉][k][panel] of a matrix, padded with zeros.
func pack[F simd.Float](units, k, panel int, at func(unit, k int) float32) []F {
	dst := aligned[F]((units + panel - 1) / panel * k * panel)
	for u := range units {
		for i := range k {
			dst[(u/panel*k+i)*panel+u%panel] = F(at(u, i))
		}
	}
	return dst
}

// packBack returns for each layer the panels of its transposed weights: units are the layer's inputs (the coordinates
// if src = 0), the sum runs over its outputs.
func packBack[F simd.Float](n *net[F], p *kernels.Chain) [][]F {
	var backs [][]F
	for _, ins := range p.Forward {
		w := p.Params[ins.W]
		in := w.Cols
		if ins.Src == 0 {
			in = p.D
		}
		backs = append(backs, pack[F](in, w.Rows, n.panel, func(i, o int) float32 { return w.Data[o*w.Cols+i] }))
	}
	return backs
}

// plan gives each buffer a scratch array, reusing those of buffers that are no longer read.
func (n *net[F]) plan() {
	last := make([]int, len(n.ld)) // the last layer that reads a buffer
	for i, l := range n.layers {
		last[l.src] = i
		if l.add >= 0 {
			last[l.add] = i
		}
	}
	last[n.output] = len(n.layers)
	if n.head != nil {
		last[n.head.src] = len(n.layers)
	}
	n.slots = make([]int, len(n.ld))
	var busy []int // until which layer a scratch array is read
	for i, l := range n.layers {
		slot := -1
		for s, until := range busy {
			if until < i {
				slot = s
				break
			}
		}
		if slot < 0 {
			slot = len(busy)
			busy = append(busy, 0)
			n.slotLD = append(n.slotLD, 0)
		}
		n.slots[l.dst] = slot
		busy[slot] = max(last[l.dst], i)
		n.slotLD[slot] = max(n.slotLD[slot], n.ld[l.dst])
	}
}

// coordLD is the row stride of adjoints of the coordinates: D padded to whole panels.
func (n *net[F]) coordLD() int { return (n.d + n.panel - 1) / n.panel * n.panel }

// features writes the time features of τ.
func (n *net[F]) features(dst []F, tau float64) {
	if n.freqs == nil {
		dst[0] = F(tau)
		return
	}
	h := len(n.freqs)
	for i, f := range n.freqs {
		turn := float64(f) * tau
		s, c := math.Sincos(2 * math.Pi * (turn - math.Round(turn)))
		dst[i], dst[h+i] = F(s), F(c)
	}
}

// aligned returns n zeros that start on a cache line. The Go heap does not move objects.
func aligned[F simd.Float](n int) []F {
	const line = 64
	var z F
	size := int(unsafe.Sizeof(z))
	s := make([]F, n+line/size)
	at := int((line - uintptr(unsafe.Pointer(&s[0]))%line) % line / uintptr(size))
	return s[at : at+n : at+n]
}
