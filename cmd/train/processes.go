package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/mpi"
	"hbar/train"
)

// launch is the command, run by the process that a user starts, or by one of several that mpirun or srun starts to train together. Process 0
// speaks and writes for all.
func launch(ctx context.Context, args []string, streams ui.Streams) error {
	world, err := mpi.Start()
	if err != nil {
		return err
	}
	if world == nil {
		return run(ctx, args, streams)
	}
	shareCores(world.LocalSize())
	if world.Rank() == 0 {
		err = runWith(ctx, args, streams, world)
	} else {
		err = follow(ctx, args, world)
	}
	if err == nil || errors.Is(err, ui.ErrInterrupted) {
		world.Finish()
		if world.Rank() > 0 { // process 0 has the status of all: a launcher ends the others when one fails
			return nil
		}
		return err
	}
	if world.Rank() > 0 {
		time.Sleep(sameError)
		if errors.As(err, new(known)) {
			time.Sleep(muchLater)
		}
		err = fmt.Errorf("process %d of %d: %w", world.Rank(), world.Size(), err)
	}
	world.Abort(ui.Report("train", err, streams.Err))
	return err
}

// sameError is the time in which process 0 reports an error that all processes have, and ends them, before another reports its own.
const sameError = time.Second

// known is an error that process 0 is known to have too, and muchLater how long it has to end all.
type known struct{ error }

const muchLater = 20 * time.Second

// shareCores has processes of one machine use different cores, unless the launcher has bound each to some.
func shareCores(processes int) {
	if all := onlineCores(); all > 0 && runtime.NumCPU() < all {
		return
	}
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/processes))
}

// onlineCores is the number of cores of the machine; 0 where it is not known.
func onlineCores() int {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 0
	}
	return strings.Count("\n"+string(b), "\nprocessor")
}

// follow is run for a process that is not the first: it computes its share of each batch and writes nothing.
func follow(ctx context.Context, args []string, world *mpi.World) (err error) {
	o, err := parse(args, io.Discard)
	if err != nil || o.dryRun {
		return err
	}
	if err := o.join(world); err != nil {
		return err
	}
	device, err := openDevice(o.Device)
	if err != nil {
		return err
	}
	defer func() {
		if e := device.close(); err == nil {
			err = e
		}
	}()
	set, err := o.read(o.load)
	if err != nil {
		return err
	}
	if err := o.runsOn(device, set); err != nil {
		return err
	}
	if err := o.trainOn(device, io.Discard); err != nil {
		return err
	}
	job, err := train.New(set, o.Options)
	if err != nil {
		return err
	}
	_, err = job.Run(ctx, nil)
	var interrupted *train.Interrupted
	if errors.As(err, &interrupted) {
		return ui.ErrInterrupted
	}
	return err
}

// join makes the run one of several processes.
func (o *options) join(world *mpi.World) error {
	if world == nil {
		return nil
	}
	if o.Device.Kind == "cuda" {
		if err := o.chooseGPU(world); err != nil {
			return err
		}
	} else {
		o.Device.Kind = "cpu"
	}
	o.Peers, o.From = world, o.out
	o.world = world
	return nil
}

// chooseGPU gives each process of a machine a GPU of its own, by its number there.
func (o *options) chooseGPU(world *mpi.World) error {
	if o.Device.Index != 0 {
		return ui.Usagef("--device %s is one GPU; several processes take one each by --device cuda", o.Device)
	}
	n, err := cuda.Count()
	if err != nil {
		return fmt.Errorf("--device cuda: %w; have cpu", err)
	}
	switch local := world.LocalRank(); {
	case n == 1: // the launcher shows each process its own; cuda.Together finds out if it is the same for several
	case local < n:
		o.Device.Index = local
	default:
		return fmt.Errorf("--device cuda: process %d is number %d of those on this machine, from 0, and there are %d GPUs; start one process a GPU", world.Rank(), local, n)
	}
	return nil
}

// introducePeers says how many processes share the batches.
func (o options) introducePeers(w io.Writer, job *train.Run, device *device) {
	if on := device.sharing; on != nil {
		sums, early := on.Sums()
		fmt.Fprintf(w, "processes %s; each takes some rows of a batch, process 0 %d of %d; gradients are summed in %s, %.0f %% of them during the backward pass\n",
			device.group, on.Rows(), o.Batch, ui.Plural(int64(sums), "part"), 100*early)
	}
	t := job.DataParallel()
	if t == nil {
		return
	}
	fmt.Fprintf(w, "processes %d, which share each batch by whole parts, of which it has %d\n", o.world.Size(), t.Parts())
	if t.Parts() < o.world.Size() {
		fmt.Fprintf(w, "warning   %d processes have nothing to do: a batch of %d rows has %d parts; start as many processes, or take a larger --batch\n",
			o.world.Size()-t.Parts(), o.Batch, t.Parts())
	}
}

// farewellPeers says how fast the processes were, and lets the others end.
func (o options) farewellPeers(w io.Writer, job *train.Run) {
	if o.world == nil {
		return
	}
	o.world.Finish()
	t := job.DataParallel()
	if t == nil { // on GPUs, whose work and waiting the host does not see
		return
	}
	var rates []string
	ranks := t.Ranks()
	for _, r := range ranks {
		if r.Compute <= 0 {
			rates = append(rates, "–")
			continue
		}
		rates = append(rates, ui.Rate(float64(r.Rows)/r.Compute.Seconds()))
	}
	if spent := ranks[0].Compute + ranks[0].Wait; spent > 0 {
		fmt.Fprintf(w, "processes computed gradients of %s rows/s; process 0 exchanged them, and waited for others, %.1f %% of its time\n",
			strings.Join(rates, ", "), 100*ranks[0].Wait.Seconds()/spent.Seconds())
	}
}
