package cpu

import (
	"slices"
	"testing"

	"hbar/kernels/simd"
)

// goldenLayers run a case; the second result says whether the arrays of images are channels last.
var goldenLayers = map[string]func(*testing.T, *Team, *goldenCase) (results, bool){
	"group_norm":          goldenGroupNorm,
	"layer_norm":          goldenLayerNorm,
	"adaln":               goldenAdaLN,
	"softmax":             goldenSoftmax,
	"attention":           goldenAttention,
	"silu":                goldenAct(simd.SiLU),
	"gelu_tanh":           goldenAct(simd.GELUTanh),
	"gelu_erf":            goldenAct(simd.GELU),
	"upsample_nearest_2x": goldenUpsample,
	"avg_pool_2x2":        goldenAvgPool,
	"concat_channels":     goldenConcat,
	"gated_add":           goldenGatedAdd,
	"add_per_channel":     goldenAddChannels,
	"sinusoid":            goldenSinusoid,
	"embedding":           goldenEmbedding,
	"unpatchify":          goldenUnpatchify,
}

func like(x []float32) []float32 { return make([]float32, len(x)) }

func goldenGroupNorm(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	g := &GroupNorm{N: s[0], P: positions(s), C: s[1], Groups: int(c.num("groups")), Eps: c.num("eps"), Weight: c.f32(t, "w"), Bias: c.f32(t, "b")}
	x, gy := c.channelsLast(t, "x"), c.channelsLast(t, "gy")
	y, gx, stats := like(x), like(x), make([]float32, g.StatsLen())
	gw, gb := like(g.Weight), like(g.Bias)
	g.Forward(team, y, x, stats)
	g.Backward(team, GroupNormGrad{DX: gx, DWeight: gw, DBias: gb}, gy, x, stats)
	return results{"y": y, "gx": gx, "gw": gw, "gb": gb}, true
}

func goldenLayerNorm(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	l := &LayerNorm{N: s[0], P: s[1], C: s[2], Eps: c.num("eps")}
	x := c.f32(t, "x")
	y, gx := like(x), like(x)
	l.Forward(team, y, x)
	l.Backward(team, LayerNormGrad{DX: gx}, c.f32(t, "gy"), x)
	return results{"y": y, "gx": gx}, false
}

func goldenAdaLN(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	l := &LayerNorm{N: s[0], P: s[1], C: s[2], Eps: c.num("eps"), Scale: c.f32(t, "scale"), Shift: c.f32(t, "shift")}
	x := c.f32(t, "x")
	y, gx, gscale, gshift := like(x), like(x), like(l.Scale), like(l.Scale)
	l.Forward(team, y, x)
	l.Backward(team, LayerNormGrad{DX: gx, DScale: gscale, DShift: gshift}, c.f32(t, "gy"), x)
	return results{"y": y, "gx": gx, "gscale": gscale, "gshift": gshift}, false
}

func goldenSoftmax(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	w := s[len(s)-1]
	x := c.f32(t, "x")
	y, gx, dy := like(x), like(x), like(x)
	Softmax(team, y, x, len(x)/w, w)
	team.Impl.SoftmaxGrad(gx, y, c.f32(t, "gy"), w, w, len(x)/w, 1)
	team.Impl.SoftmaxGrad(dy, y, c.f32(t, "dx"), w, w, len(x)/w, 1) // the derivative is a symmetric matrix
	return results{"y": y, "gx": gx, "dy": dy}, false
}

// goldenAttention puts q, k and v into one array [N, T, 3C].
func goldenAttention(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("q")
	n, h, T, d := s[0], s[1], s[2], s[3]
	C := h * d
	a := &Attention{N: n, Heads: h, TQ: T, TK: T, D: d}
	join := func(names ...string) []float32 {
		out := make([]float32, n*T*C*len(names))
		for i, name := range names {
			for j := range n {
				x := swapHeads(c.f32(t, name)[j*C*T:(j+1)*C*T], h, T, d)
				CopyColumns(team, out[j*T*C*len(names)+i*C:], len(names)*C, x, C, T, C)
			}
		}
		return out
	}
	view := func(x []float32, i, parts int) Heads { return Heads{x[i*C:], parts * C, parts * C * T} }
	split := func(x []float32, i, parts int) []float32 {
		out := make([]float32, n*T*C)
		for j := range n {
			y := make([]float32, T*C)
			CopyColumns(team, y, C, x[j*T*C*parts+i*C:], parts*C, T, C)
			copy(out[j*T*C:], swapHeads(y, T, h, d))
		}
		return out
	}
	qkv, gy, tan := join("q", "k", "v"), join("gy"), join("dq", "dk", "dv")
	y, dy, g := like(gy), like(gy), like(qkv)
	a.Forward(team, view(y, 0, 1), view(qkv, 0, 3), view(qkv, 1, 3), view(qkv, 2, 3))
	a.Backward(team, view(g, 0, 3), view(g, 1, 3), view(g, 2, 3), view(gy, 0, 1), view(qkv, 0, 3), view(qkv, 1, 3), view(qkv, 2, 3), nil)
	a.Tangent(team, view(dy, 0, 1), view(qkv, 0, 3), view(qkv, 1, 3), view(qkv, 2, 3), view(tan, 0, 3), view(tan, 1, 3), view(tan, 2, 3))
	return results{"y": split(y, 0, 1), "dy": split(dy, 0, 1), "gq": split(g, 0, 3), "gk": split(g, 1, 3), "gv": split(g, 2, 3)}, false
}

// swapHeads turns [a, b, d] into [b, a, d].
func swapHeads(x []float32, a, b, d int) []float32 {
	y := like(x)
	for i := range a {
		for j := range b {
			copy(y[(j*a+i)*d:(j*a+i+1)*d], x[(i*b+j)*d:])
		}
	}
	return y
}

func goldenAct(f simd.Act) func(*testing.T, *Team, *goldenCase) (results, bool) {
	return func(t *testing.T, team *Team, c *goldenCase) (results, bool) {
		x := c.f32(t, "x")
		y, gx, dy := like(x), like(x), like(x)
		Activate(team, f, y, nil, x)
		ActivateGrad(team, f, gx, c.f32(t, "gy"), x)
		Derivative(team, f, 1, dy, x)
		Mul(team, dy, dy, c.f32(t, "dx"))
		// closer than the golden tolerances, which allow for PyTorch's own float32
		for _, k := range []string{"y", "gx", "dy"} {
			c.Tolerance[k] = min(c.Tolerance[k], 1e-5)
		}
		return results{"y": y, "gx": gx, "dy": dy}, false
	}
}

func goldenUpsample(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	x, gy := c.channelsLast(t, "x"), c.channelsLast(t, "gy")
	y, gx, dy := like(gy), like(x), like(gy)
	Upsample(team, y, x, s[0], s[2], s[3], s[1])
	UpsampleGrad(team, gx, gy, s[0], s[2], s[3], s[1])
	Upsample(team, dy, c.channelsLast(t, "dx"), s[0], s[2], s[3], s[1])
	return results{"y": y, "gx": gx, "dy": dy}, true
}

func goldenAvgPool(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	x, gy := c.channelsLast(t, "x"), c.channelsLast(t, "gy")
	y, gx, dy := like(gy), like(x), like(gy)
	AvgPool(team, y, x, s[0], s[2], s[3], s[1])
	AvgPoolGrad(team, gx, gy, s[0], s[2], s[3], s[1])
	AvgPool(team, dy, c.channelsLast(t, "dx"), s[0], s[2], s[3], s[1])
	return results{"y": y, "gx": gx, "dy": dy}, true
}

func goldenConcat(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	cx, cz := c.shape("x")[1], c.shape("z")[1]
	concat := func(x, z []float32) []float32 {
		y := make([]float32, len(x)+len(z))
		CopyColumns(team, y, cx+cz, x, cx, len(x)/cx, cx)
		CopyColumns(team, y[cx:], cx+cz, z, cz, len(z)/cz, cz)
		return y
	}
	x, z, gy := c.channelsLast(t, "x"), c.channelsLast(t, "z"), c.channelsLast(t, "gy")
	gx, gz := like(x), like(z)
	CopyColumns(team, gx, cx, gy, cx+cz, len(x)/cx, cx)
	CopyColumns(team, gz, cz, gy[cx:], cx+cz, len(z)/cz, cz)
	return results{"y": concat(x, z), "dy": concat(c.channelsLast(t, "dx"), c.channelsLast(t, "dz")), "gx": gx, "gz": gz}, true
}

func goldenGatedAdd(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	n, p, w := s[0], s[1], s[2]
	x, z, gate, gy := c.f32(t, "x"), c.f32(t, "z"), c.f32(t, "gate"), c.f32(t, "gy")
	y, gz, dy, ggate, product := like(x), like(x), like(x), like(gate), like(x)
	GatedAdd(team, y, x, z, gate, n, p, w)
	ScaleChannels(team, gz, gy, gate, n, p, w)
	Mul(team, product, gy, z)
	ChannelSums(team, ggate, product, n, p, w)
	GatedAdd(team, dy, c.f32(t, "dx"), c.f32(t, "dz"), gate, n, p, w)
	GatedAdd(team, dy, dy, z, c.f32(t, "dgate"), n, p, w)
	return results{"y": y, "gx": gy, "gz": gz, "ggate": ggate, "dy": dy}, false
}

func goldenAddChannels(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("x")
	n, p, w := s[0], positions(s), s[1]
	x, gy := c.channelsLast(t, "x"), c.channelsLast(t, "gy")
	y, dy, gb, wide := like(x), like(x), make([]float32, n*w), like(x)
	AddChannels(team, y, x, c.f32(t, "b"), n, p, w)
	ChannelSums(team, gb, gy, n, p, w)
	Broadcast(team, wide, c.f32(t, "db"), n, p, w)
	Add(team, dy, c.channelsLast(t, "dx"), wide)
	return results{"y": y, "gx": gy, "gb": gb, "dy": dy}, true
}

func goldenSinusoid(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	times := c.f32(t, "t")
	ts := make([]float64, len(times))
	for i, v := range times {
		ts[i] = float64(v)
	}
	s := Sinusoid{Dim: int(c.num("dim")), CosFirst: c.Attrs["cos_first"].(bool), Shift: c.num("freq_shift"), Period: 10000}
	y, slope := make([]float32, len(ts)*s.Dim), make([]float32, len(ts)*s.Dim)
	s.Features(y, ts, 0)
	s.Features(slope, ts, 1)
	gy, dt := c.f32(t, "gy"), c.f32(t, "dt")
	gt, dy := like(times), like(slope)
	for i := range ts {
		dot := 0.0
		for j := i * s.Dim; j < (i+1)*s.Dim; j++ {
			dot += float64(gy[j]) * float64(slope[j])
		}
		gt[i] = float32(dot)
		Scale(team, dy[i*s.Dim:(i+1)*s.Dim], slope[i*s.Dim:(i+1)*s.Dim], dt[i])
	}
	return results{"y": y, "gt": gt, "dy": dy}, false
}

func goldenEmbedding(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("table")
	var ids []int32
	for _, v := range c.f32(t, "ids") {
		ids = append(ids, int32(v))
	}
	gy := c.f32(t, "gy")
	y, dy, g := like(gy), like(gy), make([]float32, s[0]*s[1])
	Embedding(team, y, c.f32(t, "table"), ids, s[1])
	Embedding(team, dy, c.f32(t, "dtable"), ids, s[1])
	EmbeddingGrad(team, g, gy[:2*s[1]], ids[:2], s[0], s[1], false)
	EmbeddingGrad(team, g, gy[2*s[1]:], ids[2:], s[0], s[1], true)
	return results{"y": y, "dy": dy, "gtable": g}, false
}

func goldenUnpatchify(t *testing.T, team *Team, c *goldenCase) (results, bool) {
	s := c.shape("y")
	n, w, h, wd := s[0], s[1], s[2], s[3]
	p := int(c.num("patch"))
	y, dy := make([]float32, n*w*h*wd), make([]float32, n*w*h*wd)
	Unpatchify(team, y, c.f32(t, "z"), n, h, wd, w, p, p)
	Unpatchify(team, dy, c.f32(t, "dz"), n, h, wd, w, p, p)
	gz := like(y)
	Patchify(team, gz, c.channelsLast(t, "gy"), n, h, wd, w, p, p)
	return results{"y": swap(y, n, h*wd, w), "dy": swap(dy, n, h*wd, w), "gz": slices.Clone(gz)}, false
}
