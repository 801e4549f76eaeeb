//go:build gpu && cgo

package programs

import (
	"hbar/cuda/driver"
	"hbar/program"
	"hbar/program/ops"
)

// scanWire mirrors struct Scan of kernels/gpu/net_scan.cu.
type scanWire struct {
	Lambda, U, Z, Y, DLambda, Ends, Sums    uint64
	Samples, LambdaSample, USample, ZSample int64
	Times, Modes, Chunks, Adjoint           int32
}

// scanChunk is SCAN_CHUNK.
const scanChunk = 64

// scan is the recurrence of an instruction with the inputs λ and u, whose states go to y.
type scan struct {
	x        *Executor
	lambda   program.ID
	u, y     program.ID
	adjoint  bool
	ends, do *driver.Kernel
	sums     int // where sums are in scratch memory
}

// newScan binds the recurrence; more is the scratch memory of a sample beside the states at the ends of chunks, in units of those.
func (x *Executor) newScan(kernel string, lambda, u, y program.ID, adjoint bool, more int) (*scan, error) {
	s := &scan{x: x, lambda: lambda, u: u, y: y, adjoint: adjoint}
	s.sums = rounded(s.chunks() * x.shape(u)[1] * 2) // float64 numbers
	x.reserve((1+more)*s.sums, 0)
	var err error
	if s.ends, err = x.kernel("scan", "net_scan_ends", 128, 0); err != nil {
		return nil, err
	}
	s.do, err = x.kernel("scan", kernel, 128, 0)
	return s, err
}

func (s *scan) chunks() int { return (s.x.shape(s.u)[0] + scanChunk - 1) / scanChunk }

// run launches the kernels; set fills in what is left of the wire.
func (s *scan) run(set func(w *scanWire)) scanWire {
	x, shape := s.x, s.x.shape(s.u)
	w := scanWire{Lambda: x.get(s.lambda), U: x.get(s.u), Y: x.get(s.y), Ends: x.scratch.At(0), Samples: int64(x.n),
		LambdaSample: int64(x.per(s.lambda)), USample: int64(x.per(s.u)), Times: int32(shape[0]), Modes: int32(shape[1] / 2), Chunks: int32(s.chunks())}
	if s.adjoint {
		w.Adjoint = 1
	}
	set(&w)
	threads := x.n * s.chunks() * shape[1] / 2
	if w.Chunks > 1 {
		x.each(s.ends, threads, driver.Pack(&driver.Args{}, w))
	}
	x.each(s.do, threads, driver.Pack(&driver.Args{}, w))
	return w
}

func bindScan(x *Executor, in program.Instr) (func(), error) {
	s, err := x.newScan("net_scan", in.In[0], in.In[1], in.Out[0], in.Op.(ops.Scan).Adjoint, 0)
	return func() { s.run(func(*scanWire) {}) }, err
}

func bindScanInput(x *Executor, in program.Instr) (func(), error) {
	s, err := x.newScan("net_scan_input", in.In[0], in.In[2], in.Out[1], !in.Op.(ops.ScanInput).Of.Adjoint, 1)
	if err != nil {
		return nil, err
	}
	sums, err := x.kernel("scan", "net_scan_sums", 128, 0)
	return func() {
		w := s.run(func(w *scanWire) {
			w.Z, w.ZSample, w.DLambda = x.get(in.In[1]), int64(x.per(in.In[1])), x.get(in.Out[0])
			w.Sums = x.scratch.At(s.sums * x.room)
		})
		x.each(sums, x.n*int(w.Modes), driver.Pack(&driver.Args{}, w))
	}, err
}

func bindComplexExp(x *Executor, in program.Instr) (func(), error) {
	k, err := x.kernel("scan", "net_complex_exp", 128, 0)
	half := lastDim(x.shape(in.In[0])) / 2
	return func() {
		n := x.n * x.values[in.Out[0]].size / 2
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])).U64(x.get(in.In[0])), int64(n))
		x.each(k, n, a.I32(half))
	}, err
}
