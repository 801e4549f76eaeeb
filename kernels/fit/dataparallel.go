package fit

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unsafe"

	"hbar/kernels/simd"
)

// Peers is the communicator of the processes that train one network. Each process has the same weights and the same data, computes
// the gradients of some parts of every batch, and takes the same steps. All processes make the same calls in the same order.
type Peers interface {
	Rank() int // the number of this process, from 0
	Size() int
	// AllGather copies mine of rank r to all[r] of every process. all[r] has the length of rank r's mine.
	AllGather(mine []byte, all [][]byte) error
	// AllToAll sends send[r] to rank r and receives recv[r] from rank r. Its length is that of what rank r sends.
	AllToAll(send, recv [][]byte) error
}

// DataParallel trains with a Partial in several processes, each of which computes the gradients of some parts of the batch. The results
// are those of one process in all bits.
type DataParallel struct {
	part  Partial
	peers Peers
	batch int

	rows   int   // of a part
	bounds []int // rank r computes parts [bounds[r], bounds[r+1])
	ranks  []RankTime

	// The exchange of gradients: rank r adds up the gradients of parameters [segments[r], segments[r+1]).
	segments   []int
	send, recv [][]byte
	out, in    [][]float32 // the memory of send and recv as numbers: out[r] has the gradients of this process's parts for rank r's parameters, one part after the other
	sum        []float32   // of this process's segment
	whole      []float32
	all        [][]byte // the segments of whole
}

// RankTime is the work of a process in the steps so far, and its time.
type RankTime struct {
	Rows    int           // rows of batches whose gradients it has computed
	Compute time.Duration // time of computing them
	Wait    time.Duration // time of exchanging gradients and of waiting for other processes; of this process only
}

// NewDataParallel distributes the parts of batches, of batch rows each, over the processes.
func NewDataParallel(part Partial, peers Peers, batch int) *DataParallel {
	t := &DataParallel{part: part, peers: peers, batch: batch, rows: part.PartRows(batch), ranks: make([]RankTime, peers.Size())}
	parts, size := Parts(batch, t.rows), peers.Size()
	for r := range size + 1 {
		t.bounds = append(t.bounds, parts*r/size)
	}
	n := 0
	for _, g := range part.Grads() {
		n += len(g)
	}
	lo, hi := t.mine()
	t.whole = make([]float32, n)
	for r := range size + 1 {
		t.segments = append(t.segments, n*r/size)
	}
	from, to := t.segment(peers.Rank())
	t.sum = make([]float32, to-from)
	whole := bytesOf(t.whole)
	for r := range size {
		first, last := t.segment(r)
		out := make([]float32, (hi-lo)*(last-first))
		theirs := t.bounds[r+1] - t.bounds[r]
		in := make([]float32, theirs*(to-from))
		t.out, t.in = append(t.out, out), append(t.in, in)
		t.send, t.recv = append(t.send, bytesOf(out)), append(t.recv, bytesOf(in))
		t.all = append(t.all, whole[4*first:4*last])
	}
	return t
}

func (t *DataParallel) segment(rank int) (lo, hi int) { return t.segments[rank], t.segments[rank+1] }

// mine is the range of parts of this process.
func (t *DataParallel) mine() (lo, hi int) { return t.of(t.peers.Rank()) }

func (t *DataParallel) of(rank int) (lo, hi int) { return t.bounds[rank], t.bounds[rank+1] }

// Parts is the number of parts of a batch. Of more processes than parts, some have nothing to do.
func (t *DataParallel) Parts() int { return t.bounds[len(t.bounds)-1] }

// Ranks are the times of all processes, as known after the last step.
func (t *DataParallel) Ranks() []RankTime { return t.ranks }

// rowsOf is the rows of parts [lo, hi).
func (t *DataParallel) rowsOf(lo, hi int) int {
	return max(0, min(t.batch, hi*t.rows)-min(t.batch, lo*t.rows))
}

// Step takes one step of Adam. stop says that this process has been asked to stop: if any has, all return stopped without a step.
func (t *DataParallel) Step(ctx context.Context, src Source, lr float64, stop bool) (r Result, stopped bool, err error) {
	began := time.Now()
	terms, err := t.compute(ctx, src)
	if err != nil {
		if ctx.Err() == nil {
			return r, false, err
		}
		stop = true // cancelled during the computation: the other processes wait for this one in gather
	}
	computed := time.Since(began)
	all, stopped, err := t.gather(terms, computed, stop)
	if err != nil || stopped {
		return r, stopped, err
	}
	if err := t.fold(); err != nil {
		return r, false, err
	}
	lo, hi := t.mine()
	mine := &t.ranks[t.peers.Rank()]
	mine.Rows += t.rowsOf(lo, hi)
	mine.Wait += time.Since(began) - computed
	r, err = t.part.Apply(lr, all)
	return r, false, err
}

// compute makes the gradients of this process's parts, and returns the terms of their loss.
func (t *DataParallel) compute(ctx context.Context, src Source) (terms []float64, err error) {
	lo, hi := t.mine()
	for k := lo; k < hi; k++ {
		t.part.SetRows(k*t.rows, t.rowsOf(k, k+1), t.batch)
		part, err := t.part.Sums(ctx, src)
		if err != nil {
			return nil, err
		}
		terms = append(terms, part...)
		t.pack(k - lo)
	}
	return terms, nil
}

// pack copies the gradients of this process's part k, counted from 0, to where the processes that add them up are sent them from.
func (t *DataParallel) pack(k int) {
	rank, at := 0, 0 // at is the number of a parameter, and rank the process whose segment it is in
	for _, g := range t.part.Grads() {
		for len(g) > 0 {
			lo, hi := t.segment(rank)
			if at == hi {
				rank++
				continue
			}
			n := copy(t.out[rank][k*(hi-lo)+at-lo:(k+1)*(hi-lo)], g)
			g, at = g[n:], at+n
		}
	}
}

// termsOf is the number of terms of the loss of rank r's parts.
func (t *DataParallel) termsOf(r int) (n int) {
	lo, hi := t.of(r)
	for k := lo; k < hi; k++ {
		n += Parts(t.rowsOf(k, k+1), t.part.TermRows())
	}
	return n
}

// gather exchanges the terms of the loss, the times of computing, and whether a process has been asked to stop.
func (t *DataParallel) gather(terms []float64, computed time.Duration, stop bool) (all []float64, stopped bool, err error) {
	const extra = 2
	pack := func(rank int) []byte { return make([]byte, 8*(extra+t.termsOf(rank))) }
	buffers := make([][]byte, t.peers.Size())
	for r := range buffers {
		buffers[r] = pack(r)
	}
	mine := pack(t.peers.Rank())
	put := func(i int, v float64) { binary.LittleEndian.PutUint64(mine[8*i:], math.Float64bits(v)) }
	if stop {
		put(0, 1)
	}
	put(1, computed.Seconds())
	for i, v := range terms {
		put(extra+i, v)
	}
	if err := t.peers.AllGather(mine, buffers); err != nil {
		return nil, false, err
	}
	for r, b := range buffers {
		get := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])) }
		stopped = stopped || get(0) != 0
		t.ranks[r].Compute += time.Duration(get(1) * float64(time.Second))
		if lo, hi := t.of(r); r != t.peers.Rank() {
			t.ranks[r].Rows += t.rowsOf(lo, hi)
		}
		for i := range len(b)/8 - extra {
			all = append(all, get(extra+i))
		}
	}
	return all, stopped, nil
}

// fold adds up the gradients of all parts, in the order of the parts. Each process receives the gradients of all parts for its segment
// of the parameters (all-to-all), adds them, and sends the sum to all processes (all-gather).
func (t *DataParallel) fold() error {
	if err := t.peers.AllToAll(t.send, t.recv); err != nil {
		return fmt.Errorf("the gradients: %w", err)
	}
	first := true
	for _, p := range t.in {
		for ; len(p) > 0; p = p[len(t.sum):] {
			if first {
				first = false
				copy(t.sum, p)
			} else {
				simd.Best().Add(t.sum, t.sum, p[:len(t.sum)])
			}
		}
	}
	if err := t.peers.AllGather(bytesOf(t.sum), t.all); err != nil {
		return fmt.Errorf("the gradients: %w", err)
	}
	at := 0
	for _, g := range t.part.Grads() {
		at += copy(g, t.whole[at:])
	}
	return nil
}

// bytesOf is the memory of x as bytes.
func bytesOf(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
