//go:build gpu && cgo

package driver

/*
#include <cuda.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Every gorgonia.org/cu handle is a struct of one pointer whose cgo type is private to that package: handles cross over
// through unsafe, guarded by these size checks.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(cu.Stream{})-8]
	_ = [1]struct{}{}[unsafe.Sizeof(cu.Function{})-8]
	_ = [1]struct{}{}[unsafe.Sizeof(cu.Module{})-8]
	_ = [1]struct{}{}[unsafe.Sizeof(cu.Graph{})-8]
	_ = [1]struct{}{}[unsafe.Sizeof(cu.ExecGraph{})-8]
)

// Properties describes a device.
type Properties struct {
	Index            int
	Name             string
	Major, Minor     int   // compute capability
	Multiprocessors  int   // SMs
	SharedPerBlock   int   // bytes of dynamic shared memory a block may opt in to
	TotalMemory      int64 // bytes
	ClockKHz         int
	DriverVersion    int // 12020 for 12.2
	StreamOrderedMem bool
}

func (p Properties) String() string {
	return fmt.Sprintf("cuda:%d %s (sm_%d%d, %d SMs, %.1f GiB)", p.Index, p.Name, p.Major, p.Minor, p.Multiprocessors, float64(p.TotalMemory)/(1<<30))
}

// Device is an open device: its primary context, one stream, memory to allocate from and page-locked memory for copies.
type Device struct {
	Properties
	dev       cu.Device
	ctx       cu.CUContext
	stream    cu.Stream
	pool      *pool
	tensors   *TensorEngine
	staging   staging
	capturing bool
	lost      error // why its work does not end, or nil
}

// Open opens device index (as CUDA_VISIBLE_DEVICES numbers them).
func Open(index int) (*Device, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, checkCU("cuDeviceGetCount", "", err)
	}
	if index < 0 || index >= n {
		return nil, fmt.Errorf("cuda: device %d does not exist; have 0 to %d", index, n-1)
	}
	d := &Device{}
	d.tensors = &TensorEngine{d: d, owns: map[C.CUdeviceptr]bool{}}
	if d.dev, err = cu.GetDevice(index); err != nil {
		return nil, checkCU("cuDeviceGet", fmt.Sprint("device ", index), err)
	}
	if d.Properties, err = properties(d.dev, index); err != nil {
		return nil, err
	}
	if d.ctx, err = d.dev.RetainPrimaryCtx(); err != nil {
		return nil, checkCU("cuDevicePrimaryCtxRetain", fmt.Sprint("device ", index), err)
	}
	err = d.do(func() (err error) {
		if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return checkCU("cuStreamCreate", d.Name, err)
		}
		if d.pool, err = newPool(d); err != nil {
			return errors.Join(err, checkCU("cuStreamDestroy", d.Name, d.stream.Destroy()))
		}
		return nil
	})
	if err != nil {
		_ = d.dev.ReleasePrimaryCtx()
		return nil, err
	}
	return d, nil
}

func properties(dev cu.Device, index int) (Properties, error) {
	p := Properties{Index: index, DriverVersion: cu.Version()}
	var err error
	if p.Name, err = dev.Name(); err != nil {
		return p, checkCU("cuDeviceGetName", "", err)
	}
	if p.TotalMemory, err = dev.TotalMem(); err != nil {
		return p, checkCU("cuDeviceTotalMem", "", err)
	}
	var pools int
	for _, a := range []struct {
		dst  *int
		attr cu.DeviceAttribute
	}{
		{&p.Major, cu.ComputeCapabilityMajor}, {&p.Minor, cu.ComputeCapabilityMinor}, {&p.Multiprocessors, cu.MultiprocessorCount},
		{&p.SharedPerBlock, C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN}, {&p.ClockKHz, cu.ClockRate},
		{&pools, C.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED},
	} {
		if *a.dst, err = dev.Attribute(a.attr); err != nil {
			return p, checkCU("cuDeviceGetAttribute", fmt.Sprint("attribute ", int(a.attr)), err)
		}
	}
	p.StreamOrderedMem = pools != 0
	return p, nil
}

// Count is the number of devices.
func Count() (int, error) {
	if err := Available(); err != nil {
		return 0, err
	}
	n, err := cu.NumDevices()
	return n, checkCU("cuDeviceGetCount", "", err)
}

// BusID is the device's address in its machine, "0000:3b:00.0": which of several devices it is, whatever number it has.
func (d *Device) BusID() (string, error) {
	var id [32]C.char
	if err := check("cuDeviceGetPCIBusId", d.Name, C.cuDeviceGetPCIBusId(&id[0], C.int(len(id)), C.CUdevice(d.dev))); err != nil {
		return "", err
	}
	return C.GoString(&id[0]), nil
}

// do runs fn on an OS thread that has the device's context current. It is an error if the device is lost, because fn might wait for its work.
func (d *Device) do(fn func() error) error {
	if d.lost != nil {
		return d.lost
	}
	return d.on(fn)
}

// undo is do for what frees: a lost device is left as it is to the end of the process.
func (d *Device) undo(fn func() error) error {
	if d.lost != nil {
		return nil
	}
	return d.on(fn)
}

// on is do for a device that may be lost: fn must not wait for its work.
func (d *Device) on(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.ctx); err != nil {
		return checkCU("cuCtxSetCurrent", d.Name, err)
	}
	return fn()
}

// Synchronize waits for all enqueued work.
func (d *Device) Synchronize() error {
	return d.do(func() error { return checkCU("cuStreamSynchronize", d.Name, d.stream.Synchronize()) })
}

// Close waits for all enqueued work and releases the device and all memory that was allocated on it: buffers, kernels
// and graphs of the device cannot be used any more. A device whose work does not end is left to the end of the process.
func (d *Device) Close() error {
	if d.lost != nil {
		return nil
	}
	err := d.do(func() error {
		return errors.Join(checkCU("cuStreamSynchronize", d.Name, d.stream.Synchronize()), d.staging.free(), d.pool.close(),
			checkCU("cuStreamDestroy", d.Name, d.stream.Destroy()))
	})
	return errors.Join(err, checkCU("cuDevicePrimaryCtxRelease", d.Name, d.dev.ReleasePrimaryCtx()))
}

func (d *Device) cstream() C.CUstream { return C.CUstream(unsafe.Pointer(d.stream.C())) }
