package train

import (
	"runtime"
	"strings"
	"testing"

	"hbar/data"
	"hbar/internal/memory"
)

// What a run is said to need is about what it allocates: no less than nine tenths, so that no run that does not fit is begun, and at
// most a half more, for copies that live only while a checkpoint is written.
func TestNeed(t *testing.T) {
	set, err := data.ByName("swissroll", 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{Width: 32, Depth: 4, Batch: 50000},
		{Width: 17, Depth: 1, Batch: 80000, Time: TimeFourier, Fourier: 40},
		{Width: 60, Depth: 2, Batch: 40000, Residual: true},
	} {
		o.Workers = 1
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := New(set, o)
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		got, want := o.Need(set.D, set.N()).Total(), float64(after.HeapAlloc)-float64(before.HeapAlloc)
		if got < 0.9*want || got > 1.5*want { // the estimate may leave small things out, and count what is allocated later
			t.Errorf("width %d, depth %d, batch %d: said to need %s, holds %s", o.Width, o.Depth, o.Batch, memory.Bytes(got), memory.Bytes(want))
		}
		if err := r.trainer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Width: 30, Depth: 2, Fourier: 5, Time: TimeFourier}
	if got, want := o.WithDefaults().params(7), o.Spec(7).NumParams(); int(got) != want {
		t.Errorf("%v parameters, the network has %d", got, want)
	}
}

// A run that does not fit is refused before anything is allocated, with what would fit.
func TestDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Batch: 1 << 24}, "batch 4"},
		{Options{Width: 1 << 14}, "width 3"},
		{Options{Width: 1 << 14, Depth: 256}, "depth"},
	} {
		err := c.o.WithDefaults().fits(2, 3000, false, memory.Limit{Bytes: 2e9, Source: "ulimit -v"})
		if err == nil || !strings.Contains(err.Error(), "there are 2.0 GB (ulimit -v)") || !strings.Contains(err.Error(), c.want) && c.want != "depth" {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	if err := (Options{Batch: 1 << 24}).WithDefaults().fits(2, 3000, true, memory.Limit{Bytes: 1e8}); err != nil {
		t.Errorf("a large batch on a GPU: %v", err)
	}
	if err := (Options{}).WithDefaults().fits(2, 3000, false, memory.Limit{Bytes: 1e8}); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
