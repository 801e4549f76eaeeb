package diff

import (
	"strings"
	"testing"

	"hbar/program"
	"hbar/program/ops"
)

// The cotangent of a sum over the batch is one that all samples share. Through an operation with an input that they share too it would
// have to count once for each sample, which is refused; through other inputs it is right.
func TestSharedCotangent(t *testing.T) {
	p, err := program.Build(func(b *program.Builder) {
		x := b.Input("x", program.Sample, 3)
		b.Output("y", b.Apply(ops.SumBatch{}, ops.Sum(b, x, b.Param("b", 3)))[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VJP(p, map[string]string{"y": "g"}, map[string]string{"x": "gx"}); err != nil {
		t.Error(err)
	}
	if _, err := VJP(p, map[string]string{"y": "g"}, map[string]string{"b": "gb"}); err == nil || !strings.Contains(err.Error(), "is not summed") {
		t.Errorf("error %v", err)
	}
}
