package cpu

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/kernels/simd"
)

// goldenCase is a case of testdata/layers.json with its tensors.
type goldenCase struct {
	Case      string
	Op        string
	Attrs     map[string]any
	Tolerance map[string]float64
	tensors   map[string]safetensors.Tensor
}

func (c *goldenCase) f32(t *testing.T, name string) []float32 {
	x, ok := c.tensors[name]
	if !ok {
		t.Fatalf("%s: no tensor %s", c.Case, name)
	}
	y, err := x.Float32()
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), y...)
}

func (c *goldenCase) shape(name string) []int { return c.tensors[name].Shape }

func (c *goldenCase) num(attr string) float64 { return c.Attrs[attr].(float64) }

// channelsLast is a tensor [N, C, positions…] as [N, positions…, C].
func (c *goldenCase) channelsLast(t *testing.T, name string) []float32 {
	s := c.shape(name)
	return swap(c.f32(t, name), s[0], s[1], positions(s))
}

func positions(s []int) int {
	p := 1
	for _, v := range s[2:] {
		p *= v
	}
	return p
}

// swap turns [n, a, b] into [n, b, a].
func swap(x []float32, n, a, b int) []float32 {
	y := make([]float32, len(x))
	for s := range n {
		for i := range a {
			for j := range b {
				y[(s*b+j)*a+i] = x[(s*a+i)*b+j]
			}
		}
	}
	return y
}

func loadGolden(t *testing.T) []goldenCase {
	text, err := os.ReadFile("testdata/layers.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.ReadFile("testdata/layers.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		cases[i].tensors = map[string]safetensors.Tensor{}
		for _, x := range f.Tensors {
			if name, ok := strings.CutPrefix(x.Name, cases[i].Case+"/"); ok {
				cases[i].tensors[name] = x
			}
		}
	}
	return cases
}

// eachImpl runs f with every implementation of the inner loops.
func eachImpl(t *testing.T, f func(t *testing.T, im *simd.Impl)) {
	for _, im := range simd.All() {
		t.Run(im.Name, func(t *testing.T) { f(t, im) })
	}
}

// results are a layer's arrays by the names of the tensors they answer to, channels last.
type results map[string][]float32

// compare fails where a result is further from the golden value than its tolerance. All results must be there.
func (c *goldenCase) compare(t *testing.T, got results, last bool) {
	t.Helper()
	absmax := func(x []float32) (m float64) {
		for _, v := range x {
			m = max(m, math.Abs(float64(v)))
		}
		return m
	}
	tangents := 0.0
	for name := range c.tensors {
		if name[0] == 'd' && name != "dy" {
			tangents = max(tangents, absmax(c.f32(t, name)))
		}
	}
	for name, tol := range c.Tolerance {
		want := c.tensors[name].F64
		y, ok := got[name]
		if !ok || len(y) != len(want) {
			t.Errorf("%s: %s has %d elements, want %d", c.Case, name, len(y), len(want))
			continue
		}
		if s := c.shape(name); last && len(s) > 2 {
			y = swap(y, s[0], positions(s), s[1])
		}
		floor := 0.0
		switch {
		case name == "dy":
			floor = 1e-3 * tangents
		case name != "y":
			floor = 1e-3 * absmax(c.f32(t, "gy"))
		}
		scale, worst := floor, 0.0
		for _, v := range want {
			scale = max(scale, math.Abs(v))
		}
		for i, v := range want {
			if c.Op == "silu" || strings.HasPrefix(c.Op, "gelu") {
				scale = max(math.Abs(v), 1e-3)
			}
			e := math.Abs(float64(y[i])-v) / scale
			if math.IsNaN(e) || scale == 0 && y[i] != 0 {
				e = math.Inf(1)
			}
			if v == float64(y[i]) {
				e = 0
			}
			worst = max(worst, e)
		}
		if worst > tol {
			t.Errorf("%s: %s: error %.2g, allowed %.2g", c.Case, name, worst, tol)
		}
	}
}

// TestGolden: every layer against PyTorch in float64.
func TestGolden(t *testing.T) {
	cases := loadGolden(t)
	eachImpl(t, func(t *testing.T, im *simd.Impl) {
		team := NewTeam(2)
		defer team.Close()
		team.Impl = im
		for i := range cases {
			c := &cases[i]
			run, ok := goldenLayers[c.Op]
			if !ok {
				t.Errorf("no layer for %s", c.Op)
				continue
			}
			got, last := run(t, team, c)
			c.compare(t, got, last)
		}
	})
}
