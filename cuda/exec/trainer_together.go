//go:build gpu && cgo

package exec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"unsafe"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/fit"
)

// A trainer of one of several processes has some rows of each batch. The gradients of layers are summed over the processes in
// driver.Buckets: as soon as the pass has come to the last layer of a bucket, train_grad is launched for its tiles, and the sum of the bucket
// begins while the pass goes on. If the pass is one launch, the sum of a bucket runs beside the gradients of the next. The losses of all rows are summed too, each
// process with zeros for the rows of others. When all sums are there, train_squares computes the norm and the loss, which are
// the same bits in all processes, and Adam follows. All of this is captured with the step, from NCCL 2.9 on.
//
// Nothing is exchanged with the host during a burst of steps, but the host is never more than two graphs ahead of the device. Before the burst
// the processes agree on its length, and after it they compare the norms of its gradients.

// Peers are the processes that train a network together. The zero value is none.
type Peers struct {
	Comm   *driver.Comm
	Failed func() error // an error if another process has ended; may be nil
	Bucket int          // least bytes of a bucket; 0 for an eighth of the gradient, within bounds
}

// together is a trainer's part in the work of several processes.
type together struct {
	Peers
	buckets  []driver.Bucket
	of       []int                  // the bucket of each layer
	span     []struct{ lo, hi int } // tiles of each bucket
	left     []int                  // layers that the pass has not come to, of each bucket, in the step that is enqueued
	begun    bool                   // the sum of the losses, in that step
	exchange *driver.Buffer         // float64, a message of all processes
	stopped  bool
}

// most is the most rows that a process has of a batch of n.
func (s *together) most(n int) int {
	if s.Comm == nil {
		return n
	}
	return (n + s.Comm.Size - 1) / s.Comm.Size
}

// note is the error of a method. The other processes may not have it, except that of a step that cannot be taken, so it ends the sums: Close would wait
// for processes that wait for this one.
func (s *together) note(err error) error {
	if err != nil && !errors.As(err, new(*fit.NonFiniteError)) {
		s.Comm.Abort(err)
	}
	return err
}

// pace keeps what is enqueued short enough for the driver to take it without a wait: see driver.Comm.Pace.
func (s *together) pace() error {
	if s.Comm == nil {
		return nil
	}
	return s.Comm.Pace(s.Failed)
}

func (s *together) close() error {
	err := s.Comm.Close()
	s.Comm = nil
	if e := s.exchange.Free(); err == nil {
		err = e
	}
	return err
}

// share prepares the sums over the processes.
func (t *Trainer) share() (err error) {
	s := &t.shared
	if s.Comm == nil {
		return nil
	}
	if s.exchange, err = t.d.Alloc(8 * (1 + s.Comm.Size)); err != nil {
		return err
	}
	layers := t.layout.Layers
	byWeight := map[int]int{}
	for i, in := range t.prog.Backward {
		if in.Op == kernels.BackParams {
			byWeight[in.W] = i
		}
	}
	at, ready := make([]int, len(layers)), make([]int, len(layers))
	for i, q := range layers {
		at[i], ready[i] = q.W, byWeight[q.weight]
	}
	s.buckets = driver.Buckets(at, ready, t.layout.size, s.Bucket)
	s.of, s.left = make([]int, len(layers)), make([]int, len(s.buckets))
	s.span = make([]struct{ lo, hi int }, len(s.buckets))
	tile := 0
	for i, q := range layers {
		for k, b := range s.buckets {
			if b.Lo <= q.W && q.W < b.Lo+b.N {
				if s.of[i] = k; b.Lo == q.W {
					s.span[k].lo = tile
				}
				s.span[k].hi = tile + q.tiles()
			}
		}
		tile += q.tiles()
	}
	return nil
}

// captures says whether a step can be captured.
func (t *Trainer) captures() bool { return t.shared.Comm == nil || t.shared.Comm.Captures }

// enqueueSums is enqueueGradient for one of several processes.
func (t *Trainer) enqueueSums(a DrawArgs) error {
	s := &t.shared
	clear(s.left)
	for _, k := range s.of {
		s.left[k]++
	}
	s.begun = false
	if err := t.rowLoss.View(0, 8*t.batch).Zero(); err != nil {
		return err
	}
	if err := t.pass.Launch(a, t.report, t.rowLoss.View(8*t.first, 8*t.rows), t.rows, t.reached); err != nil {
		return err
	}
	if err := s.Comm.Join(); err != nil {
		return err
	}
	args := driver.Pack(new(driver.Args).Buf(t.tiles).I32(t.ntiles).I32(t.batch), t.outputs()).Buf(t.g).Buf(t.squares).Buf(t.rowLoss).Buf(t.report)
	return t.kernels.squares.Launch(t.ntiles+1, args)
}

// reached enqueues the sums of what is there when the pass has come to a layer.
func (t *Trainer) reached(layer int) error {
	s := &t.shared
	if !s.begun {
		s.begun = true
		if err := s.Comm.AllReduce(t.rowLoss.View(0, 8*t.batch), true); err != nil {
			return err
		}
	}
	k := s.of[layer]
	if s.left[k]--; s.left[k] > 0 {
		return nil
	}
	if err := t.grad(s.span[k].lo, s.span[k].hi, 0); err != nil {
		return err
	}
	b := s.buckets[k]
	return s.Comm.AllReduce(t.g.View(4*b.Lo, 4*b.N), false)
}

// tell gives each process a number of all, and how many have said yes.
func (t *Trainer) tell(yes bool, number float64) (ayes float64, numbers []float64, err error) {
	s := &t.shared
	all := make([]float64, 1+s.Comm.Size)
	if yes {
		all[0] = 1
	}
	all[1+s.Comm.Rank] = number
	if err := driver.Upload(s.exchange, all); err != nil {
		return 0, nil, err
	}
	if err := s.Comm.AllReduce(s.exchange, true); err != nil {
		return 0, nil, err
	}
	if err := s.Comm.Join(); err != nil {
		return 0, nil, err
	}
	if err := s.Comm.Wait(s.Failed); err != nil {
		return 0, nil, err
	}
	if err := driver.Download(all, s.exchange); err != nil {
		return 0, nil, err
	}
	return all[0], all[1:], nil
}

// burst is the number of steps that are taken next, of n that this process would take: 0 if stop is true, or was in any process.
func (t *Trainer) burst(n int, stop bool) (int, error) {
	s := &t.shared
	if s.Comm == nil {
		if stop {
			n = 0
		}
		return n, nil
	}
	if s.stopped {
		return 0, nil
	}
	stops, all, err := t.tell(stop, float64(n))
	if err != nil {
		return 0, err
	}
	if stops > 0 {
		s.stopped = true
		return 0, nil
	}
	for _, v := range all {
		n = min(n, int(v))
	}
	return n, nil
}

// compare waits for n steps that are enqueued, or for one or a gradient if n is 0, and is an error unless the norms of their gradients are the same in all
// processes: then so are the weights.
func (t *Trainer) compare(n int) error {
	s := &t.shared
	if err := s.Comm.Wait(s.Failed); err != nil {
		return err
	}
	const words = int(unsafe.Sizeof(trainControl{}) / 8)
	raw := make([]float64, words+maxBurst+n)
	if err := driver.Download(raw, t.report); err != nil {
		return err
	}
	c := (*trainControl)(unsafe.Pointer(unsafe.SliceData(raw)))
	h := fnv.New64a()
	write := func(v uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	write(uint64(c.Step))
	write(uint64(c.Bad))
	norms := raw[words+maxBurst:]
	if n > 0 {
		norms = norms[:c.Step-t.step]
	}
	if c.Bad == 0 { // else it may be any NaN
		norms = append(norms, c.Norm)
	}
	for _, v := range norms {
		write(math.Float64bits(v))
	}
	_, all, err := t.tell(false, float64(h.Sum64()>>(64-53))) // exact as a float64
	if err != nil {
		return err
	}
	for rank, v := range all {
		if math.Float64bits(v) != math.Float64bits(all[0]) {
			return fmt.Errorf("cuda: in the %d steps from %d on the gradients of process %d have other norms than those of process 0: the sums of NCCL are not the same in all processes",
				max(n, 1), t.step, rank)
		}
	}
	return nil
}

// Rows is the number of rows of each batch whose gradient this process computes.
func (t *Trainer) Rows() int { return t.rows }

// Stopped says that a process has been asked to stop, by the end of the context of its Run. All end Run after the same step.
func (t *Trainer) Stopped() bool { return t.shared.stopped }

// Sums is the number of sums over all processes in a step, and the part of the gradient's numbers whose sums begin before the last gradient is
// there. Without a communicator both are 0.
func (t *Trainer) Sums() (sums int, early float64) {
	return len(t.shared.buckets), driver.Early(t.shared.buckets)
}
