package classify

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/data"
	"hbar/data/npz"
)

// bars are images of n×n bytes: class 0 has a bright row, class 1 a bright column, at places that differ.
func bars(n, count int) *data.Dataset {
	s := &data.Dataset{Name: "bars", D: n * n, Shape: []int{n, n, 1}, Norm: data.BytesNormalisation(), Classes: 2}
	for i := range count {
		img := make([]byte, n*n)
		at := (i / 2) % n
		for j := range n {
			if i%2 == 0 {
				img[at*n+j] = 255
			} else {
				img[j*n+at] = 255
			}
		}
		s.Bytes, s.Labels = append(s.Bytes, img...), append(s.Labels, int32(i%2))
	}
	return s
}

func trained(t *testing.T, set *data.Dataset, o Options) *Model {
	t.Helper()
	m, err := Train(context.Background(), set, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func score(t *testing.T, m *Model, set *data.Dataset) *Score {
	t.Helper()
	j, err := m.Judge(context.Background(), set, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewScore(j, set.Labels)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Classes with names are compared by name: their numbers depend on which of them a set has.
func TestLabels(t *testing.T) {
	m := &Model{ClassNames: []string{"cat", "dog", "fish"}}
	for _, c := range []struct {
		names  []string
		labels []int32
		want   []int32
	}{
		{[]string{"dog", "fish"}, []int32{0, 1, 0}, []int32{1, 2, 1}},
		{[]string{"cat", "dog", "fish"}, []int32{2, 0}, []int32{2, 0}},
		{nil, []int32{2, 0}, []int32{2, 0}},
		{[]string{"cat", "wolf"}, []int32{0, 0}, []int32{0, 0}}, // none is a wolf
		{[]string{"dog", "fish"}, nil, nil},
		{[]string{"cat", "wolf"}, []int32{0, 1}, nil},
	} {
		got, err := m.Labels(&data.Dataset{Labels: c.labels, ClassNames: c.names})
		if !slices.Equal(got, c.want) || (err != nil) != (c.labels != nil && c.want == nil) {
			t.Errorf("labels %v of %v: %v, %v; want %v", c.labels, c.names, got, err, c.want)
		}
	}
}

// A classifier learns what is easy, says the same after it was written and read, and does not depend on the number of workers.
func TestTrain(t *testing.T) {
	set := bars(9, 36)
	o := Options{Channels: []int{4, 8}, Features: 8, Steps: 120, Batch: 24, Rate: 5e-3, Workers: 1}
	m := trained(t, set, o)
	s := score(t, m, set)
	if s.Accuracy.Value != 1 || s.Confusion[0][0] != 18 || s.Confusion[1][1] != 18 || s.Spread.Classes != 2 || s.PerClass[0].Given.K != 18 {
		t.Errorf("score %+v, accuracy %v", s, s.Accuracy)
	}
	if math.Abs(s.Spread.Entropy-math.Ln2) > 1e-15 { // a rounding
		t.Errorf("entropy %g of two equal shares, want log 2", s.Spread.Entropy)
	}
	path := filepath.Join(t.TempDir(), "c.safetensors")
	m.Test = &Test{"bars", *s.Accuracy}
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Judge(context.Background(), set, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Workers = 3
	for _, other := range []*Model{back, trained(t, set, o)} {
		b, err := other.Judge(context.Background(), set, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range a.Logits {
			if v != b.Logits[i] {
				t.Fatalf("logit %d: %g, and %g from a file or with other workers", i, v, b.Logits[i])
			}
		}
	}
	if *back.Test != *m.Test {
		t.Errorf("test %+v, want %+v", back.Test, m.Test)
	}
}

// Rows and sequences have classifiers too.
func TestOtherShapes(t *testing.T) {
	rows := &data.Dataset{Name: "rows", D: 2, Shape: []int{2}, Classes: 2}
	waves := &data.Dataset{Name: "waves", D: 16, Shape: []int{16, 1}, Classes: 2}
	for i := range 40 {
		c := i % 2
		rows.X = append(rows.X, float64(2*c-1)+0.01*float64(i), 0.3)
		for j := range 16 {
			waves.X = append(waves.X, math.Sin(float64(j*(1+2*c))*math.Pi/8+float64(i)))
		}
		rows.Labels, waves.Labels = append(rows.Labels, int32(c)), append(waves.Labels, int32(c))
	}
	for _, set := range []*data.Dataset{rows, waves} {
		m := trained(t, set, Options{Channels: []int{4, 8}, Features: 8, Steps: 120, Batch: 20, Rate: 1e-2})
		if s := score(t, m, set); s.Accuracy.Value < 0.95 { // one in twenty: the classes are far from each other, and 120 steps are few
			t.Errorf("%s: accuracy %v", set.Name, s.Accuracy)
		}
	}
}

// Wilson's interval: the q for which (p − q)² = z² q(1 − q)/n, as scipy.optimize.brentq finds them.
func TestProportion(t *testing.T) {
	p := NewProportion(97, 100)
	if math.Abs(p.Lo-0.9154806) > 1e-6 || math.Abs(p.Hi-0.9897455) > 1e-6 || math.Abs(p.StdErr-0.0170587) > 1e-6 { // the digits that are written here
		t.Errorf("%+v", p)
	}
	if p := NewProportion(20, 20); p.Hi != 1 || math.Abs(p.Lo-0.8388748) > 1e-7 /* the digits of the table */ || p.StdErr != 0 {
		t.Errorf("%+v", p)
	}
}

func TestSplit(t *testing.T) {
	set := bars(5, 20)
	rest, tests, err := Split(set, 4, 1)
	if err != nil || rest.N() != 16 || tests.N() != 4 || len(tests.Labels) != 4 || len(rest.Labels) != 16 {
		t.Fatalf("%d and %d, %v", rest.N(), tests.N(), err)
	}
	if _, _, err := Split(set, 20, 1); err == nil {
		t.Error("all samples held out")
	}
}

func TestErrors(t *testing.T) {
	set := bars(5, 20)
	unlabelled := *set
	unlabelled.Labels, unlabelled.Classes = nil, 0
	if _, err := Train(context.Background(), &unlabelled, Options{}, nil); err == nil || !strings.Contains(err.Error(), "no labels") {
		t.Errorf("no labels: %v", err)
	}
	m := trained(t, set, Options{Channels: []int{4}, Features: 4, Steps: 2, Batch: 4})
	unit := *set
	unit.Bytes, unit.X = nil, make([]float64, 20*25)
	unit.X[3] = 1
	bad := unit
	bad.X = append([]float64{}, unit.X...)
	bad.X[30] = math.NaN()
	for want, s := range map[string]*data.Dataset{"shape [6 6 1]": bars(6, 4), "sample 1 has the value NaN": &bad} {
		if _, err := m.Judge(context.Background(), s, 0, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if err := m.CheckUnits(&unit); err == nil || !strings.Contains(err.Error(), "from 0 to 1") {
		t.Errorf("units: %v", err)
	}
	floats := *m
	floats.Norm = data.Normalisation{Mean: []float64{0.2}, Scale: []float64{0.4}} // of values 0 … 1
	if err := floats.CheckUnits(set); err == nil || !strings.Contains(err.Error(), "more than 100 times") {
		t.Errorf("bytes for floats: %v", err)
	}
	unit.X[0] = 1e6 // one sample of 20 diverged
	if err := floats.CheckUnits(&unit); err != nil {
		t.Errorf("floats for floats: %v", err)
	}
	j, err := m.Judge(context.Background(), set, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.NewScore(j, []int32{5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err == nil || !strings.Contains(err.Error(), "label 5") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Train(ctx, set, Options{Steps: 3, Batch: 4}, nil); err == nil {
		t.Error("training after the end")
	}
}

// The first rows of a file of features are the same whatever order they are put in.
func TestFirstFeatures(t *testing.T) {
	x := make([]float64, 200)
	for i := range x {
		x[i] = float64(i / 2)
	}
	path := filepath.Join(t.TempDir(), "f.npz")
	if err := npz.Write(path, map[string]*npz.Array{"features": {Shape: []int{100, 2}, X: x}}); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]int{0: 100, 10: 10, 1000: 100} {
		f, err := ReadFeatures(path, n, 1)
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.IsSorted(f.X)
		slices.Sort(f.X)
		if len(f.X) != 2*want || sorted || !slices.Equal(f.X, x[:2*want]) {
			t.Errorf("of 100 rows, the first %d are %v; in the order of the file: %v", n, f.X, sorted)
		}
	}
}

// What is not a classifier's file is refused, with what is wrong.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.safetensors")
	m := trained(t, bars(5, 20), Options{Channels: []int{4}, Features: 4, Steps: 2, Batch: 4})
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*safetensors.File){
		"not a classifier":       func(f *safetensors.File) { f.Metadata = nil },
		"the description":        func(f *safetensors.File) { f.Metadata[metadataKey] = `{"confic":1}` },
		"no tensor":              func(f *safetensors.File) { f.Tensors = f.Tensors[1:] },
		"want [4 1 3 3]":         func(f *safetensors.File) { f.Tensors[0].Shape = []int{4, 9} },
		"number of classes is 0": func(f *safetensors.File) { f.Metadata[metadataKey] = `{"config":{"shape":[5,5,1]}}` },
		"conv_in.conv.weight":    func(f *safetensors.File) { f.Tensors[0].F32[2] = float32(math.Inf(1)) },
	} {
		f, err := safetensors.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		change(f)
		if _, err := read(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("a file of one byte")
	}
}
