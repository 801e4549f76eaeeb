//go:build gpu && cgo

package programs

import (
	"errors"
	"slices"

	"hbar/cuda/driver"
)

// mostGraphs is the number of passes that an executor keeps graphs of. A batch of several blocks takes four, and a captured graph takes memory of the
// device.
const mostGraphs = 16

// graphs are the last passes of an executor, beginning with the latest.
type graphs []captured

// captured is a pass and its graph, which is nil until the pass comes for the second time.
type captured struct {
	pass  pass
	graph *driver.Graph
}

// use puts a pass first. If it is not known, the one that has not been used for longest is forgotten.
func (g *graphs) use(p pass) (c *captured, known bool, err error) {
	all := *g
	if i := slices.IndexFunc(all, func(c captured) bool { return c.pass == p }); i >= 0 {
		this := all[i]
		copy(all[1:i+1], all[:i])
		all[0] = this
		return &all[0], true, nil
	}
	if len(all) == mostGraphs {
		err = all[mostGraphs-1].graph.Close()
		all = all[:mostGraphs-1]
	}
	*g = slices.Insert(all, 0, captured{pass: p})
	return &(*g)[0], false, err
}

// drop forgets all passes.
func (g *graphs) drop() (err error) {
	for _, c := range *g {
		err = errors.Join(err, c.graph.Close())
	}
	*g = nil
	return err
}
