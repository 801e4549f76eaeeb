//go:build gpu && cgo

package exec

import (
	"fmt"
	"math"

	"hbar/kernels"
)

// RowWire mirrors struct Row of kernels/gpu/device.cuh.
type RowWire struct {
	Cin, A, B, M, C, G, H, J, K float32
	Step                        uint32
	_                           [2]uint32
}

// WireRows checks the rows of a step table and rounds them to what the kernels take.
func WireRows(rows []kernels.Row) ([]RowWire, error) {
	wire := make([]RowWire, len(rows))
	for i, r := range rows {
		for _, v := range []float64{r.T, r.Cin, r.A, r.B, r.M, r.C, r.G, r.H, r.J, r.K} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("cuda: row %d of the step table holds %g; want finite numbers", i, v)
			}
		}
		wire[i] = RowWire{Cin: float32(r.Cin), A: float32(r.A), B: float32(r.B), M: float32(r.M), C: float32(r.C),
			G: float32(r.G), H: float32(r.H), J: float32(r.J), K: float32(r.K), Step: r.Step}
	}
	return wire, nil
}

// PathWire mirrors struct PathStep of kernels/gpu/steps.cu.
type PathWire struct {
	E, F, InvC2, LogC float64
	A, B, InvC        float64
	CA, CB, CC, Cin   float32
	Step              uint32
	Weigh, Propose    int32
}

// WirePath checks the rows of a path in d dimensions and rounds them to what the kernel takes; see infer.PathWeights.
func WirePath(rows []kernels.PathRow, d int) ([]PathWire, error) {
	wire := make([]PathWire, len(rows))
	last := len(rows) - 1
	for k, r := range rows {
		for _, v := range []float64{r.T, r.Cin, r.A, r.B, r.C, r.E, r.F, r.InvC2, r.LogC} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("cuda: row %d of the path table holds %g, want finite numbers", k, v)
			}
		}
		a, b, c := float32(r.A), float32(r.B), float32(r.C)
		if c == 0 && k < last {
			return nil, fmt.Errorf("cuda: row %d of the path table has C = %g: a step without noise has no density", k, r.C)
		}
		w := PathWire{E: r.E, F: r.F, InvC2: r.InvC2, LogC: r.LogC, A: float64(a), B: float64(b), InvC: 1 / float64(c), CA: a, CB: b, CC: c, Cin: 1, Step: r.Step}
		if k > 0 {
			w.Weigh = 1
			w.LogC += float64(d) * math.Log(float64(float32(rows[k-1].C))/rows[k-1].C)
		}
		if k < last {
			w.Propose = 1
			w.Cin = float32(rows[k+1].Cin)
		}
		wire[k] = w
	}
	return wire, nil
}
