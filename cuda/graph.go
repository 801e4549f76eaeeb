//go:build gpu && cgo

package cuda

/*
#include <cuda.h>

static CUresult hbar_instantiate(CUgraphExec *e, CUgraph g) { return cuGraphInstantiateWithFlags(e, g, 0); }
*/
import "C"

// Graph is captured work that replays with one call.
type Graph struct {
	d *Device
	e C.CUgraphExec
}

// Capture records the work that fn enqueues, without running it. fn must not wait for the device.
func (d *Device) Capture(fn func() error) (*Graph, error) {
	gr := &Graph{d: d}
	return gr, d.do(func() error {
		if err := check("cuStreamBeginCapture", "", C.cuStreamBeginCapture(d.cstream(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)); err != nil {
			return err
		}
		ferr := fn()
		var g C.CUgraph
		err := check("cuStreamEndCapture", "", C.cuStreamEndCapture(d.cstream(), &g))
		if ferr != nil {
			return ferr
		}
		if err != nil {
			return err
		}
		defer C.cuGraphDestroy(g)
		return check("cuGraphInstantiate", "", C.hbar_instantiate(&gr.e, g))
	})
}

// Replay enqueues the captured work.
func (g *Graph) Replay() error {
	return g.d.do(func() error { return check("cuGraphLaunch", "", C.cuGraphLaunch(g.e, g.d.cstream())) })
}

// Close frees the graph.
func (g *Graph) Close() error {
	return g.d.do(func() error { return check("cuGraphExecDestroy", "", C.cuGraphExecDestroy(g.e)) })
}
