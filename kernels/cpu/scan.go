package cpu

import "hbar/kernels/simd"

// Scan is the recurrence z_t = λ z_{t−1} + u_t of complex modes, for N samples of T times: z and u are [N, T, 2·Modes] and λ is
// [2·Modes], or [N, 2·Modes] where EachLambda says so; the real parts come first. With Adjoint it runs backwards with λ̄.
//
// Long sequences of few modes are cut in chunks of times: the states at their ends follow from the chunks alone and λ to the
// power of their length, so that all chunks run at once. Whether they are cut follows from T and Modes.
type Scan struct {
	N, T, Modes int
	EachLambda  bool
	Adjoint     bool
}

const (
	scanChunk = 512  // times of a chunk, and the times of ScanInput that are summed in float32
	scanLong  = 2048 // times from which on few modes are cut
	scanFew   = 32   // modes that are few
	scanRows  = 32   // times between which a task goes to other modes: their rows stay in the cache
	scanGroup = 48   // modes of a task if there are not enough samples
)

// chunks is the number of chunks of times.
func (o *Scan) chunks() int {
	if o.T >= scanLong && o.Modes <= scanFew {
		return (o.T + scanChunk - 1) / scanChunk
	}
	return 1
}

// chunk is the times of chunk i, counted in the order of the recurrence; the last one is shorter.
func (o *Scan) chunk(i int) (from, rows int) {
	if o.chunks() == 1 {
		return 0, o.T
	}
	return i * scanChunk, min(scanChunk, o.T-i*scanChunk)
}

// at is the offset of the first row in memory of rows times, of which the recurrence takes the first one at time from.
func (o *Scan) at(sample, from, rows int) int {
	if o.Adjoint {
		from = o.T - from - rows
	}
	return (sample*o.T + from) * 2 * o.Modes
}

func (o *Scan) check(op string, lambda []float32, xs ...[]float32) {
	n := 1
	if o.EachLambda {
		n = o.N
	}
	want(op, "λ", len(lambda), n*2*o.Modes)
	for _, x := range xs {
		want(op, "an array", len(x), o.N*o.T*2*o.Modes)
	}
}

// scanTask is one of the parts that can run at once: modes lo … hi−1 of a chunk of a sample.
type scanTask struct{ sample, chunk, lo, hi int }

// tasks calls f for all tasks. Modes do not depend on each other: results do not depend on how they are shared.
func (o *Scan) tasks(t *Team, chunks int, f func(worker int, q scanTask)) {
	group := o.Modes
	if o.N*chunks < 4*t.Workers() {
		group = scanGroup
	}
	groups := (o.Modes + group - 1) / group
	t.Run(o.N*chunks*groups, func(worker, i int) {
		lo := i % groups * group
		f(worker, scanTask{i / groups / chunks, i / groups % chunks, lo, min(o.Modes, lo+group)})
	})
}

// lambda writes λ of the modes of a task, conjugate where the recurrence has λ̄.
func (o *Scan) lambda(l, lambda []float32, q scanTask) {
	if o.EachLambda {
		lambda = lambda[q.sample*2*o.Modes:]
	}
	w := q.hi - q.lo
	copy(l[:w], lambda[q.lo:q.hi])
	for j, v := range lambda[o.Modes+q.lo : o.Modes+q.hi] {
		if o.Adjoint {
			v = -v
		}
		l[w+j] = v
	}
}

// each calls f for parts of a task's chunk, in the order of the recurrence: offset of the first row in memory, time of the first step, and rows.
func (o *Scan) each(q scanTask, f func(at, from, rows int)) {
	from, rows := o.chunk(q.chunk)
	for rows > 0 {
		n := min(scanRows, rows)
		f(o.at(q.sample, from, n)+q.lo, from, n)
		from, rows = from+n, rows-n
	}
}

func (o *Scan) modes(rows int) simd.Modes {
	return simd.Modes{Rows: rows, Half: o.Modes, Ld: 2 * o.Modes, Back: o.Adjoint}
}

// starts computes the states before each chunk of all samples, [N, chunks, 2·Modes], with modes in the order of arrays.
func (o *Scan) starts(t *Team, s, lambda, u []float32) {
	chunks, wide := o.chunks(), 2*o.Modes
	if clear(s); chunks == 1 {
		return
	}
	ends, back := borrow[float32](&pool32, len(s))
	defer pool32.Put(back)
	o.tasks(t, chunks-1, func(worker int, q scanTask) {
		w := q.hi - q.lo
		m := t.Scratch(worker, 4*w+scanRows*wide)
		l, state, z := m[:2*w], m[2*w:4*w], m[4*w:]
		o.lambda(l, lambda, q)
		clear(state)
		o.each(q, func(at, _, rows int) { t.Impl.Scan(o.modes(rows), z, u[at:], l, state) })
		end := ends[(q.sample*chunks+q.chunk)*wide:]
		copy(end[q.lo:q.hi], state[:w])
		copy(end[o.Modes+q.lo:o.Modes+q.hi], state[w:])
	})
	for n := range o.N {
		for j := range o.Modes {
			k := j
			if o.EachLambda {
				k += n * wide
			}
			p := complex(float64(lambda[k]), float64(lambda[k+o.Modes]))
			if o.Adjoint {
				p = complex(real(p), -imag(p))
			}
			for c := scanChunk; c > 1; c /= 2 {
				p *= p
			}
			state := complex(0, 0)
			for c := 1; c < chunks; c++ {
				end := ends[(n*chunks+c-1)*wide:]
				state = p*state + complex(float64(end[j]), float64(end[o.Modes+j]))
				to := s[(n*chunks+c)*wide:]
				to[j], to[o.Modes+j] = float32(real(state)), float32(imag(state))
			}
		}
	}
}

// start copies a task's state before its chunk.
func (o *Scan) start(state, starts []float32, q scanTask) {
	w := q.hi - q.lo
	from := starts[(q.sample*o.chunks()+q.chunk)*2*o.Modes:]
	copy(state[:w], from[q.lo:q.hi])
	copy(state[w:], from[o.Modes+q.lo:o.Modes+q.hi])
}

// Forward writes z, which may be u.
func (o *Scan) Forward(t *Team, z, lambda, u []float32) {
	o.check("Scan", lambda, z, u)
	starts, back := borrow[float32](&pool32, o.N*o.chunks()*2*o.Modes)
	defer pool32.Put(back)
	o.starts(t, starts, lambda, u)
	o.tasks(t, o.chunks(), func(worker int, q scanTask) {
		w := q.hi - q.lo
		m := t.Scratch(worker, 4*w)
		l, state := m[:2*w], m[2*w:]
		o.lambda(l, lambda, q)
		o.start(state, starts, q)
		o.each(q, func(at, _, rows int) { t.Impl.Scan(o.modes(rows), z[at:], u[at:], l, state) })
	})
}

// Backward computes the gradients of ⟨g, z⟩: du [N, T, 2·Modes], which may be g, and dlambda [N, 2·Modes].
func (o *Scan) Backward(t *Team, dlambda, du, lambda, z, g []float32) {
	o.check("Scan.Backward", lambda, du, z, g)
	r := *o
	r.Adjoint = !o.Adjoint
	chunks, wide := r.chunks(), 2*r.Modes
	want("Scan.Backward", "dλ", len(dlambda), r.N*wide)
	starts, back := borrow[float32](&pool32, r.N*chunks*wide)
	defer pool32.Put(back)
	r.starts(t, starts, lambda, g)
	sums, back64 := borrow[float64](&pool64, r.N*chunks*wide)
	defer pool64.Put(back64)
	r.tasks(t, chunks, func(worker int, q scanTask) {
		w := q.hi - q.lo
		m := t.Scratch(worker, 6*w+wide)
		l, state, a, zero := m[:2*w], m[2*w:4*w], m[4*w:6*w], m[6*w:]
		clear(a)
		clear(zero)
		r.lambda(l, lambda, q)
		r.start(state, starts, q)
		sum := sums[(q.sample*chunks+q.chunk)*wide:][:wide]
		clear(sum[q.lo:q.hi])
		clear(sum[r.Modes+q.lo : r.Modes+q.hi])
		flush := func() {
			for j := range w {
				sum[q.lo+j] += float64(a[j])
				sum[r.Modes+q.lo+j] += float64(a[w+j])
			}
			clear(a)
		}
		r.each(q, func(at, from, rows int) {
			if r.pair(t, at, from, rows, du, g, z, zero, l, state, a); (from+rows)%scanChunk == 0 {
				flush()
			}
		})
		flush()
	})
	for n := range r.N {
		for j := range wide {
			s := 0.0
			for c := range chunks {
				s += sums[(n*chunks+c)*wide+j]
			}
			if !r.Adjoint && j >= r.Modes { // z runs backwards: the sum has z̄ w where w̄ z is wanted
				s = -s
			}
			dlambda[n*wide+j] = float32(s)
		}
	}
}

// pair runs rows of the recurrence of the gradient, each with the row of z that it meets: that of the time before, in the order of z.
// The first of them, which is the last of this recurrence, has none.
func (o *Scan) pair(t *Team, at, from, rows int, du, g, z, zero, l, state, a []float32) {
	last := from+rows == o.T
	if last {
		rows--
	}
	wide := 2 * o.Modes
	if o.Adjoint { // memory's first row comes last
		if first := at; last {
			if at += wide; rows > 0 {
				t.Impl.ScanGrad(o.modes(rows), du[at:], g[at:], z[at-wide:], l, state, a)
			}
			t.Impl.ScanGrad(o.modes(1), du[first:], g[first:], zero, l, state, a)
			return
		}
		t.Impl.ScanGrad(o.modes(rows), du[at:], g[at:], z[at-wide:], l, state, a)
		return
	}
	if rows > 0 {
		t.Impl.ScanGrad(o.modes(rows), du[at:], g[at:], z[at+wide:], l, state, a)
	}
	if at += rows * wide; last {
		t.Impl.ScanGrad(o.modes(1), du[at:], g[at:], zero, l, state, a)
	}
}
