package ops_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
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
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
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
