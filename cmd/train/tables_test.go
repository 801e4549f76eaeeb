package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/rundir"
	"hbar/data"
	"hbar/train"
)

// repository is the root of the sources; a test that changes its folder asks before.
func repository(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(here, "..", "..")
}

// A table with columns of different scale: what was read and how it is scaled is said, in options.json and the checkpoint too.
func TestTable(t *testing.T) {
	var csv strings.Builder
	csv.WriteString(",age,income,kind\n")
	for i := range 100 {
		age, income := 40+10*math.Sin(float64(3*i)), 50000+20000*math.Cos(float64(7*i))
		csv.WriteString(strings.Join([]string{num(float64(i)), num(age), num(income), "a"}, ",") + "\n")
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, err := call(t, tiny("--data", file, "--n-data", "0", "--out", "run")...)
	if err == nil || !strings.Contains(err.Error(), `line 2, column 4 (kind): "a" is not a number`) {
		t.Errorf("a column of words: %v\n%s", err, out)
	}
	dir, out, err := call(t, tiny("--data", file, "--n-data", "0", "--out", "run", "--columns", "income,age")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"header    \"\", age, income, kind\n", "columns   3 (income), 2 (age)\n", "scaling   by coordinate: columns have units of their own"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var o options
	if err := rundir.ReadJSON(filepath.Join(dir, "run", optionsFile), &o); err != nil || o.Normalise != data.NormCoordinate || o.Columns != "income,age" {
		t.Errorf("options %+v, %v", o, err)
	}
	m, err := checkpoint.Load(filepath.Join(dir, "run", train.ModelFile))
	if err != nil || len(m.Columns) != 2 || m.Columns[0] != "income" || !(m.Norm.Scale[0] > 1e4) || !(m.Norm.Scale[1] < 10) {
		t.Errorf("%+v, %v", m, err)
	}
}

// Data at 10⁹ ± 1: the network is given numbers of about unit size, and the picture shows them.
func TestLargeOffset(t *testing.T) {
	dir, out, err := call(t, tiny("--data", filepath.Join(repository(t), "data", "testdata", "large-offset.csv"), "--n-data", "0", "--out", "run")...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := checkpoint.Load(filepath.Join(dir, "run", train.ModelFile))
	if err != nil || m.Norm.DType(2) != data.Float64 || !(math.Abs(m.Norm.Mean[0]-1e9-3) < 1) || !(m.Norm.Scale[0] < 2) {
		t.Errorf("%+v, %v\n%s", m.Norm, err, out)
	}
}

// Steps that are too large end in an error that says what to change, with the weights as they are kept.
func TestWorseThanNothing(t *testing.T) {
	dir, out, err := call(t, tiny("--lr", "100", "--out", "run")...)
	if err == nil || !strings.Contains(err.Error(), "training failed: the loss") || !strings.Contains(err.Error(), "--lr 0.001") {
		t.Errorf("%v\n%s", err, out)
	}
	if !rundir.Exists(filepath.Join(dir, "run"), train.ModelFile) || !rundir.Exists(filepath.Join(dir, "run"), lossFile) {
		t.Error("weights and loss are lost")
	}
	if _, out, err := call(t, tiny("--steps", "1", "--out", "run")...); err != nil { // initial weights have not failed
		t.Errorf("%v\n%s", err, out)
	}
}
