package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"hbar/kernels/fit"
)

// dataParallel is the Trainer of one of several processes.
type dataParallel struct {
	Trainer // a trainer of this process by itself, which has the state
	t       *fit.DataParallel
	source  fit.Source
	run     *Run
}

// share returns a trainer that divides each batch among the processes of Options.Peers; without Peers it returns alone.
func (t *Run) share(alone Trainer, part fit.Partial, source fit.Source) Trainer {
	if t.o.Peers == nil {
		return alone
	}
	t.shared = fit.NewDataParallel(part, t.o.Peers, t.o.Batch)
	return dataParallel{alone, t.shared, source, t}
}

func (c dataParallel) Run(ctx context.Context, lrs, losses []float64) (taken int, last fit.Result, err error) {
	for i, lr := range lrs {
		r, stopped, err := c.t.Step(ctx, c.source, lr, ctx.Err() != nil)
		if stopped {
			c.run.halt()
			break
		}
		if last = r; err != nil {
			return i, last, err
		}
		losses[i] = r.Loss
		taken++
	}
	return taken, last, nil
}

// Sharing is a Trainer or NetworkTrainer that is itself one of several processes, and divides each batch among them.
type Sharing interface {
	// Stopped says that Run has returned because the context of one process has ended. All return after the same step.
	Stopped() bool
}

// sharing is the Trainer of a Sharing.
type sharing struct {
	Trainer
	on  Sharing
	run *Run
}

// sharing is a trainer of another device as one of Options.Peers. on, the trainer or the NetworkTrainer in it, must be a Sharing then.
func (t *Run) sharing(trainer Trainer, on any) (Trainer, error) {
	if t.o.Peers == nil {
		return trainer, nil
	}
	s, ok := on.(Sharing)
	if !ok {
		err := errors.New("train: this trainer works for one process only")
		return nil, errors.Join(err, trainer.Abort(err))
	}
	return sharing{trainer, s, t}, nil
}

func (s sharing) Run(ctx context.Context, lrs, losses []float64) (taken int, last fit.Result, err error) {
	taken, last, err = s.Trainer.Run(ctx, lrs, losses)
	if s.on.Stopped() {
		s.run.halt()
	}
	return taken, last, err
}

// withStop runs a trainer with the context asked in place of the caller's. A trainer of several processes informs all processes when that context ends, so that
// all stop after the same step.
type withStop struct {
	Trainer
	asked context.Context
}

func (a withStop) Run(_ context.Context, lrs, losses []float64) (int, fit.Result, error) {
	return a.Trainer.Run(a.asked, lrs, losses)
}

// DataParallel is how the processes share the batches, and their times; nil without Options.Peers.
func (t *Run) DataParallel() *fit.DataParallel { return t.shared }

// agree is an error unless all processes have the same options, data and step.
func (t *Run) agree() error {
	if t.o.Peers == nil {
		return nil
	}
	mine := binary.LittleEndian.AppendUint64([]byte(t.print), uint64(t.Step()))
	all := make([][]byte, t.o.Peers.Size())
	for r := range all {
		all[r] = make([]byte, len(mine))
	}
	if err := t.o.Peers.AllGather(mine, all); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	for r, theirs := range all {
		if !bytes.Equal(theirs, all[0]) {
			return fmt.Errorf("train: process %d has other options, other data or another checkpoint than process 0; all must be started alike and see the same files", r)
		}
	}
	return nil
}

// from is the directory that a run resumes from.
func (t *Run) from() (string, error) {
	dir := t.o.Dir
	if t.o.Peers != nil {
		dir = t.o.From
	}
	if dir == "" {
		return "", errors.New("train: resume needs the directory of the run")
	}
	return dir, nil
}
