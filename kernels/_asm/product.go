package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// block is R rows of NP panels of sums, with vectors of units in lanes,
//
//	c[r][·] = init + sum_k a[r][k] · b[k][·]
//
// All R·NP·(64/vec) sums stay in registers; every a is broadcast once for all panels. Strides are in bytes.
// Its kernels' parameters begin with blockParams; modes: 0 init 0; 1 init bias; 2 init c; 3 init 0, and the sum is added to c.
type block struct {
	isa
	e             elem
	R, NP         int
	nv            int               // vectors to a row
	bv, bc        []reg.VecPhysical // a row of b; broadcasts of a
	c, a0, am, ak reg.Register      // rows of c and a of this block
	b, bp         reg.Register      // this step's row of b
	bk            operand.Op
	k             reg.Register // steps left
	u, p          reg.Register // scratch
	a             rows         // this step's column of a
	nextBcast     int          // index of the broadcast register to use next
	firstFree     int          // vector registers from here on are not used
	asks          bool         // the block prefetches what is needed later; see product
	part          operand.Mem  // of a block that prefetches: 0 until the steps up to first are done
	lines         int          // the place of the parameter next, which stride and second follow; 0: nothing is prefetched with the steps
}

const blockParams = "c %[1]s, cm, cp int, a %[1]s, am, ak int, b %[1]s, bp, bk int, bias %[1]s, k, mode, mb int"

// newBlock loads the parameters. Broadcasts use bcasts registers one after another.
func (t isa) newBlock(e elem, R, NP, bcasts int) *block {
	nv := 64 / t.vec * NP
	s := &block{isa: t, e: e, R: R, NP: NP, nv: nv, bv: t.v[nv*R : nv*R+nv], bc: t.v[nv*R+nv:][:bcasts]}
	s.firstFree = nv*R + nv + bcasts
	s.a0 = Load(Param("a"), GP64())
	s.am = Load(Param("am"), GP64())
	s.ak = Load(Param("ak"), GP64())
	s.bk = operand.NewParamAddr("bk", 8*8)
	if t.vec < 64 { // or there are not enough general registers
		s.bk = Load(Param("bk"), GP64())
	}
	s.c = Load(Param("c"), GP64())
	s.b, s.k, s.u, s.p = GP64(), GP64(), GP64(), GP64()
	if NP > 1 {
		s.bp = Load(Param("bp"), GP64())
	}
	s.a = newRows(R, s.am)
	return s
}

func (s *block) acc(r, v int) reg.VecPhysical { return s.v[s.nv*r+v] }

// col is vector v of the row at base of panels at a stride.
func (s *block) col(base, panel reg.Register, v int) operand.Mem {
	per := 64 / s.vec
	m := operand.Mem{Base: base, Disp: s.vec * (v % per)}
	if v/per > 0 {
		m.Index, m.Scale = panel, 1
	}
	return m
}

// start sets the sums to their initial values and the pointers to the first step.
func (s *block) start() {
	e := s.e
	LEAQ(operand.Mem{Base: s.am, Index: s.am, Scale: 2}, s.u)
	s.a.set(s.a0, s.u)
	Load(Param("mode"), s.u)
	CMPQ(s.u, operand.Imm(1))
	JEQ(label("bias"))
	CMPQ(s.u, operand.Imm(2))
	JEQ(label("accumulate"))
	for i := range s.nv * s.R {
		e.zero(s.v[i])
	}
	JMP(label("sum"))
	Label("bias")
	Load(Param("bias"), s.u)
	for r := range s.R {
		for v := range s.nv {
			if r > 0 {
				e.mov(s.acc(0, v), s.acc(r, v))
			} else {
				e.mov(mem(s.u, s.vec*v), s.acc(r, v))
			}
		}
	}
	JMP(label("sum"))
	Label("accumulate")
	Load(Param("cp"), s.u)
	MOVQ(s.c, s.p)
	for r := range s.R {
		for v := range s.nv {
			e.mov(s.col(s.p, s.u, v), s.acc(r, v))
		}
		if r < s.R-1 {
			ADDQ(operand.NewParamAddr("cm", 8), s.p)
		}
	}
	Label("sum")
	Load(Param("b"), s.b)
	if s.asks {
		Load(Param("first"), s.k)
	} else {
		Load(Param("k"), s.k)
	}
}

// step adds one k.
func (s *block) step() {
	for v := range s.nv {
		s.e.mov(s.col(s.b, s.bp, v), s.bv[v])
	}
	ADDQ(s.bk, s.b)
	for r := range s.R {
		x := s.bc[s.nextBcast%len(s.bc)]
		s.nextBcast++
		s.e.bcast(s.a.at(r, 0), x)
		for v := range s.nv {
			s.e.fma231(s.bv[v], x, s.acc(r, v))
		}
	}
	s.a.step(s.ak)
}

// addToC adds the sums of a chunk to c where the mode says so. Then u holds cp.
func (s *block) addToC() {
	Load(Param("mode"), s.u)
	CMPQ(s.u, operand.Imm(3))
	Load(Param("cp"), s.u)
	JNE(label("added"))
	MOVQ(s.c, s.b)
	for r := range s.R {
		for v := range s.nv {
			s.e.add(s.col(s.b, s.u, v), s.acc(r, v), s.acc(r, v))
		}
		ADDQ(operand.NewParamAddr("cm", 8), s.b)
	}
	Label("added")
}

// store writes the sums and moves c and a0 to the next block; u holds cp.
func (s *block) store() {
	for r := range s.R {
		for v := range s.nv {
			s.e.mov(s.acc(r, v), s.col(s.c, s.u, v))
		}
		ADDQ(operand.NewParamAddr("cm", 8), s.c)
		ADDQ(s.am, s.a0)
	}
}

// prefetch asks for the lines of the block in an array laid out as c that begins at row. They may have to come from
// memory, which takes about as long as the block.
func (s *block) prefetch(row reg.Register) {
	Load(Param("cp"), s.u)
	for range s.R {
		PREFETCHT0(operand.Mem{Base: row})
		if s.NP > 1 {
			PREFETCHT0(operand.Mem{Base: row, Index: s.u, Scale: 1})
		}
		ADDQ(operand.NewParamAddr("cm", 8), row)
	}
}

// rest runs the k steps that are left, in pairs or, where the operands of a block that has four lie so, in fours.
func (s *block) rest() {
	if s.asks {
		MOVQ(operand.U32(0), s.part)
	}
	if s.lines > 0 {
		Load(Param("next"), s.p)
		Load(Param("second"), s.u)
	}
	if s.fours() {
		Label("part")
		CMPQ(operand.NewParamAddr("form", 21*8), operand.Imm(1))
		JEQ(label("along"))
		JGT(label("across"))
	}
	SUBQ(operand.Imm(2), s.k)
	JLT(label("odd"))
	Label("two")
	s.step()
	if s.lines > 0 {
		s.ahead()
	}
	s.step()
	if s.asks {
		s.turn("row")
	}
	SUBQ(operand.Imm(2), s.k)
	JGE(label("two"))
	Label("odd")
	TESTQ(operand.U32(1), s.k)
	JEQ(label("even"))
	s.step()
	Label("even")
	if s.asks {
		s.half()
	}
	if s.fours() {
		JMP(label("done"))
		s.four("along", func(r, i int) operand.Mem { return s.a.at(r, i*s.e.size) }, func() {}, func() { s.a.step(operand.Imm(uint64(4 * s.e.size))) }, func() {})
		first := s.a.base[0]
		s.four("across", func(r, _ int) operand.Mem { return mem(first, r*s.e.size) }, func() { ADDQ(s.ak, first) }, func() {}, func() {
			for i, b := range s.a.base[1:] {
				LEAQ(mem(first, 3*(i+1)*s.e.size), b)
			}
		})
	}
	Label("done")
	if s.lines > 0 {
		MOVQ(s.p, operand.NewParamAddr("next", 8*s.lines))
	}
}

// ahead prefetches the next lines.
func (s *block) ahead() {
	PREFETCHT0(operand.Mem{Base: s.p})
	PREFETCHT0(operand.Mem{Base: s.p, Index: s.u, Scale: 1})
	ADDQ(operand.NewParamAddr("stride", 8*(s.lines+1)), s.p)
}

// turn goes on with the next row of lines after the last one of a row.
func (s *block) turn(name string) {
	TESTQ(s.k, operand.NewParamAddr("mask", 19*8))
	JNZ(label(name))
	ADDQ(operand.NewParamAddr("jump", 20*8), s.p)
	Label(name)
}

// fours reports whether a block runs four steps at a time where it can. With AVX2 there are two multiply-adds to a broadcast, so that the other instructions of a step matter
// where two threads share a core: each of them then gets half of the instructions that the core takes in a cycle.
func (s *block) fours() bool { return s.asks && s.vec == 32 && s.NP == 1 }

// four runs steps in fours, which need fewer instructions because the addresses of rows of a panel of b and of elements of a differ by constants: at gives the address of an element. each, all and
// end come after every step, after four and in the end. The up to three steps that are left are for rest.
func (s *block) four(name string, at func(r, i int) operand.Mem, each, all, end func()) {
	Label(name)
	SUBQ(operand.Imm(4), s.k)
	JLT(label(name + "_end"))
	Label(name + "_four")
	for i := range 4 {
		for v := range s.nv {
			s.e.mov(mem(s.b, 64*i+s.vec*v), s.bv[v])
		}
		for r := range s.R {
			x := s.bc[s.nextBcast%len(s.bc)]
			s.nextBcast++
			s.e.bcast(at(r, i), x)
			for v := range s.nv {
				s.e.fma231(s.bv[v], x, s.acc(r, v))
			}
		}
		each()
		if i == 1 {
			s.ahead()
		}
	}
	ADDQ(operand.U32(4*64), s.b)
	all()
	s.turn(name + "_row")
	SUBQ(operand.Imm(4), s.k)
	JGE(label(name + "_four"))
	Label(name + "_end")
	end()
	ADDQ(operand.Imm(2), s.k)
	JGE(label("two"))
	JMP(label("odd"))
}

// half comes after the first steps of a block. Where more steps are left it prefetches the lines at ask, and goes on with those steps. The lines of c, which are prefetched at the
// beginning of the block, and these at the same time would be more than a processor fetches at once, and the block would wait.
func (s *block) half() {
	Load(Param("k"), s.u)
	SUBQ(operand.NewParamAddr("first", 18*8), s.u)
	JLE(label("last"))
	CMPQ(s.part, operand.Imm(0))
	JNE(label("last"))
	MOVQ(s.p, s.part) // an address, which is not 0
	MOVQ(s.u, s.k)
	Load(Param("ask"), s.p)
	ADDQ(s.c, s.p)
	SUBQ(operand.NewParamAddr("c", 0), s.p)
	s.prefetch(s.p)
	MOVQ(s.part, s.p)
	Load(Param("second"), s.u)
	if s.fours() {
		JMP(label("part"))
	} else {
		SUBQ(operand.Imm(2), s.k)
		JMP(label("two"))
	}
	Label("last")
}

// askingRows is the fewest rows of a block that prefetches. A block of fewer rows waits for its loads and not for its multiply-adds, so that further loads would cost time.
const askingRows = 4

// product: mb blocks, times d[r][·], laid out as c, unless d is nil.
//
// A block of many rows also prefetches what is needed after it, a few cache lines at a time, so that its multiply-adds do not wait:
//
//   - at its beginning the lines of c, into which it stores at its end;
//   - with every second step the lines at next and at next + second, after which next grows by stride, and by jump where the steps that are left have no bit of mask. They are
//     the rows of b of a later product, or pieces of rows of another array;
//   - after its first steps the lines of a block of an array at ask, which is laid out as c. first is even unless it is all of k. first = k: there is no such array.
func (t isa) product(e elem, R, NP int) {
	text(fmt.Sprintf("%sProduct%d_%dx%d", t.name, e.bits(), R, NP), fmt.Sprintf("func("+blockParams+", d %[1]s, next uintptr, stride, second int, ask %[1]s, first, mask, jump, form int)", e.ptr()))
	nv := 64 / t.vec * NP
	s := t.newBlock(e, R, NP, min(4, len(t.v)-nv*R-nv))
	if R >= askingRows {
		s.asks, s.part, s.lines = true, AllocLocal(8), 14
	}
	Label("block")
	MOVQ(s.c, s.p)
	s.prefetch(s.p)
	s.start()
	s.rest()
	s.addToC()
	Load(Param("d"), s.p)
	TESTQ(s.p, s.p)
	JEQ(label("store"))
	MOVQ(s.c, s.b) // b: the row of d that answers to c
	SUBQ(operand.NewParamAddr("c", 0), s.b)
	ADDQ(s.p, s.b)
	for r := range R {
		for v := range s.nv {
			e.mul(s.col(s.b, s.u, v), s.acc(r, v), s.acc(r, v))
		}
		ADDQ(operand.NewParamAddr("cm", 8), s.b)
	}
	Label("store")
	s.store()
	DECQ(operand.NewParamAddr("mb", 12*8))
	JNZ(label("block"))
	VZEROUPPER()
	RET()
}
