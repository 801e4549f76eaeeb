//go:build gpu && cgo

package exec

import (
	"fmt"
	"math"

	"hbar/kernels"
)

// RowWire is a kernels.Row in float32, as struct Row of kernels/gpu/device.cuh has it.
type RowWire struct {
	Cin, State, Net, Memory, Noise, KeepState, KeepNet, KeepNoise, KeepMemory float32
	Step                                                                      uint32
	_                                                                         [2]uint32
}

// WireRows checks the rows of a step table and rounds them to float32.
func WireRows(rows []kernels.Row) ([]RowWire, error) {
	wire := make([]RowWire, len(rows))
	for i, r := range rows {
		for _, v := range []float64{r.Tau, r.Cin, r.State, r.Net, r.Memory, r.Noise, r.KeepState, r.KeepNet, r.KeepNoise, r.KeepMemory} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("cuda: row %d of the step table holds %g; want finite numbers", i, v)
			}
		}
		wire[i] = RowWire{Cin: float32(r.Cin), State: float32(r.State), Net: float32(r.Net), Memory: float32(r.Memory), Noise: float32(r.Noise),
			KeepState: float32(r.KeepState), KeepNet: float32(r.KeepNet), KeepNoise: float32(r.KeepNoise), KeepMemory: float32(r.KeepMemory), Step: r.Step}
	}
	return wire, nil
}

// PathWire is a kernels.PathRow as struct PathStep of kernels/gpu/steps.cu has it. State32, Net32 and Noise32 make the
// proposal; State, Net and InvNoise are the same numbers in float64, for its density. Cin is that of the next row.
type PathWire struct {
	ReverseState, ReverseNet, ReversePrecision, LogNorm float64
	State, Net, InvNoise                                float64
	State32, Net32, Noise32, Cin                        float32
	Step                                                uint32
	Weigh, Propose                                      int32
}

// WirePath checks the rows of a path in d dimensions and rounds the proposals to float32; see infer.PathWeights.
func WirePath(rows []kernels.PathRow, d int) ([]PathWire, error) {
	wire := make([]PathWire, len(rows))
	last := len(rows) - 1
	for k, r := range rows {
		for _, v := range []float64{r.Tau, r.Cin, r.State, r.Net, r.Noise, r.ReverseState, r.ReverseNet, r.ReversePrecision, r.LogNorm} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("cuda: row %d of the path table holds %g, want finite numbers", k, v)
			}
		}
		a, b, c := float32(r.State), float32(r.Net), float32(r.Noise)
		if c == 0 && k < last {
			return nil, fmt.Errorf("cuda: row %d of the path table has Noise = %g: a step without noise has no density", k, r.Noise)
		}
		w := PathWire{ReverseState: r.ReverseState, ReverseNet: r.ReverseNet, ReversePrecision: r.ReversePrecision, LogNorm: r.LogNorm, State: float64(a), Net: float64(b), InvNoise: 1 / float64(c), State32: a, Net32: b, Noise32: c, Cin: 1, Step: r.Step}
		if k > 0 {
			w.Weigh = 1
			w.LogNorm += float64(d) * math.Log(float64(float32(rows[k-1].Noise))/rows[k-1].Noise)
		}
		if k < last {
			w.Propose = 1
			w.Cin = float32(rows[k+1].Cin)
		}
		wire[k] = w
	}
	return wire, nil
}
