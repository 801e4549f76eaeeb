//go:build gpu && cgo

package driver_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hbar/cuda/driver"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/gpu"
)

// Copies of any size come back whole, through page-locked memory and without any, and the source may change at once.
func TestCopies(t *testing.T) {
	for _, pinned := range []string{"", "1000"} {
		if pinned != "" {
			cudatest.Emulated(t)
			t.Setenv("HBAR_EMU_PINNED", pinned)
		}
		d := cudatest.Open(t)
		const piece = driver.StageBytes / 4
		for _, n := range []int{1, 3, piece - 1, piece, piece + 1, driver.Stages*piece + 5, 2*driver.Stages*piece + 7} {
			b, err := d.Alloc(4 * n)
			if err != nil {
				t.Fatal(err)
			}
			want := cudatest.Ramp(n)
			src, dst := slices.Clone(want), make([]float32, n)
			if err := driver.Upload(b, src); err != nil {
				t.Fatal(err)
			}
			clear(src)
			if err := driver.Download(dst, b); err != nil || !slices.Equal(dst, want) {
				t.Errorf("%d numbers, pinned %q: %v, or others come back", n, pinned, err)
			}
			if err := b.Free(); err != nil {
				t.Error(err)
			}
		}
		if made := d.RingState(); made == 1 != (pinned == "") {
			t.Errorf("pinned %q: state of the page-locked ring %d", pinned, made)
		}
	}
}

func TestViews(t *testing.T) {
	d := cudatest.Open(t)
	b, err := driver.NewBuffer(d, cudatest.Ramp(10))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	c, err := d.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Free()
	v := b.View(8, 16)
	if err := errors.Join(driver.Copy(c, v), b.View(0, 8).Zero(), v.Free()); err != nil {
		t.Fatal(err)
	}
	got, all := make([]float32, 4), make([]float32, 3)
	if err := errors.Join(driver.Download(got, c), driver.Download(all, b)); err != nil || !slices.Equal(got, []float32{2.5, 3.5, 4.5, 5.5}) || !slices.Equal(all, []float32{0, 0, 2.5}) {
		t.Errorf("%v: copy of a view %v, buffer %v", err, got, all)
	}
	defer func() {
		if r := recover(); r == nil {
			t.Error("a view beyond the buffer's end")
		}
	}()
	b.View(36, 8)
}

// What is freed stays with the process and is used again, with a driver's pool and without.
func TestPool(t *testing.T) {
	for _, pools := range []string{"1", "0"} {
		t.Run("driver's pools "+pools, func(t *testing.T) { testPool(t, pools) })
	}
}

func testPool(t *testing.T, pools string) {
	if pools == "0" {
		cudatest.Emulated(t)
	}
	t.Setenv("HBAR_EMU_POOLS", pools)
	d := cudatest.Open(t)
	usage := func() driver.Usage {
		u, err := d.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	const n = 1 << 20 // a size of the block lists
	var buffers []*driver.Buffer
	for range 3 {
		b, err := d.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		buffers = append(buffers, b)
	}
	before := usage()
	for _, b := range buffers {
		if err := errors.Join(b.Free(), b.Free()); err != nil { // twice: the second is left alone
			t.Fatal(err)
		}
	}
	u := usage()
	if before.InUse != 3*n || u.InUse != 0 || u.Kept < 3*n || u.Free < before.Free {
		t.Errorf("pools %s: before Free %+v, after %+v", pools, before, u)
	}
	b, err := d.Alloc(n - 100)
	if err != nil {
		t.Fatal(err)
	}
	if now := usage(); now.Kept+now.InUse > u.Kept+512<<10 {
		t.Errorf("pools %s: memory grows by another buffer: %+v, before %+v", pools, now, u)
	}
	// the driver's words for a pointer that is not allocated, or was freed
	p := b.Address()
	if err := b.Free(); err != nil {
		t.Error(err)
	}
	cudatest.Wants(t, "freed twice", d.ReleaseAddress(p), "no memory of ", " begins at 0x")
}

// Without a driver's pool, blocks of other sizes make room when the device is full. Their memory is what is left open at Close, too.
func TestPoolTrim(t *testing.T) {
	cudatest.Emulated(t)
	t.Setenv("HBAR_EMU_MEMORY", "1000000")
	for pools, call := range map[string]string{"1": "cuMemAllocFromPoolAsync:", "0": "cuMemAlloc:"} {
		t.Run("driver's pools "+pools, func(t *testing.T) {
			t.Setenv("HBAR_EMU_POOLS", pools)
			d := cudatest.Open(t)
			a, err := d.Alloc(600_000)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Free(); err != nil {
				t.Fatal(err)
			}
			b, err := d.Alloc(900_000)
			if err != nil {
				t.Fatalf("pools %s: %v", pools, err)
			}
			_, err = d.Alloc(200_000)
			cudatest.Wants(t, "a full device", err, call, "CUDA_ERROR_OUT_OF_MEMORY: out of memory", " B asked for, ", " of 1000000 B free on CPU emulation")
			_ = b // Close frees it
		})
	}
}

func TestBlockSize(t *testing.T) {
	for n, want := range map[int]int{1: 512, 512: 512, 513: 1024, 4097: 5120, 5120: 5120, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<18} {
		if got := driver.BlockSize(n); got != want {
			t.Errorf("%d bytes: block of %d, want %d", n, got, want)
		}
	}
}

// Page-locked memory: copies that wait for nothing, in a capture too.
func TestHost(t *testing.T) {
	d := cudatest.Open(t)
	h, err := d.AllocHost(16)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Alloc(32)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	back, err := d.AllocHost(16)
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Capture(func() error {
		return errors.Join(driver.EnqueueUpload(b.View(16, 16), h), driver.Copy(b.View(0, 16), b.View(16, 16)), driver.EnqueueDownload(back, b))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []float32{1, 2} { // what is there at the time of the replay
		for i := range driver.HostSlice[float32](h) {
			driver.HostSlice[float32](h)[i] = x + float32(i)
		}
		if err := errors.Join(g.Replay(), e.Record(), e.Wait()); err != nil {
			t.Fatal(err)
		}
		if got := driver.HostSlice[float32](back); !slices.Equal(got, []float32{x, x + 1, x + 2, x + 3}) {
			t.Errorf("came back as %v", got)
		}
	}
	if err := errors.Join(h.Free(), h.Free(), back.Free(), g.Close(), g.Close(), e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	_, err = d.AllocHost(0)
	cudatest.Wants(t, "no bytes", err, "0 bytes asked for")
	if os.Getenv("HBAR_LIBCUDA") != "" {
		t.Setenv("HBAR_EMU_PINNED", "100")
		_, err = d.AllocHost(200)
		cudatest.Wants(t, "too much", err, "cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory (200 B)")
	}
}

func TestTime(t *testing.T) {
	d := cudatest.Open(t)
	b, err := d.Alloc(1 << 22)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	began := time.Now()
	took, err := d.Time(func() error { return errors.Join(b.Zero(), b.Zero()) })
	if err != nil || took <= 0 || took > time.Since(began) {
		t.Errorf("%v, %v of the %v that passed", err, took, time.Since(began))
	}
	_, err = d.Time(func() error { return os.ErrClosed })
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("error of the work: %v", err)
	}
	e, err := d.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, err = e.Since(e)
	cudatest.Wants(t, "an event without a place", err, "cuEventElapsedTime: CUDA_ERROR_INVALID_HANDLE: invalid resource handle")
}

// What does not belong in a capture ends it with an error that names the culprit, and the device works on.
func TestCaptureRefuses(t *testing.T) {
	d := cudatest.Open(t)
	b, err := driver.NewBuffer(d, cudatest.Ramp(4))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	for what, c := range map[string]struct {
		fn   func() error
		want string
	}{
		"waiting":     {d.Synchronize, "cuStreamSynchronize: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: operation not permitted when stream is capturing"},
		"allocating":  {func() error { _, err := d.Alloc(77); return err }, "Alloc of 77 B during a capture"},
		"pinning":     {func() error { _, err := d.AllocHost(77); return err }, "cuMemHostAlloc: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: operation not permitted when stream is capturing (77 B)"},
		"downloading": {func() error { return driver.Download(make([]float32, 4), b) }, "Download of 16 B during a capture"},
		"uploading":   {func() error { return driver.Upload(b, cudatest.Ramp(4)) }, "Upload of 16 B during a capture"},
		"freeing":     {func() error { c := *b; return c.Free() }, "Free of 16 B during a capture"},
		"capturing":   {func() error { _, err := d.Capture(func() error { return nil }); return err }, "cuStreamBeginCapture: CUDA_ERROR_ILLEGAL_STATE"},
		"swallowed":   {func() error { _ = d.Synchronize(); return nil }, "cuStreamEndCapture: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
		"an event": {func() error {
			e, err := d.NewEvent()
			if err != nil {
				return err
			}
			defer e.Close()
			return errors.Join(e.Record(), e.Wait())
		}, "cuEventSynchronize: CUDA_ERROR_CAPTURED_EVENT"},
	} {
		g, err := d.Capture(c.fn)
		cudatest.Wants(t, what, err, c.want)
		if g != nil {
			t.Errorf("%s: a graph all the same", what)
		}
		got := make([]float32, 4)
		if err := driver.Download(got, b); err != nil || got[3] != 3.5 {
			t.Fatalf("after %s: %v, %v", what, err, got)
		}
	}
}

// Captured work on a buffer that was freed since: an error when something waits for it.
func TestReplayAfterFree(t *testing.T) {
	cudatest.Need(t)
	cudatest.Emulated(t) // a real device is of no use to the process afterwards, or keeps the memory for itself
	d, err := driver.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := driver.NewBuffer(d, cudatest.Ramp(4))
	if err != nil {
		t.Fatal(err)
	}
	b, err := driver.NewBuffer(d, cudatest.Ramp(4))
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Capture(func() error { return driver.Copy(a, b) })
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Free(), d.Synchronize()); err != nil {
		t.Fatal(err)
	}
	cudatest.Wants(t, "replay", errors.Join(g.Replay(), d.Synchronize()), "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered (CPU emulation)")
	cudatest.Wants(t, "what follows", d.Close(), "CUDA_ERROR_ILLEGAL_ADDRESS")
}

// The driver's errors name the call, what it was about, and the driver's own words.
func TestDriverErrors(t *testing.T) {
	d := cudatest.Open(t)
	_, err := d.Load([]byte("nothing that a device runs"))
	cudatest.Wants(t, "an image of nothing", err, "cuModuleLoadDataEx: CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid", "26 B for sm_")
	_, err = d.Load([]byte("//\n.version 99.9\nnonsense"))
	cudatest.Wants(t, "PTX of nonsense", err, "cuModuleLoadDataEx: CUDA_ERROR_", "ptxas")
	m, err := d.Load(gpu.SamplerFP32)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Kernel("sampler_of_dreams", 32, 0)
	cudatest.Wants(t, "no such kernel", err, "cuModuleGetFunction: CUDA_ERROR_NOT_FOUND: named symbol not found (sampler_of_dreams)")
	_, err = m.Kernel("any", 32, 1<<20)
	cudatest.Wants(t, "shared memory", err, "any needs 1.0 MiB of shared memory a block; ")
	if err := m.Unload(); err != nil {
		t.Error(err)
	}
	b, err := d.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	cudatest.Wants(t, "too long", driver.Upload(b, cudatest.Ramp(5)), "Upload: 20 bytes into a buffer of 16")
	cudatest.Wants(t, "too long", driver.Download(cudatest.Ramp(5), b), "Download: 20 bytes from a buffer of 16")
	stale := *b
	if err := b.Free(); err != nil {
		t.Fatal(err)
	}
	cudatest.Wants(t, "a freed buffer", stale.Zero(), "cuMemsetD8Async: CUDA_ERROR_INVALID_VALUE: invalid argument (16 B)")
}

// A launch that the device cannot take.
func TestLaunchErrors(t *testing.T) {
	d := cudatest.Open(t)
	m, err := d.Load(gpu.SamplerF16)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Unload()
	k, err := m.Kernel("pack_f16_w64", 2048, 0)
	if err != nil {
		t.Fatal(err)
	}
	cudatest.Wants(t, "too many threads", k.Launch(3, new(driver.Args)), "cuLaunchKernel: CUDA_ERROR_INVALID_VALUE: invalid argument (pack_f16_w64, grid 3, block 2048, shared 0 B)")
}

// A kernel that is looked up with much shared memory can be launched, though another was looked up later with less.
func TestSharedMemory(t *testing.T) {
	d := cudatest.Open(t)
	m, err := d.Load(gpu.NetSteps)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Unload()
	b, err := driver.NewBuffer(d, []uint64{0, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	var all []*driver.Kernel
	for _, shared := range []int{100 << 10, 60 << 10} {
		k, err := m.Kernel("net_next", 32, shared)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	for i, k := range all {
		if err := k.Launch(1, new(driver.Args).Buf(b)); err != nil {
			t.Errorf("launch %d: %v", i, err)
		}
	}
	var row [1]uint64
	if err := driver.Download(row[:], b); err != nil || row[0] != 2 {
		t.Errorf("after two launches the row is %d: %v", row[0], err)
	}
}

// What would wait for a device whose work does not end is an error instead, and what frees does nothing.
func TestLost(t *testing.T) {
	d := cudatest.Open(t)
	b, err := driver.NewBuffer(d, cudatest.Ramp(4))
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("lost")
	d.Lose(lost)
	x := cudatest.Ramp(4)
	for what, err := range map[string]error{"Upload": driver.Upload(b, x), "Download": driver.Download(x, b), "Synchronize": d.Synchronize(), "Wait": e.Wait(), "Zero": b.Zero()} {
		if err != lost {
			t.Errorf("%s: %v", what, err)
		}
	}
	d.Lose(nil)
	f, err := d.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	d.Lose(lost)
	if err := errors.Join(f.Close(), d.Close()); err != nil {
		t.Errorf("closing: %v", err)
	}
	d.Lose(nil)
	if err := errors.Join(e.Close(), b.Free()); err != nil {
		t.Error(err)
	}
}

func TestOutOfMemory(t *testing.T) {
	d := cudatest.Open(t)
	_, err := d.Alloc(1 << 50)
	var e *driver.Error
	if !errors.As(err, &e) || !e.OutOfMemory() || !strings.Contains(err.Error(), "asked for") {
		t.Errorf("allocating a pebibyte: %v", err)
	}
}

func TestOpenMissing(t *testing.T) {
	cudatest.Open(t)
	if _, err := driver.Open(99); err == nil || !strings.Contains(err.Error(), "device 99 does not exist") {
		t.Errorf("Open(99): %v", err)
	}
}

// Statuses of cuBLAS have words, and one that a smaller batch may cure.
func TestLibraryErrors(t *testing.T) {
	err := driver.BLASError("cublasSgemm", "2×3×4 of f32", 3)
	if e, ok := err.(*driver.Error); !ok || !e.OutOfMemory() || !strings.Contains(err.Error(), "cublasSgemm: cuBLAS status 3: allocation failed (2×3×4 of f32)") {
		t.Error(err)
	}
	if err := driver.BLASError("cublasCreate", "", 99); err == nil || !strings.Contains(err.Error(), "status 99: unknown status") || driver.BLASError("", "", 0) != nil {
		t.Error(err)
	}
}
