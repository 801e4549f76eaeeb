package general

import (
	"context"
	"fmt"
	"strings"

	"hbar/program"
	"hbar/program/diff"
)

// probesTogether is the most probes of one program: they share its pass through the network. Programs grow with it, and little is left to
// gain: with four, a probe costs a quarter of that pass and its own derivative.
const probesTogether = 4

// Traces writes n(x, τ) to dst (n×D, may be nil) and v_j·(∂n/∂x) v_j to traces (n×k) for the k probes v (n×k×D) of each sample. It
// takes tangents or cotangents, whichever cost less for this network.
func (e *Engine) Traces(ctx context.Context, dst []float32, traces []float64, x, v []float32, k int, tau []float64) error {
	n, err := e.samples(len(x), tau)
	if err == nil {
		err = e.checkDirections(n, k, len(v))
	}
	if err != nil {
		return err
	}
	if len(v) == 0 || len(traces) != n*k {
		return fmt.Errorf("%d traces by %d numbers for %d samples; want n·k by n·k·D", len(traces), len(v), n)
	}
	for lo := 0; lo < k; lo += probesTogether {
		m := min(probesTogether, k-lo)
		in, out := map[string][]float32{"x": x}, map[string][]float32{}
		if dst != nil && lo == 0 {
			out["out"] = dst
		}
		for j := range m {
			probe := make([]float32, n*e.d)
			for i := range n {
				copy(probe[i*e.d:(i+1)*e.d], v[(i*k+lo+j)*e.d:])
			}
			in[probeName(j)], out[productName(j)] = probe, make([]float32, n*e.d)
		}
		if err := e.run(ctx, strings.Repeat("p", m), n, in, tau, e.label, out); err != nil {
			return err
		}
		for j := range m {
			probe, product := in[probeName(j)], out[productName(j)]
			for i := range n {
				sum := 0.0
				for c := i * e.d; c < (i+1)*e.d; c++ {
					sum += float64(probe[c]) * float64(product[c])
				}
				traces[i*k+lo+j] = sum
			}
		}
	}
	return nil
}

func probeName(j int) string   { return fmt.Sprint("probe ", j) }
func productName(j int) string { return fmt.Sprint("product ", j) }

// probed is the network with its products with k probes.
func probed(net *program.Program, k int) (*program.Program, error) {
	var sets []diff.Pullback
	for j := range k {
		sets = append(sets, diff.Pullback{Cotangents: map[string]string{"out": probeName(j)}, Leaves: map[string]string{"x": productName(j)}})
	}
	back, err := diff.VJPs(net, sets[:1])
	if err != nil {
		return nil, err
	}
	push := func(p *program.Program, j int) (*program.Program, error) {
		return diff.JVP(p, map[string]string{"x": probeName(j)}, map[string]string{"out": productName(j)})
	}
	forth, err := push(net, 0)
	if err != nil {
		return nil, err
	}
	// Tangents have to be cheaper by more than the count can be wrong: cotangents pass through kernels that training has made fast.
	if work(forth) > 0.9*work(back) {
		return diff.VJPs(net, sets)
	}
	for j := 1; j < k && err == nil; j++ {
		forth, err = push(forth, j)
	}
	return forth, err
}

// work weighs multiply-adds, of which a processor does many in the time that it moves an element.
func work(p *program.Program) float64 {
	const perElement = 8
	c := p.Cost(1)
	return c.MulAdds + perElement*c.Elements
}

// TraceBytes is the memory for the values of n samples in Traces with k probes; with k = 0 in the exact divergence.
func (e *Engine) TraceBytes(k, n int) (int64, error) {
	_ = e.acquire(context.Background()) // which does not end
	defer e.release()
	kind := strings.Repeat("p", min(k, probesTogether))
	if k == 0 {
		kind = "ga"
	}
	r, err := e.Runner(kind, true)
	if err != nil {
		return 0, err
	}
	return r.Bytes(n), nil
}
