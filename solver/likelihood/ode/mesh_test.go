package ode

import (
	"context"
	"math"
	"slices"
	"testing"
)

// One path gives its own steps back, in its own direction, and a safety factor shortens all of them alike.
func TestMeshOfOnePath(t *testing.T) {
	path := []float64{2, 1.75, 1, 0.5, -1}
	got := Mesh(2, -1, 1, Trace{path})
	if len(got) != len(path) {
		t.Fatalf("mesh %v of path %v", got, path)
	}
	for i := range path {
		const rounding = 1e-14
		if !(math.Abs(got[i]-path[i]) < rounding) {
			t.Errorf("mesh %v of path %v", got, path)
		}
	}
	back := slices.Clone(path)
	slices.Reverse(back)
	forth := Mesh(-1, 2, 1, Trace{path})
	for i := range back {
		if !(math.Abs(forth[i]-back[i]) < 1e-14) { // a rounding
			t.Errorf("the other way %v, want %v", forth, back)
		}
	}
	if half := Mesh(2, -1, 0.5, Trace{path}); len(half) != 9 || !(math.Abs(half[2]-1.75) < 1e-14) { // a rounding
		t.Errorf("half as long steps: %v", half)
	}
}

// The mesh is at least as fine as each path: between two of its points none has more than one step's worth of its own.
func TestMeshIsFinerThanAllPaths(t *testing.T) {
	paths := Trace{{0, 0.1, 0.5, 1.2, 3}, {0, 0.4, 0.6, 0.65, 0.75, 3}, {0, 2}, {0}}
	const safety = 0.8
	mesh := Mesh(0, 3, safety, paths)
	if mesh[0] != 0 || mesh[len(mesh)-1] != 3 || !slices.IsSorted(mesh) {
		t.Fatalf("mesh %v", mesh)
	}
	progress := func(p []float64, tau float64) float64 { // steps of p before tau
		for s := 1; s < len(p); s++ {
			if tau <= p[s] {
				return float64(s-1) + (tau-p[s-1])/(p[s]-p[s-1])
			}
		}
		return float64(len(p) - 1)
	}
	for i := 1; i < len(mesh); i++ {
		for j, p := range paths {
			if d := progress(p, mesh[i]) - progress(p, mesh[i-1]); !(d <= safety*(1+1e-9)) {
				t.Errorf("step %d from %g to %g crosses %.3f steps of path %d", i, mesh[i-1], mesh[i], d, j)
			}
		}
	}
}

func TestMeshOfNothing(t *testing.T) {
	for _, c := range []struct {
		got  []float64
		want []float64
	}{
		{Mesh(1, 0, 0.5, nil), []float64{1, 0.5, 0}},
		{Mesh(1, 0, 1, Trace{{1}}), []float64{1, 0}},
		{Mesh(2, 2, 1, nil), []float64{2}},
		{Mesh(0, 1, 1, Trace{{0, 0.25}}), []float64{0, 0.25, 0.5, 0.75, 1}}, // a path that failed
	} {
		if !slices.EqualFunc(c.got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-8 }) {
			t.Errorf("mesh %v, want %v", c.got, c.want)
		}
	}
	if got := EvenlySpaced(10, 4); !slices.Equal(got, []int{0, 2, 5, 7}) {
		t.Errorf("four of ten: %v", got)
	}
	if got := EvenlySpaced(2, 4); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("four of two: %v", got)
	}
}

// What a trace holds is what Solve accepted.
func TestTrace(t *testing.T) {
	y, to := []float64{1, 0, 0, 1, 0, 0}, []float64{2, 2}
	trace := NewTrace(2)
	res, err := Solve(context.Background(), rotation(), y, make([]float64, 2), to, Settings{Accept: trace.Accept})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range trace {
		if len(p) != res[i].Steps+1 || p[0] != 0 || p[len(p)-1] != 2 || !slices.IsSorted(p) {
			t.Errorf("sample %d: %d steps, trace %v", i, res[i].Steps, p)
		}
	}
}
