package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A time far from irregular others is refused by the method that is chosen for them, too.
func TestAutoFarOutlier(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("t,x\n")
	for i := range 60 {
		fmt.Fprintf(&b, "%g,%g\n", float64(i)+0.3*float64(i%3), math.Sin(float64(i)))
	}
	b.WriteString("6e6,1\n")
	if err := os.WriteFile(filepath.Join(dir, "x.csv"), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := call(dir, "spectrum --data DIR/x.csv"); err == nil || !strings.Contains(err.Error(), "the gap from time 59.6 to 6e+06") {
		t.Errorf("error %v", err)
	}
}
