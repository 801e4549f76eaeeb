package ops_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"hbar/program"
	"hbar/program/ops"
)

// opCase is an op with the shapes of its inputs. The tests of this package walk over all of them.
type opCase struct {
	op program.Op
	in [][]int
	// integer inputs, which have no derivative, inputs that must be positive, and inputs that all samples share
	integer, positive, shared map[int]bool
}

func shapes(s ...[]int) [][]int { return s }

var (
	image  = []int{3, 4, 6}
	tokens = []int{5, 6}
	six    = []int{6}
	scalar = []int{1}
	conv   = ops.Conv{Stride: 2, Left: 0, Right: 1, Top: 1, Bottom: 1}
	norm   = ops.GroupNorm{Groups: 3, Eps: 1e-3, Act: ops.SiLU}
	heads  = ops.Attention{Heads: 2}
)

var cases = []opCase{
	{op: ops.Unary{Fn: ops.SiLU}, in: shapes(six)},
	{op: ops.Unary{Fn: ops.GELU}, in: shapes(six)},
	{op: ops.Unary{Fn: ops.GELUTanh}, in: shapes(six)},
	{op: ops.Unary{Fn: ops.Tanh}, in: shapes(six)},
	{op: ops.Unary{Fn: ops.Exp}, in: shapes(six)},
	{op: ops.Power{P: -0.5}, in: shapes(six), positive: map[int]bool{0: true}},
	{op: ops.Scale{A: 3, B: -1}, in: shapes(six)},
	{op: ops.Add{}, in: shapes(image, six)},
	{op: ops.Add{}, in: shapes(scalar, image)},
	{op: ops.Mul{}, in: shapes(image, image)},
	{op: ops.Mul{}, in: shapes([]int{3, 1, 6}, []int{4, 1})},
	{op: ops.SumTo{Shape: six}, in: shapes(image)},
	{op: ops.SumTo{Shape: []int{3, 1, 6}}, in: shapes(image)},
	{op: ops.ExpandTo{Shape: image}, in: shapes([]int{4, 1})},
	{op: ops.SumBatch{}, in: shapes(six)},
	{op: ops.Reshape{Shape: []int{8, 9}}, in: shapes(image)},
	{op: ops.Transpose{Perm: []int{2, 0, 1}}, in: shapes(image)},
	{op: ops.Slice{Lo: 2, Hi: 5}, in: shapes(image)},
	{op: ops.Place{Lo: 2, Of: 9}, in: shapes(image)},
	{op: ops.Concat{}, in: shapes(image, []int{3, 4, 2}, image)},
	{op: ops.Einsum{A: "thd", B: "shd", Out: "hts"}, in: shapes([]int{4, 2, 3}, []int{5, 2, 3})},
	{op: ops.Dense{}, in: shapes(tokens, []int{4, 6}, []int{4}), shared: map[int]bool{1: true, 2: true}},
	{op: ops.Dense{}, in: shapes(six, []int{4, 6}), shared: map[int]bool{1: true, 2: true}},
	{op: ops.DenseInput{}, in: shapes(tokens, []int{6, 4}), shared: map[int]bool{1: true, 2: true}},
	{op: ops.DenseWeight{}, in: shapes(tokens, []int{5, 3})},
	{op: ops.BiasSum{}, in: shapes(image)},
	{op: ops.Same, in: shapes(image, []int{2, 3, 3, 6}, []int{2}), shared: map[int]bool{1: true, 2: true}},
	{op: conv, in: shapes(image, []int{2, 3, 3, 6}), shared: map[int]bool{1: true, 2: true}},
	{op: ops.ConvInput{Conv: conv, H: 3, W: 4}, in: shapes([]int{2, 2, 2}, []int{2, 3, 3, 6}), shared: map[int]bool{1: true, 2: true}},
	{op: ops.ConvWeight{Conv: conv, KH: 3, KW: 3}, in: shapes([]int{2, 2, 2}, image)},
	{op: ops.SumPool{}, in: shapes([]int{5, 4, 3})},
	{op: ops.Upsample{H: 7, W: 8}, in: shapes(image)},
	{op: norm, in: shapes(image, six, six), shared: map[int]bool{1: true, 2: true}},
	{op: ops.GroupNorm{Groups: 2, Eps: 1e-6}, in: shapes(image, six, six), shared: map[int]bool{1: true, 2: true}},
	{op: ops.GroupNormInput{Of: norm}, in: shapes(image, six, six, image), shared: map[int]bool{1: true, 2: true}},
	{op: ops.GroupNormParams{Of: norm}, in: shapes(image, six, six, image), shared: map[int]bool{1: true, 2: true}},
	{op: ops.LayerNorm{Eps: 1e-3}, in: shapes(tokens)},
	{op: ops.LayerNorm{Eps: 1e-3}, in: shapes(tokens, six, six)},
	{op: ops.LayerNormInput{Eps: 1e-3}, in: shapes(tokens, tokens)},
	{op: ops.LayerNormInput{Eps: 1e-3}, in: shapes(tokens, six, tokens)},
	{op: ops.Softmax{}, in: shapes(tokens)},
	{op: heads, in: shapes(tokens, []int{4, 6}, []int{4, 6})},
	{op: ops.AttentionInput{Of: heads}, in: shapes(tokens, []int{4, 6}, []int{4, 6}, tokens)},
	{op: ops.AttentionTangent{Of: heads}, in: shapes(tokens, []int{4, 6}, []int{4, 6}, tokens, []int{4, 6}, []int{4, 6})},
	{op: ops.GatedAdd{}, in: shapes(tokens, six, tokens)},
	{op: ops.Embedding{}, in: shapes([]int{4, 6}, scalar), integer: map[int]bool{1: true}, shared: map[int]bool{0: true}},
	{op: ops.EmbeddingTable{Rows: 4}, in: shapes(scalar, six), integer: map[int]bool{0: true}},
	{op: ops.Sinusoid{Dim: 7, MaxPeriod: 100, Shift: 1}, in: shapes(scalar)},
	{op: ops.Sinusoid{Dim: 8, MaxPeriod: 100, CosFirst: true}, in: shapes(scalar)},
	{op: ops.Fourier{}, in: shapes([]int{3}, scalar), integer: map[int]bool{0: true}},
	{op: ops.Patchify{Patch: 2}, in: shapes([]int{4, 6, 3})},
	{op: ops.Patchify{Patch: 2}, in: shapes([]int{6, 3})},
	{op: ops.Unpatchify{Patch: 2, Shape: []int{4, 6, 3}}, in: shapes([]int{6, 12})},
	{op: ops.DropoutMask{P: 0.25, Seed: 3, Layer: 1, Shape: image}, in: shapes(scalar), integer: map[int]bool{0: true}},
	{op: ops.SquaredError{}, in: shapes(image, image, scalar)},
	{op: ops.SquaredErrorInput{}, in: shapes(image, image, scalar, scalar)},
}

// TestCasesAreComplete finds the op types in the package's sources: those with a method Reference.
func TestCasesAreComplete(t *testing.T) {
	have := map[string]bool{}
	for _, c := range cases {
		have[reflect.TypeOf(c.op).Name()] = true
	}
	pkgs, err := parser.ParseDir(token.NewFileSet(), ".", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, f := range pkgs["ops"].Files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Reference" {
				continue
			}
			found++
			if typ := fn.Recv.List[0].Type.(*ast.Ident).Name; !have[typ] {
				t.Errorf("op %s is not in the list of cases", typ)
			}
		}
	}
	if found < 30 {
		t.Errorf("found %d ops only", found)
	}
}
