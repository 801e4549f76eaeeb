package ops

import (
	"fmt"
)

// Embedding is a row of a table: table [K, D], id [1] with an integer from 0 to K−1, result [D].
type Embedding struct{}

func (Embedding) Name() string { return "embedding" }

func (Embedding) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if err := ranked(in, 0, 2, "[rows, width]"); err != nil {
		return nil, err
	}
	return [][]int{{in[0][1]}}, scalar(in, 1)
}

// scalar reports an input that is not one number.
func scalar(in [][]int, i int) error {
	if len(in[i]) != 1 || in[i][0] != 1 {
		return fmt.Errorf("input %d has the shape %v; want [1]", i, in[i])
	}
	return nil
}

func (Embedding) Reference(in, out []tensor) {
	d := in[0].Shape[1]
	copy(out[0].Data, in[0].Data[int(in[1].Data[0])*d:])
}

func (Embedding) Cost(_, out [][]int) cost { return moved(out, out) }

func (o Embedding) JVP(e emitter, in []value, _ value, din []value) value {
	if din[0] == nil {
		return nil
	}
	return one(e, o, din[0], in[1])
}

func (Embedding) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	if want[0] {
		r[0] = one(e, EmbeddingTable{in[0].Shape()[0]}, in[1], g)
	}
	return r
}

// EmbeddingTable adds the cotangents g [D] of the samples' rows to those of a table of Rows rows: id [1], g [D], result
// [Rows, D].
type EmbeddingTable struct{ Rows int }

func (EmbeddingTable) Name() string { return "embedding_table" }
func (EmbeddingTable) SumsBatch()   {}

func (o EmbeddingTable) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if err := ranked(in, 1, 1, "[width]"); err != nil {
		return nil, err
	}
	return [][]int{{o.Rows, in[1][0]}}, scalar(in, 0)
}

func (EmbeddingTable) Reference(in, out []tensor) {
	d := len(in[1].Data)
	row := out[0].Data[int(in[0].Data[0])*d:][:d]
	for i, g := range in[1].Data {
		row[i] += g
	}
}

func (EmbeddingTable) Cost(in, _ [][]int) cost { return moved(in, in) }

func (o EmbeddingTable) JVP(e emitter, in []value, _ value, din []value) value {
	if din[1] == nil {
		return nil
	}
	return one(e, o, in[0], din[1])
}

func (EmbeddingTable) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	if want[1] {
		r[1] = one(e, Embedding{}, g, in[0])
	}
	return r
}
