package ops_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"hbar/program/ops/opstest"
)

// TestCasesAreComplete finds the op types in the package's sources: those with a method Reference.
func TestCasesAreComplete(t *testing.T) {
	have := map[string]bool{}
	for _, c := range opstest.Cases {
		have[reflect.TypeOf(c.Op).Name()] = true
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
