//go:build gpu && cgo

package programs

import (
	"math"

	"hbar/cuda/driver"
	"hbar/program"
	"hbar/program/ops"
)

func bindSinusoid(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Sinusoid)
	k, err := x.kernel("inputs", "net_sinusoid", 128, 0)
	first := 0
	if op.CosFirst {
		first = 1
	}
	step := -math.Log(op.MaxPeriod) / (float64(op.Dim/2) - op.Shift)
	return func() {
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])), x.scalar(in.In[0])).I32(op.Dim)
		a = driver.Pack(driver.Pack(a, step).I32(first).I32(op.Order), int64(x.n))
		x.each(k, x.n*op.Dim, a)
	}, err
}

func bindFourier(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.Fourier)
	k, err := x.kernel("inputs", "net_fourier", 128, 0)
	count := x.shape(in.In[0])[0]
	return func() {
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])).U64(x.get(in.In[0])), int64(x.per(in.In[0])))
		a = driver.Pack(driver.Pack(a, x.scalar(in.In[1])).I32(count).I32(op.Order), int64(x.n))
		x.each(k, x.n*2*count, a)
	}, err
}

func bindEmbedding(x *Executor, in program.Instr) (func(), error) {
	k, err := x.kernel("inputs", "net_embedding", 256, 0)
	width := x.shape(in.In[0])[1]
	return func() {
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])).U64(x.get(in.In[0])), int64(x.per(in.In[0])))
		a = driver.Pack(driver.Pack(a, x.scalar(in.In[1])).I32(width), int64(x.n))
		x.each(k, x.n*width, a)
	}, err
}

func bindEmbeddingTable(x *Executor, in program.Instr) (func(), error) {
	k, err := x.kernel("inputs", "net_embedding_table", 128, 0)
	rows, width := in.Op.(ops.EmbeddingTable).Rows, x.shape(in.In[1])[0]
	return func() {
		more := 0
		if x.accumulate {
			more = 1
		}
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])), x.scalar(in.In[0])).U64(x.get(in.In[1]))
		a = driver.Pack(driver.Pack(a, int64(x.per(in.In[1]))).I32(rows).I32(width), int64(x.n)).I32(more)
		x.each(k, width, a)
	}, err
}

func bindDropoutMask(x *Executor, in program.Instr) (func(), error) {
	op := in.Op.(ops.DropoutMask)
	k, err := x.kernel("inputs", "net_dropout", 256, 0)
	size := program.Size(op.Shape)
	seed, stream, drop, keep := op.Draw()
	return func() {
		a := driver.Pack((&driver.Args{}).U64(x.get(in.Out[0])), x.scalar(in.In[0])).U64(seed).U32(stream).U64(drop).F32(float32(keep)).I32(size)
		x.each(k, x.n*((size+3)/4), driver.Pack(a, int64(x.n)))
	}, err
}

func bindSquaredError(x *Executor, in program.Instr) (func(), error) {
	x.values[in.Out[0]].loss = true
	k, err := x.kernel("inputs", "net_squared_error", 256, 64)
	size := x.values[in.In[0]].size
	return func() {
		v := &x.values[in.Out[0]]
		a := driver.Pack((&driver.Args{}).U64(v.wideAt).U64(v.at).U64(x.get(in.In[0])), int64(x.per(in.In[0]))).U64(x.get(in.In[1]))
		a = driver.Pack(driver.Pack(a, int64(x.per(in.In[1]))), x.scalar(in.In[2])).I32(size)
		x.launch(k, x.n, a)
	}, err
}
