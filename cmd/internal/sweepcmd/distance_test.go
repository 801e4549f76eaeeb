package sweepcmd

import (
	"bytes"
	"math"
	"path/filepath"
	"testing"

	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/loglik"
	"hbar/data"
)

// Distances compare with points of the whole of a file, whose rows may be sorted.
func TestSortedFile(t *testing.T) {
	const rows = 1000
	x := make([]float64, 2*rows)
	for i := range rows {
		x[2*i] = float64(i)
	}
	path := filepath.Join(t.TempDir(), "x.npy")
	if err := data.WriteNpy(path, data.Float64, x, 2); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"--device", "cpu", "--checkpoint", swissRoll, "--data", path, "--n", "25", "--repeats", "4"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	net, err := loglik.LoadConditional(o.Flags, o.class, true)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	parts, p, err := batches(net, o, false)
	if err != nil {
		t.Fatal(err)
	}
	sum, seen := 0.0, map[float64]bool{}
	for _, part := range parts {
		for i := 0; i < len(part); i += 2 {
			sum += part[i]
			seen[part[i]] = true
		}
	}
	// the mean of 100 of them has a standard deviation of 27
	if mean := sum / 100; len(parts) != 4 || len(seen) != 100 || p.N() != 100 || math.Abs(mean-rows/2) > 4*27 {
		t.Errorf("%d different points of %d in %d batches, of mean row %g", len(seen), p.N(), len(parts), mean)
	}
}

// Samples of one class are compared with points of that class, by W2 and by likelihoods too, and samples of all classes have them by the
// shares of the data.
func TestPointsOfClass(t *testing.T) {
	model, _ := cmdtest.Digits(t)
	for _, c := range []struct {
		class string
		want  int // classes among the points
	}{{"3", 1}, {"all", 10}} {
		o, err := parse([]string{"--device", "cpu", "--checkpoint", model, "--metric", "w2", "--n", "40", "--repeats", "4"}, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		net, err := loglik.LoadConditional(o.Flags, o.class, true)
		if err != nil {
			t.Fatal(err)
		}
		defer net.Close()
		o.class = c.class // the network has none, but the data have
		_, p, err := batches(net, o, false)
		if err != nil {
			t.Fatal(err)
		}
		likely, err := o.nllPoints(net)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*loglik.Points{p, likely} {
			seen := map[int32]bool{}
			for _, l := range p.Labels {
				seen[l] = true
			}
			if len(seen) != c.want || c.want == 1 && !seen[3] {
				t.Errorf("--class %s: points of %d classes", c.class, len(seen))
			}
		}
	}
}
