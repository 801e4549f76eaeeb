package infer

import (
	"runtime"
	"sync"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Options choose how an Engine works. They do not change the results, except for the rounding of another Impl. The zero value works.
type Options struct {
	Workers int        // goroutines that take tiles; 0 means GOMAXPROCS
	Tile    int        // rows of a tile, of which a sample has several in derivatives; 0 chooses by the widths of the network
	Impl    *simd.Impl // inner loops; nil means simd.Best()
}

// Engine evaluates one network. It has packed copies of the weights, which later changes of the chain do not affect.
// Its methods may be called concurrently.
type Engine struct {
	d       int
	workers int
	tile    int
	macs    int
	impl    *simd.Impl
	net32   *net[float32]
	net64   func() *net[float64]
	pool    sync.Pool // *sampler
}

// New checks the chain and packs its weights in panels of float32. Those of float64 are packed at the first use.
func New(p *kernels.Chain, o Options) (*Engine, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if o.Impl == nil {
		o.Impl = simd.Best()
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	e := &Engine{d: p.D, workers: o.Workers, tile: o.Tile, impl: o.Impl, net32: newNet32(p, o.Impl)}
	for _, ins := range p.Forward {
		e.macs += p.Widths[ins.Src] * p.Widths[ins.Dst]
	}
	weights := copyParams(p)
	e.net64 = sync.OnceValue(func() *net[float64] { return newNet64(weights, o.Impl) })
	return e, nil
}

// Dim is the number of dimensions D of a sample.
func (e *Engine) Dim() int { return e.d }

// MACs is the number of multiply-adds of one evaluation of the network for one sample, time inputs included.
func (e *Engine) MACs() int { return e.macs }

// copyParams is a copy of p that does not share its parameters.
func copyParams(p *kernels.Chain) *kernels.Chain {
	q := *p
	q.Params = append([]kernels.Param(nil), p.Params...)
	for i := range q.Params {
		q.Params[i].Data = append([]float32(nil), p.Params[i].Data...)
	}
	return &q
}

// split returns the number of samples of a tile, with g rows for each sample. A tile has about rows rows, or Options.Tile, adjusted so
// that every worker gets the same number of tiles.
func (e *Engine) split(rows, samples, g int) int {
	if e.tile > 0 {
		rows = e.tile
	}
	size := max(1, rows/g)
	tiles := max(1, (samples+size-1)/size)
	tiles = (tiles + e.workers - 1) / e.workers * e.workers
	return max(1, (samples+tiles-1)/tiles)
}
