//go:build gpu && cgo

package cudatest

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hbar/cuda/driver"
	"hbar/internal/alive"
	"hbar/kernels/fit"
)

// Several processes with an emulated device each, without MPI: they meet in a folder. A test calls Together with a job, whose processes run
// TestOneOfSeveral of the same binary, which calls OneOfSeveral.

const asRank = "HBAR_TEST_RANK" // "RANK FOLDER": what a process of a job is

// Rank is what a process of a job has.
type Rank struct {
	Rank int
	Meet func() ([]byte, error) // what the processes meet by
	Lost func() error           // an error once process 1 has ended

	folder string
}

// OneOfSeveral is what each process of a job runs; by itself it is nothing.
func OneOfSeveral[J, O any](t *testing.T, run func(j J, r Rank) O) {
	what, folder, _ := strings.Cut(os.Getenv(asRank), " ")
	if folder == "" {
		t.Skip("run by other tests")
	}
	rank, err := strconv.Atoi(what)
	if err != nil {
		t.Fatal(err)
	}
	var j J
	load(t, filepath.Join(folder, "job"), &j)
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprint("name", rank)), []byte(alive.Self()), 0o600); err != nil {
		t.Fatal(err)
	}
	o := run(j, Rank{rank, func() ([]byte, error) {
		path := filepath.Join(folder, "id")
		if rank == 0 {
			id, err := driver.NewNCCLID()
			if err == nil {
				err = os.WriteFile(path+".new", id, 0o600)
			}
			return id, errors.Join(err, os.Rename(path+".new", path))
		}
		return appeared(path)
	}, func() error {
		if name, err := os.ReadFile(filepath.Join(folder, "name1")); err == nil && alive.Ended(string(name)) {
			return errors.New("process 1 has ended")
		}
		return nil
	}, folder})
	save(t, filepath.Join(folder, fmt.Sprint("outcome", rank)), o)
}

// Peers are the processes of a job of so many ranks.
func (r Rank) Peers(ranks int) fit.Peers { return &peers{rank: r.Rank, size: ranks, folder: r.folder} }

// peers exchange files.
type peers struct {
	rank, size, calls int
	folder            string
}

func (p *peers) Rank() int                    { return p.rank }
func (p *peers) Size() int                    { return p.size }
func (p *peers) AllToAll(_, _ [][]byte) error { return errors.New("no test calls this") }

func (p *peers) AllGather(mine []byte, all [][]byte) error {
	path := func(rank int) string { return filepath.Join(p.folder, fmt.Sprint("call", p.calls, "of", rank)) }
	if err := os.WriteFile(path(p.rank)+".new", mine, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path(p.rank)+".new", path(p.rank)); err != nil {
		return err
	}
	for rank := range all {
		b, err := appeared(path(rank))
		if err != nil {
			return err
		}
		copy(all[rank], b)
	}
	p.calls++
	return nil
}

// appeared reads a file as soon as it is there.
func appeared(path string) ([]byte, error) {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(path); !errors.Is(err, fs.ErrNotExist) || time.Since(began) > time.Minute {
			return b, err
		}
	}
}

// Open opens the device of a process, until the test ends, and makes the communicator of all ranks of them; nil if this process is alone.
func (r Rank) Open(t *testing.T, ranks int, alone bool) (*driver.Device, *driver.Comm) {
	t.Helper()
	d, err := driver.Open(r.Rank)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if alone {
		return d, nil
	}
	id, err := r.Meet()
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Meet(id, r.Rank, ranks)
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

// Die kills this process.
func Die() {
	p, _ := os.FindProcess(os.Getpid())
	p.Kill()
	select {}
}

func save(t *testing.T, path string, v any) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(gob.NewEncoder(f).Encode(v), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string, v any) {
	t.Helper()
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(gob.NewDecoder(f).Decode(v), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Together runs a job in several processes, and returns what they say. Process 1 may be killed if dies; then it says nothing.
func Together[O, J any](t *testing.T, j J, ranks int, dies bool, env ...string) []O {
	t.Helper()
	folder := t.TempDir()
	save(t, filepath.Join(folder, "job"), j)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all []*exec.Cmd
	for rank := range ranks {
		c := exec.Command(self, "-test.run=^TestOneOfSeveral$", "-test.timeout=5m")
		c.Env = append(append(os.Environ(), asRank+"="+fmt.Sprint(rank, " ", folder), "HBAR_LIBNCCL="+os.Getenv("HBAR_LIBCUDA"), fmt.Sprint("HBAR_EMU_DEVICES=", ranks)), env...)
		out, err := os.Create(filepath.Join(folder, fmt.Sprint("out", rank)))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	outcomes := make([]O, ranks)
	for rank, c := range all {
		if err := c.Wait(); err != nil && (!dies || rank != 1) {
			b, _ := os.ReadFile(filepath.Join(folder, fmt.Sprint("out", rank)))
			t.Errorf("%+v: process %d: %v\n%s", j, rank, err, b)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	for rank := range all {
		if !dies || rank != 1 {
			load(t, filepath.Join(folder, fmt.Sprint("outcome", rank)), &outcomes[rank])
		}
	}
	return outcomes
}

// Death is what a process has to say of a job in which process 1 was killed.
type Death struct {
	Steps  int // before the one that failed
	Failed string
	Took   time.Duration // from the step that failed to its error
}

// Deaths runs a job of three processes, of which process 1 is killed after so many steps, with NCCL that hears of it and with NCCL that does not. The
// others must have an error soon, by NCCL or because they see that the process has ended. Sanitizers make the step itself slow.
func Deaths(t *testing.T, steps int, run func(env string) []Death) {
	t.Helper()
	const noticed, heard = "process 1 has ended", "remote process exited or there was a network error"
	for env, want := range map[string][]string{
		"HBAR_EMU_NCCL_SILENT=0": {noticed, heard}, // whichever is first
		"HBAR_EMU_NCCL_SILENT=1": {noticed},
	} {
		all := run(env)
		for _, rank := range []int{0, 2} {
			o := all[rank]
			said := slices.ContainsFunc(want, func(w string) bool { return strings.Contains(o.Failed, w) })
			if o.Steps != steps || !said || o.Took > 30*time.Second {
				t.Errorf("%s: process %d after %d steps and %v: %q; want %q", env, rank, o.Steps, o.Took, o.Failed, want)
			}
		}
	}
}

// Distance is the largest difference, relative to the largest number of a.
func Distance(a, b [][]float32) float64 {
	top, off := 0.0, 0.0
	x, y := slices.Concat(a...), slices.Concat(b...)
	for i, v := range x {
		top, off = math.Max(top, math.Abs(float64(v))), math.Max(off, math.Abs(float64(v)-float64(y[i])))
	}
	return off / top
}

// NeedNCCL skips a test without the emulator and its NCCL.
func NeedNCCL(t *testing.T) {
	t.Helper()
	Need(t)
	Emulated(t)
}
