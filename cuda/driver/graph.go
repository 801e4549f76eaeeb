//go:build gpu && cgo

package driver

/*
#include <cuda.h>

static CUresult hbar_instantiate(CUgraphExec *e, CUgraph g) { return cuGraphInstantiateWithFlags(e, g, 0); }
*/
import "C"

import "fmt"

// Graph is captured work that replays with one call.
type Graph struct {
	d *Device
	e C.CUgraphExec
}

// Capture records the work that fn enqueues, without running it. fn may launch kernels and enqueue copies from and to
// page-locked memory; it must not wait for the device, allocate or free. The buffers that the work uses must exist at each
// Replay.
func (d *Device) Capture(fn func() error) (*Graph, error) {
	gr := &Graph{d: d}
	err := d.do(func() error {
		if err := check("cuStreamBeginCapture", d.Name, C.cuStreamBeginCapture(d.cstream(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)); err != nil {
			return err
		}
		d.capturing = true
		ferr := fn()
		d.capturing = false
		var g C.CUgraph
		err := check("cuStreamEndCapture", d.Name, C.cuStreamEndCapture(d.cstream(), &g))
		if g != nil {
			defer C.cuGraphDestroy(g)
		}
		if ferr != nil { // the cause; err follows from it
			return fmt.Errorf("cuda: capture: %w", ferr)
		}
		if err != nil {
			return err
		}
		return check("cuGraphInstantiate", d.Name, C.hbar_instantiate(&gr.e, g))
	})
	if err != nil {
		return nil, err
	}
	return gr, nil
}

// Replay enqueues the captured work.
func (g *Graph) Replay() error {
	return g.d.do(func() error { return check("cuGraphLaunch", g.d.Name, C.cuGraphLaunch(g.e, g.d.cstream())) })
}

// Close frees the graph. A nil or closed graph is ignored.
func (g *Graph) Close() error {
	if g == nil || g.e == nil {
		return nil
	}
	e := g.e
	g.e = nil
	return g.d.undo(func() error { return check("cuGraphExecDestroy", g.d.Name, C.cuGraphExecDestroy(e)) })
}
