//go:build gpu && cgo

package programs

import (
	"fmt"
	"math"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// headsWire mirrors structs Heads and HeadsOut of kernels/gpu/net_heads.cuh: Whole says that rows of heads begin at multiples of four numbers
// and end with whole quads; of a result, the same of pairs. For kernels by strips it is wholeHalves where the numbers are halves.
type headsWire struct {
	P          uint64
	Sample     int64
	Row, Whole int32
}

const wholeHalves = 2 // HALVES in kernels/gpu/net_strips.cuh

type attentionWire struct {
	Q, K, V, G, DQ, DK, DV headsWire
	Y, GQ, GK, GV          headsWire
	Stats                  uint64
	T, S, Heads, D         int32
	Scale                  float32
	Blocks                 int32
}

// headTile is a width of heads that kernels are made for, with the rows that a block owns and those that it passes over at a time.
type headTile struct{ d, own, next int }

var headTiles = []headTile{{64, 64, 32}, {128, 64, 32}, {256, 32, 16}}

// bytes of shared memory for tiles of rows that a block owns, of rows that it passes over, and of these turned for sums over rows; HeadTile of
// kernels/gpu/net_heads.cuh in Go.
func (t headTile) bytes(p exec.Precision, own, next, turned int) int {
	along := t.d + 4
	words := turned * t.next * along
	if p.Halves() {
		along = t.d/2 + 4
		words = turned * t.next / 2 * (t.d + 8)
	}
	return 4 * (words + (own*t.own+next*t.next)*along)
}

// stripTile is how a kernel by strips, in BF16 or F16, cuts heads of a width; Strip of kernels/gpu/net_strips.cuh in Go. A block owns 16 rows for each tile of each warp; groups of
// warps share them.
type stripTile struct{ tiles, warps, groups, next int }

func (t stripTile) own() int { return 16 * t.tiles * t.warps / t.groups }

// stripKernel is a kernel by strips: its tiles for each width of heads, and the arrays of rows that a block owns, of rows that it passes over, and of these turned.
type stripKernel struct {
	tiles              map[int]stripTile
	own, along, turned int
}

var stripKernels = map[string]stripKernel{
	"":         {map[int]stripTile{64: {2, 4, 1, 32}, 128: {1, 4, 1, 32}, 256: {1, 8, 1, 32}}, 1, 1, 1},
	"_queries": {map[int]stripTile{64: {2, 4, 1, 32}, 128: {1, 4, 1, 32}, 256: {1, 8, 1, 16}}, 2, 2, 1},
	"_keys":    {map[int]stripTile{64: {2, 4, 1, 32}, 128: {1, 4, 1, 16}, 256: {1, 8, 2, 16}}, 2, 2, 2},
}

// strips is a kernel by strips that is bound.
type strips struct {
	*driver.Kernel
	own int
}

// strips finds a kernel by strips. There is none for other arithmetic, in F16 none but the result's, nor where a block has too little shared memory.
func (a *attention) strips(name string, p exec.Precision) (*strips, error) {
	k, d := stripKernels[name], a.tile.d
	t := k.tiles[d]
	pitch := d/2 + 16
	bytes := 4 * (k.own*t.own()*pitch + 2*k.along*t.next*pitch + k.turned*t.next*(d+8))
	if name == "_keys" {
		bytes += 4 * 2 * 3 * t.next // statistics
	}
	if !p.Halves() || p == exec.F16 && name != "" || bytes > a.x.d.SharedPerBlock {
		return nil, nil
	}
	f, err := a.x.kernel("strips", fmt.Sprintf("net_attention_strips%s_%s_d%d", name, arithmetic[p], d), 32*t.warps, bytes)
	return &strips{f, t.own()}, err
}

// quads says that arrays have whole quads of channels, as kernels by strips want them.
func (a *attention) quads(all ...headsWire) bool {
	for _, h := range all {
		if h.Whole == wholeHalves {
			continue
		}
		if h.Whole = 0; a.whole(h, 4, false).Whole == 0 {
			return false
		}
	}
	return true
}

// attention is an attention's sizes and the kernels for its width of heads.
type attention struct {
	wire attentionWire
	tile headTile
	x    *Executor
}

func (x *Executor) attention(op ops.Attention, q, k program.ID) *attention {
	s := x.shape(q)
	a := &attention{x: x}
	a.wire = attentionWire{T: int32(s[0]), S: int32(x.shape(k)[0]), Heads: int32(op.Heads), D: int32(s[1] / op.Heads)}
	a.wire.Scale = float32(1 / math.Sqrt(float64(a.wire.D)))
	for _, t := range headTiles {
		if a.tile = t; int(a.wire.D) <= t.d {
			break
		}
	}
	return a
}

// kernel finds one in an arithmetic, by its tiles.
func (a *attention) kernel(name string, p exec.Precision, own, next, turned int) (*driver.Kernel, error) {
	if !p.Halves() {
		next, turned = next+turned, 0
	}
	return a.x.kernel("attention", fmt.Sprintf("net_attention%s_%s_d%d", name, arithmetic[p], a.tile.d), 128, a.tile.bytes(p, own, next, turned))
}

// heads is a value as the kernels take it.
func (a *attention) heads(id program.ID) headsWire {
	v := a.x.array(id)
	return a.whole(headsWire{P: v.at, Sample: int64(v.sample), Row: int32(v.ld)}, 4, v.half)
}

// result is a place for cotangents or a result, lo numbers further in each row.
func (a *attention) result(id program.ID, lo int) headsWire {
	v := a.x.array(id)
	return a.whole(headsWire{P: v.offset(lo), Sample: int64(v.sample), Row: int32(v.ld)}, 2, v.half)
}

func (a *attention) whole(h headsWire, n int, half bool) headsWire {
	if half { // chosen where all is whole quads
		h.Whole = wholeHalves
	} else if h.P%uint64(4*n) == 0 && h.Sample%int64(n) == 0 && h.Row%int32(n) == 0 && a.wire.D%int32(n) == 0 {
		h.Whole = 1
	}
	return h
}

// run enqueues a kernel for all tiles of rows.
func (a *attention) run(k *driver.Kernel, w attentionWire, rows int32) {
	w.Blocks = (rows + int32(a.tile.own) - 1) / int32(a.tile.own)
	a.x.launch(k, a.x.n*int(w.Heads*w.Blocks), driver.Pack(&driver.Args{}, w))
}

// runStrips does so for a kernel by strips.
func (a *attention) runStrips(k *strips, w attentionWire, rows int32) {
	w.Blocks = (rows + int32(k.own) - 1) / int32(k.own)
	a.x.launch(k.Kernel, a.x.n*int(w.Heads*w.Blocks), driver.Pack(&driver.Args{}, w))
}

func bindAttention(x *Executor, in program.Instr) (func(), error) {
	a := x.attention(in.Op.(ops.Attention), in.In[0], in.In[1])
	strips, err := a.strips("", x.precision)
	if err != nil {
		return nil, err
	}
	k, err := a.kernel("", x.precision, 1, 1, 1)
	return func() {
		w := a.wire
		w.Q, w.K, w.V, w.Y = a.heads(in.In[0]), a.heads(in.In[1]), a.heads(in.In[2]), a.result(in.Out[0], 0)
		if strips != nil && a.quads(w.Q, w.K, w.V, w.Y) {
			a.runStrips(strips, w, w.T)
			return
		}
		a.run(k, w, w.T)
	}, err
}

func bindAttentionTangent(x *Executor, in program.Instr) (func(), error) {
	a := x.attention(in.Op.(ops.AttentionTangent).Of, in.In[0], in.In[1])
	k, err := a.kernel("_tangent", exec.FP32, 2, 2, 0)
	return func() {
		w := a.wire
		for i, h := range []*headsWire{&w.Q, &w.K, &w.V, &w.DQ, &w.DK, &w.DV} {
			*h = a.heads(in.In[i])
		}
		w.Y = a.result(in.Out[0], 0)
		a.run(k, w, w.T)
	}, err
}

// attentionInput binds the cotangents; out gives where the i-th goes.
func (x *Executor) attentionInput(op ops.Attention, in program.Instr, out func(i int) (id program.ID, lo int)) (func(), error) {
	a, turned, arith := x.attention(op, in.In[0], in.In[1]), 0, x.others()
	if arith.Halves() {
		turned = 1 // in float32 the same tile serves both sums
	}
	stats, err := a.kernel("_stats", arith, 2, 2, 0)
	if err != nil {
		return nil, err
	}
	queries, err := a.kernel("_queries", arith, 2, 2, turned)
	if err != nil {
		return nil, err
	}
	keys, err := a.kernel("_keys", arith, 2, 2, 2*turned)
	if err != nil {
		return nil, err
	}
	queryStrips, err := a.strips("_queries", arith)
	if err != nil {
		return nil, err
	}
	keyStrips, err := a.strips("_keys", arith)
	x.reserve(3*int(a.wire.Heads*a.wire.T), 0)
	return func() {
		w := a.wire
		for i, h := range []*headsWire{&w.Q, &w.K, &w.V, &w.G} {
			*h = a.heads(in.In[i])
		}
		w.Stats = x.scratch.Address()
		for i, h := range []*headsWire{&w.GQ, &w.GK, &w.GV} {
			*h = a.result(out(i))
		}
		if queryStrips != nil && keyStrips != nil && a.quads(w.Q, w.K, w.V, w.G, w.GQ, w.GK, w.GV) {
			a.runStrips(queryStrips, w, w.T)
			a.runStrips(keyStrips, w, w.S)
			return
		}
		a.run(stats, w, w.T)
		a.run(queries, w, w.T)
		a.run(keys, w, w.S)
	}, err
}

func bindAttentionInput(x *Executor, in program.Instr) (func(), error) {
	return x.attentionInput(in.Op.(ops.AttentionInput).Of, in, func(i int) (program.ID, int) { return in.Out[i], 0 })
}

func bindJoinedAttention(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(fuse.JoinedAttention)
	return x.attentionInput(op.Of, in, func(i int) (program.ID, int) { return in.Out[0], op.Lo[i] })
}
