package train

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/kernels/fit"
)

// threads are peers that are goroutines of one process, for tests.
type threads struct {
	rank  int
	board *board
}

type board struct {
	mail [][]chan []byte // from, to
}

func newThreads(n int) []fit.Peers {
	b := &board{make([][]chan []byte, n)}
	for i := range b.mail {
		b.mail[i] = make([]chan []byte, n)
		for j := range n {
			b.mail[i][j] = make(chan []byte, 1)
		}
	}
	out := make([]fit.Peers, n)
	for i := range out {
		out[i] = threads{i, b}
	}
	return out
}

func (t threads) Rank() int { return t.rank }
func (t threads) Size() int { return len(t.board.mail) }

func (t threads) AllToAll(send, recv [][]byte) error {
	for r, m := range send {
		t.board.mail[t.rank][r] <- append([]byte(nil), m...)
	}
	for r := range recv {
		if m := <-t.board.mail[r][t.rank]; copy(recv[r], m) != len(m) || len(m) != len(recv[r]) {
			return fmt.Errorf("%d bytes from %d, want %d", len(m), r, len(recv[r]))
		}
	}
	return nil
}

func (t threads) AllGather(mine []byte, all [][]byte) error {
	send := make([][]byte, t.Size())
	for r := range send {
		send[r] = mine
	}
	return t.AllToAll(send, all)
}

// runTogether trains with n processes, of which the first writes to dir, and returns the first one's result.
func runTogether(t *testing.T, set *data.Dataset, o Options, n int, dir string, r Reporter) (*Result, error) {
	t.Helper()
	results, errs := make([]*Result, n), make([]error, n)
	var group sync.WaitGroup
	for rank, peers := range newThreads(n) {
		group.Add(1)
		go func() {
			defer group.Done()
			o := o
			o.Peers, o.From = peers, dir
			var report Reporter
			if rank == 0 {
				o.Dir, report = dir, r
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if l, ok := r.(*log); ok && rank == n-1 && l.after > 0 {
				l.stop = stop // the last process is asked to stop, on a report of the first
			}
			results[rank], errs[rank] = Fit(ctx, set, o, report)
		}()
	}
	group.Wait()
	for rank, err := range errs {
		if fmt.Sprint(err) != fmt.Sprint(errs[0]) && rank > 0 && errs[0] == nil {
			t.Errorf("process %d: %v", rank, err)
		}
	}
	return results[0], errs[0]
}

// TestDataParallel: 2, 3 and 4 processes give the model, the losses and the checkpoint of one, in all bits: networks of dense layers,
// U-Nets with dropout and transformers with labels, in batches whose last part is short.
func TestDataParallel(t *testing.T) {
	images := func() *data.Dataset {
		set, err := data.ByName("digits", 120, 0)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	for _, c := range []struct {
		name string
		set  *data.Dataset
		o    Options
	}{
		{"mlp", swissRoll(t), Options{Width: 32, Depth: 2, Steps: 5, Batch: 600, EMA: 0.99, Seed: 3, Clip: 5, LogEvery: 2}},
		{"unet", images(), Options{Net: NetUNet, Sizes: Sizes{Channels: []int{8, 8}, Layers: 1, Groups: 4, Dropout: 0.1}, Steps: 2, Batch: 40, EMA: 0.99, Clip: 1, LogEvery: 1}},
		{"dit", images(), Options{Net: NetDiT, Sizes: Sizes{Patch: 2, Heads: 2, LabelDropout: 0.1, Stratify: true}, Width: 16, Depth: 1, Steps: 2, Batch: 50, LogEvery: 1}},
	} {
		alone := &log{}
		dir := t.TempDir()
		o := c.o
		o.Dir = dir
		want := mustRun(t, c.set, o, alone)
		for n := 2; n <= 4; n++ {
			reports, folder := &log{}, t.TempDir()
			got, err := runTogether(t, c.set, c.o, n, folder, reports)
			if err != nil {
				t.Fatalf("%s, %d processes: %v", c.name, n, err)
			}
			if !sameWeights(want.Model, got.Model) {
				t.Errorf("%s: the weights of %d processes are not those of one", c.name, n)
			}
			for i, r := range reports.reports {
				if a := alone.reports[i]; r.Loss != a.Loss || r.Step != a.Step {
					t.Errorf("%s, %d processes: loss %v at step %d; of one %v", c.name, n, r.Loss, r.Step, a.Loss)
				}
			}
			a, err := checkpoint.LoadState(filepath.Join(dir, StateFile))
			if err != nil {
				t.Fatal(err)
			}
			b, err := checkpoint.LoadState(filepath.Join(folder, StateFile))
			if err != nil {
				t.Fatal(err)
			}
			for i := range a.V {
				for j, v := range a.V[i].Data {
					if math.Float32bits(v) != math.Float32bits(b.V[i].Data[j]) {
						t.Fatalf("%s, %d processes: another mean squared gradient of %s", c.name, n, a.V[i].Name)
					}
				}
			}
		}
	}
}

// sameWeights compares the weights of models of any kind in all bits.
func sameWeights(a, b *checkpoint.Model) bool {
	if a.Net == nil {
		return equal(a, b)
	}
	for i, w := range a.Net.Weights {
		for j, v := range w {
			if math.Float32bits(v) != math.Float32bits(b.Net.Weights[i][j]) {
				return false
			}
		}
	}
	return true
}

// TestDataParallelResumes: processes that one of them asks to stop all do so after the same step; another number of processes goes on
// from the checkpoint, and ends where one process does.
func TestDataParallelResumes(t *testing.T) {
	set, o := swissRoll(t), Options{Width: 32, Depth: 2, Steps: 40, Batch: 300, EMA: 0.99, Seed: 3, LogEvery: 5}
	want := mustRun(t, set, o, nil)
	dir := t.TempDir()
	stopped, err := runTogether(t, set, o, 3, dir, &log{after: 10})
	if err == nil || stopped.Step < 10 || stopped.Step >= 40 {
		t.Fatalf("stopped after step %d: %v", stopped.Step, err)
	}
	o.Resume = true
	got, err := runTogether(t, set, o, 2, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(want.Model, got.Model) {
		t.Error("the weights are not those of one process")
	}
}

// TestDataParallelRefuses: processes that were not started alike.
func TestDataParallelRefuses(t *testing.T) {
	set := swissRoll(t)
	errs := make([]error, 2)
	var group sync.WaitGroup
	for rank, peers := range newThreads(2) {
		group.Add(1)
		go func() {
			defer group.Done()
			o := small()
			o.Peers, o.Seed = peers, uint64(rank)
			_, errs[rank] = New(set, o)
		}()
	}
	group.Wait()
	const want = "train: process 1 has other options, other data or another checkpoint than process 0; all must be started alike and see the same files"
	for rank, err := range errs {
		if err == nil || err.Error() != want {
			t.Errorf("process %d: %v", rank, err)
		}
	}
}
