//go:build gpu && cgo

package programs

import (
	"context"
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/general"
	"hbar/program"
)

// checkRows is the number of rows between two looks at the context. There the host waits for the device.
const checkRows = 16

// Trajectory runs the n samples x (n×D, in place) through all rows: of each row first the network, then the updates that
// kernels.Row defines. m (n×D, in place) is the samples' memory; nil stands for zeros that are not returned. no names the
// random numbers: sample i of x draws from sample Sample0+i of the stream, and has that sample's label.
//
// A block of samples goes through all rows before the next begins, and stays on the device meanwhile; a row is one captured graph, which
// is replayed. When ctx ends some blocks are finished and the others are as they were. progress, unless nil, gets how much of
// the work is done, in samples (n at the end).
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	d := e.Dim()
	n := len(x) / d
	if len(x) != n*d {
		return fmt.Errorf("cuda: x has %d elements; want a multiple of D = %d", len(x), d)
	}
	if m != nil && len(m) != len(x) {
		return fmt.Errorf("cuda: m has %d elements; want %d", len(m), len(x))
	}
	wire, err := exec.WireRows(rows)
	if err != nil || len(rows) == 0 || n == 0 {
		return err
	}
	return e.Lend(ctx, func() error {
		r, err := e.Runner("", true)
		if err != nil {
			return err
		}
		if e.s.closed {
			return errClosed
		}
		if e.s.journey == nil {
			if e.s.journey, err = newJourney(e.s, r.(runner).Executor, d); err != nil {
				return err
			}
		}
		t := e.s.journey
		if err := t.table(rows, wire); err != nil {
			return err
		}
		c := e.Condition()
		p := part{memory: kernels.UsesMemory(rows), guidance: float32(c.Guidance), twice: c.Guidance != 0, seed: no.Seed, stream: no.Stream}
		if err := t.x.restore(n * p.copies()); err != nil {
			return err
		}
		block, err := t.grow(min(n, max(1, t.x.Block()/p.copies())), p.copies())
		if err != nil {
			return err
		}
		for lo := 0; lo < n; lo += block {
			k := min(block, n-lo)
			p.n = k
			first := no.Sample0 + uint64(lo)
			var labels []float64
			if e.HasLabels() {
				labels = general.Labels(k, e.LabelFrom(first))
				for range k*p.copies() - k {
					labels = append(labels, c.None)
				}
			}
			var mem []float32
			if m != nil && p.memory {
				mem = m[lo*d : (lo+k)*d]
			}
			err := t.run(ctx, p, x[lo*d:(lo+k)*d], mem, labels, first, len(rows), func(row int) {
				if progress != nil {
					progress(lo + k*row/len(rows))
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// journey is what trajectories have on the device.
type journey struct {
	s                *session
	x                *Executor
	d                int
	begin, end, next *driver.Kernel

	state, memory *driver.Buffer // of a block
	room          int            // samples of a block
	rows, times   *driver.Buffer
	tableRoom     int
	at            *driver.Buffer // which row it is; the number of the first sample
	graphs        map[part]*driver.Graph
	moved         int // of the executor, when the graphs were captured
	in, out, time program.ID
}

// part is what a captured row depends on.
type part struct {
	n             int
	memory, twice bool
	guidance      float32
	seed          uint64
	stream        uint32
}

// copies of each sample in a batch: with and without label under guidance.
func (p part) copies() int {
	if p.twice {
		return 2
	}
	return 1
}

func newJourney(s *session, x *Executor, d int) (*journey, error) {
	t := &journey{s: s, x: x, d: d, graphs: map[part]*driver.Graph{}, in: x.prog.Lookup("x"), out: x.prog.Output("out"), time: x.prog.Lookup("t")}
	var err error
	for _, k := range []struct {
		to      **driver.Kernel
		name    string
		threads int
	}{{&t.begin, "net_row_begin", 256}, {&t.end, "net_row_end", 256}, {&t.next, "net_next", 32}} {
		if *k.to, err = s.k.find("steps", k.name, k.threads, 0); err != nil {
			return nil, err
		}
	}
	if t.at, err = s.d.Alloc(16); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *journey) dropGraphs() (err error) {
	for _, g := range t.graphs {
		err = errors.Join(err, g.Close())
	}
	clear(t.graphs)
	return err
}

func (t *journey) close() error {
	if t == nil {
		return nil
	}
	err := t.dropGraphs()
	for _, b := range []*driver.Buffer{t.state, t.memory, t.rows, t.times, t.at} {
		err = errors.Join(err, b.Free())
	}
	return err
}

// table uploads the rows.
func (t *journey) table(rows []kernels.Row, wire []exec.RowWire) error {
	if len(rows) > t.tableRoom {
		err := errors.Join(t.dropGraphs(), t.rows.Free(), t.times.Free())
		if err != nil {
			return err
		}
		t.tableRoom = 0
		if t.rows, err = t.s.d.Alloc(48 * len(rows)); err != nil {
			return err
		}
		if t.times, err = t.s.d.Alloc(8 * len(rows)); err != nil {
			return err
		}
		t.tableRoom = len(rows)
	}
	times := make([]float64, len(rows))
	for i, r := range rows {
		times[i] = r.Tau
	}
	return errors.Join(driver.Upload(t.rows, wire), driver.Upload(t.times, times))
}

// grow takes memory for n samples and their copies. It returns for how many there is some: fewer where the device's memory is full.
func (t *journey) grow(n, copies int) (int, error) {
	if err := t.x.grow(n * copies); err != nil {
		return 0, err
	}
	if n = min(n, t.x.room/copies); n == 0 {
		return 0, errors.New("cuda: the device's memory is full")
	}
	if t.x.moved != t.moved { // perhaps by other work than trajectories
		if err := t.dropGraphs(); err != nil {
			return 0, err
		}
		t.moved = t.x.moved
	}
	if n <= t.room {
		return n, nil
	}
	if err := errors.Join(t.dropGraphs(), t.state.Free(), t.memory.Free()); err != nil {
		return 0, err
	}
	t.room = 0
	var err error
	if t.state, err = t.s.d.Alloc(4 * n * t.d); err != nil {
		return 0, err
	}
	if t.memory, err = t.s.d.Alloc(4 * n * t.d); err != nil {
		return 0, err
	}
	t.room = n
	return n, nil
}

func (t *journey) run(ctx context.Context, p part, x, m []float32, labels []float64, first uint64, rows int, progress func(row int)) error {
	if err := driver.Upload(t.state, x); err != nil {
		return err
	}
	if p.memory {
		start := m
		if start == nil {
			start = make([]float32, len(x))
		}
		if err := driver.Upload(t.memory, start); err != nil {
			return err
		}
	}
	if labels != nil {
		b := &general.Batch{Wide: map[string][]float64{"y": labels}}
		if err := t.x.upload(t.x.prog.Lookup("y"), b, 0, len(labels)); err != nil {
			return err
		}
	}
	if err := driver.Upload(t.at, []uint64{0, first}); err != nil {
		return err
	}
	if t.x.stale {
		if err := t.x.Constants(); err != nil {
			return err
		}
	}
	g, err := t.graph(p)
	if err != nil {
		return err
	}
	for k := range rows {
		if err := g.Replay(); err != nil {
			return err
		}
		if (k+1)%checkRows == 0 || k+1 == rows {
			if err := t.s.d.Synchronize(); err != nil {
				return err
			}
			progress(k + 1)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if err := driver.Download(x, t.state); err != nil {
		return err
	}
	if m != nil {
		return driver.Download(m, t.memory)
	}
	return nil
}

// graph captures a row.
func (t *journey) graph(p part) (*driver.Graph, error) {
	if g := t.graphs[p]; g != nil {
		return g, nil
	}
	if len(t.graphs) >= 8 { // of other seeds and batches
		if err := t.dropGraphs(); err != nil {
			return nil, err
		}
	}
	g, err := t.s.d.Capture(func() error { return t.row(p) })
	if err == nil {
		t.graphs[p] = g
	}
	return g, err
}

// row enqueues a row: the network's input and time, its values, the update, and that the next row follows.
func (t *journey) row(p part) error {
	x, count, twice := t.x, p.n*t.d, 0
	if p.twice {
		twice = 1
	}
	time := &x.values[t.time]
	a := (&driver.Args{}).U64(x.get(t.in)).Buf(t.state).Buf(t.rows).Buf(t.times).Buf(t.at).U64(time.wideAt).U64(time.at)
	x.err = nil
	x.each(t.begin, count, driver.Pack(a, int64(count)).I32(twice))
	if x.err != nil {
		return x.err
	}
	if err := x.enqueue(pass{p.n * p.copies(), true, runSteps | runSamples | runSums}); err != nil {
		return err
	}
	memory := t.memory
	if !p.memory {
		memory = nil
	}
	a = (&driver.Args{}).Buf(t.state).Buf(memory).U64(x.get(t.out)).Buf(t.rows).Buf(t.at).F32(p.guidance).I32(twice)
	a = driver.Pack(a, int64(p.n)).I32(t.d).U64(p.seed).U32(p.stream).U64(t.at.Address() + 8)
	x.each(t.end, p.n*((t.d+1)/2), a)
	x.launch(t.next, 1, (&driver.Args{}).Buf(t.at))
	return x.err
}
