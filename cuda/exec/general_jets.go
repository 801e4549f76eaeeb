//go:build gpu && cgo

package exec

import (
	"context"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// Jets64 expands n(x + δ, τ) in the displacement δ: it writes the coefficients ∂^α n_i/α! for |α| ≤ order to dst, an
// n×D×NJet(D, order) array with α in the order of simd.JetIndex. tau holds n times, or one for all samples.
func (g *General) Jets64(ctx context.Context, dst, x, tau []float64, order int) error {
	const call = "Jets64"
	d := g.p.D
	count, err := samples(call, d, len(x), tau)
	if err != nil {
		return err
	}
	if order < 0 || order > kernels.MaxJetOrder {
		return fmt.Errorf("cuda: %s: Taylor expansion of order %d, want 0 to %d", call, order, kernels.MaxJetOrder)
	}
	if order == 0 {
		return g.Forward64(ctx, dst, x, tau)
	}
	if d > kernels.MaxJetDim {
		return fmt.Errorf("cuda: %s: Taylor expansion in D = %d dimensions, want at most %d", call, d, kernels.MaxJetDim)
	}
	nj := simd.NJet(d, order)
	if len(dst) != count*d*nj {
		return fmt.Errorf("cuda: %s: dst has %d elements, want %d", call, len(dst), count*d*nj)
	}
	return g.do64(func(n *layers[float64]) error {
		compose, err := g.jetCompose(nj)
		if err != nil {
			return err
		}
		rows := make([]float64, min(count, maxRows/nj)*nj*d)
		return g.batches(ctx, call, count, nj, func(lo, hi int) error {
			m := hi - lo
			if err := n.jets(compose, x[lo*d:hi*d], tau, lo, hi, nj, order); err != nil {
				return err
			}
			if err := n.download(rows[:m*nj*d], n.outputSlot("jet")); err != nil {
				return err
			}
			for i := range m {
				for c := range nj {
					for j, y := range rows[(i*nj+c)*d:][:d] {
						dst[((lo+i)*d+j)*nj+c] = y
					}
				}
			}
			return nil
		})
	})
}

// jetCompose is the kernel for expansions of nj coefficients.
func (g *General) jetCompose(nj int) (*driver.Kernel, error) {
	const threads = 64 // and shared memory of each: two expansions, and f's own of the highest order
	return g.modules[moduleRows].Kernel("jet_compose_f64", threads, 8*threads*(2*nj+kernels.MaxJetOrder+1))
}

// jets takes samples lo to hi, nj rows each, through all layers: a product acts on each coefficient, an activation composes.
func (n *layers[F]) jets(compose *driver.Kernel, x []F, tau []float64, lo, hi, nj, order int) error {
	p, m := n.g.p, hi-lo
	rows := m * nj
	t, err := n.batchTimes(tau, lo, hi)
	if err != nil {
		return err
	}
	terms, err := n.g.space.bytes(slot{"terms", 0}, 4*len(jetTerms(p.D, order)))
	if err != nil {
		return err
	}
	if err := driver.Upload(terms, jetTerms(p.D, order)); err != nil {
		return err
	}
	values, err := n.upload(slot{"x", 0}, x, p.D)
	if err != nil {
		return err
	}
	buf := make([]deviceRows, len(p.Widths))
	if buf[0], err = n.input(rows, nj, rowsJet, values, t.phi); err != nil {
		return err
	}
	for i, ins := range p.Forward {
		s, width := n.g.slots[ins.Dst], p.Widths[ins.Dst]
		z, err := n.rows(slot{"jet", s}, rows, n.g.slotWidth[s])
		if err != nil {
			return err
		}
		z.row = width
		buf[ins.Dst] = z
		var add deviceRows
		if ins.Add >= 0 {
			add = buf[ins.Add]
		}
		q := n.product(i, rows, buf[ins.Src], z)
		n.addBias(&q, i, nj, t)
		if ins.Act == simd.Identity {
			q.Add, q.AddRow = add.at, int64(add.row)
		}
		if err := n.layer(ins.Src, &q); err != nil {
			return err
		}
		if ins.Act == simd.Identity {
			continue
		}
		a := driver.Pack(driver.Pack(new(driver.Args), z.at), add.at).Buf(terms).I32(nj).I32(order)
		driver.Pack(a, int64(m)).I32(width).I32(int(ins.Act))
		if err := n.g.launch(compose, m*width, a); err != nil {
			return err
		}
	}
	return nil
}

// jetTerms is the table of jet_compose_f64 (kernels/gpu/rows.cu): the terms of a product of two expansions of which the
// first has no constant, by coefficient of the result.
func jetTerms(dim, order int) []int32 {
	index := simd.JetIndex(dim, order)
	nj := len(index)
	lists := make([][]int32, nj)
	sum := make([]int, dim)
	for x := 1; x < nj; x++ {
		for r := range nj {
			degree := 0
			for i := range sum {
				sum[i] = index[x][i] + index[r][i]
				degree += sum[i]
			}
			if degree <= order {
				at := simd.JetPos(sum...)
				lists[at] = append(lists[at], int32(x<<8|r))
			}
		}
	}
	var table []int32
	for s := range order + 1 {
		table = append(table, int32(simd.NJet(dim, s)))
	}
	start := int32(order + 1 + nj + 1)
	for _, l := range lists {
		table = append(table, start)
		start += int32(len(l))
	}
	table = append(table, start)
	for _, l := range lists {
		table = append(table, l...)
	}
	return table
}
