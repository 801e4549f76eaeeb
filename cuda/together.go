//go:build gpu && cgo

package cuda

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"hbar/cuda/driver"
	"hbar/internal/alive"
	"hbar/kernels/fit"
)

// Group is a device's place among those of several processes that train one network.
type Group struct {
	comm    *driver.Comm
	version string
	names   []string // of the processes (alive.Self)
}

// Count is the number of GPUs that this process sees.
func Count() (int, error) { return driver.Count() }

// Together joins the devices of all processes by NCCL, one device a process. All call it; if it fails in one, all have that error. The Group
// belongs to the Trainer or NetTrainer that is made with it, which closes it.
func Together(d *Device, peers fit.Peers) (*Group, error) {
	version, _, err := driver.OpenNCCL()
	place := ""
	if err == nil {
		place, err = where(d)
	}
	places, err := agree(peers, place, err)
	if err != nil {
		return nil, err
	}
	for r, p := range places {
		for q := range r {
			if places[q] == p {
				return nil, fmt.Errorf("cuda: processes %d and %d are on one GPU, %s; NCCL wants one for each: start fewer processes on this machine, or have CUDA_VISIBLE_DEVICES show each its own", q, r, p)
			}
		}
	}
	var id []byte
	if peers.Rank() == 0 {
		id, err = driver.NewNCCLID()
	}
	ids, err := agree(peers, string(id), err)
	if err != nil {
		return nil, err
	}
	room, err := d.Alloc(4 * tried[len(tried)-1]) // before one waits for the others
	names, err := agree(peers, alive.Self(), err)
	if err != nil {
		return nil, errors.Join(err, room.Free())
	}
	g := &Group{version: version, names: names}
	g.comm, err = d.Meet([]byte(ids[0]), peers.Rank(), peers.Size())
	if _, err = agree(peers, "", err); err == nil {
		err = g.begin(peers, room)
	}
	if err != nil {
		g.comm.Abort(err) // the process ends
		return nil, errors.Join(err, g.comm.Close(), room.Free())
	}
	return g, room.Free()
}

// where names a device among those of all machines.
func where(d *Device) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	bus, err := d.BusID()
	return host + " " + bus, err
}

// begin makes the first sums, and gives all processes the error of one. A process that has ended cannot be asked.
func (g *Group) begin(peers fit.Peers, room *driver.Buffer) error {
	err := g.try(room)
	if ended := g.failed(); ended != nil {
		return ended
	}
	_, err = agree(peers, "", err)
	return err
}

// tried are the sizes of the sums that try makes, in float32 numbers: from the smallest to that of the largest part of a gradient.
var tried = []int{2, 64 << 10, driver.MostBucket / 4}

// try makes sums of small and large arrays. NCCL makes its connections on the first sums, from version 2.22 on those of each algorithm when that is
// first used, which depends on the size. Connections cannot be made in a captured graph.
func (g *Group) try(room *driver.Buffer) error {
	for _, n := range tried {
		if err := g.trySum(room.View(0, 4*n)); err != nil {
			return err
		}
	}
	return nil
}

// trySum makes one sum in the memory of b and compares the first two numbers.
func (g *Group) trySum(b *driver.Buffer) error {
	if err := b.Zero(); err != nil {
		return err
	}
	got := []float32{1, float32(g.comm.Rank)}
	if err := driver.Upload(b, got); err != nil {
		return err
	}
	if err := g.comm.AllReduce(b, false); err != nil {
		return err
	}
	if err := g.comm.Join(); err != nil {
		return err
	}
	if err := g.comm.Wait(g.failed); err != nil {
		return err
	}
	if err := driver.Download(got, b); err != nil {
		return err
	}
	n := float32(g.comm.Size)
	if got[0] != n || got[1] != n*(n-1)/2 {
		return fmt.Errorf("cuda: NCCL sums 1 over %d processes to %v, and their numbers to %v", g.comm.Size, got[0], got[1])
	}
	return nil
}

// longest is the longest message of agree.
const longest = 1000

// agree gives each process what all say, or the first error of one.
func agree(peers fit.Peers, say string, failed error) ([]string, error) {
	tag := "+"
	if failed != nil {
		tag, say = "-", failed.Error()
	}
	mine := make([]byte, 1+longest)
	copy(mine, tag+say)
	n := len(tag + say)
	if n > len(mine) {
		n = len(mine)
	}
	length := []byte{byte(n >> 8), byte(n)}
	all := make([][]byte, peers.Size())
	for r := range all {
		all[r] = make([]byte, 2+len(mine))
	}
	if err := peers.AllGather(append(length, mine...), all); err != nil {
		return nil, err
	}
	said := make([]string, len(all))
	for r, b := range all {
		said[r] = string(b[2 : 2+(int(b[0])<<8|int(b[1]))])
	}
	for r, s := range said {
		switch {
		case !strings.HasPrefix(s, "-"):
			said[r] = s[1:]
		case r == peers.Rank():
			return nil, failed
		default:
			return nil, fmt.Errorf("process %d: %s", r, s[1:])
		}
	}
	return said, nil
}

// String describes the group.
func (g *Group) String() string {
	graph := ""
	if !g.comm.Captures {
		graph = ", whose calls cannot be captured before 2.9"
	}
	return fmt.Sprintf("%d GPUs, NCCL %s%s", g.comm.Size, g.version, graph)
}

// failed is an error once another process of this machine has ended. NCCL does not hear of that where GPUs write to each other's memory.
func (g *Group) failed() error {
	if g == nil {
		return nil
	}
	for r, name := range g.names {
		if r != g.comm.Rank && alive.Ended(name) {
			return fmt.Errorf("cuda: process %d of %d has ended", r, g.comm.Size)
		}
	}
	return nil
}

// communicator is nil for no group.
func (g *Group) communicator() *driver.Comm {
	if g == nil {
		return nil
	}
	return g.comm
}
