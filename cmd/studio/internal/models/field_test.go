package models_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/studio/internal/models"
	"hbar/nets"
	"hbar/solver"
	"hbar/train"
)

// A network of a schedule of matrices that is exact for a Gaussian has its density at the end of the schedule, and none elsewhere.
func TestDensityOfBlocks(t *testing.T) {
	const sigmaData = 0.5
	spec := nets.MLP{D: 1, Width: 8, Depth: 1, Act: "silu"}
	params := spec.ParamShapes()
	for i, p := range params { // all 0, and so is the network
		params[i].Data = make([]float32, p.Rows*p.Cols)
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "line")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &checkpoint.Model{Spec: spec, Params: params, Schedule: "cld", Prediction: "edm", SigmaData: sigmaData, Version: "test"}
	if err := m.Save(filepath.Join(at, train.ModelFile)); err != nil {
		t.Fatal(err)
	}
	open := get(t, cache(t, dir), "line")
	schedule, err := solver.ParseSchedule("cld")
	if err != nil {
		t.Fatal(err)
	}
	s := solver.BlocksOf(schedule)
	phi, sigma := s.Law(s.Tmin())
	variance := phi[0]*phi[0]*sigmaData*sigmaData + sigma[0]
	o := models.FieldOptions{Box: models.Box{X0: -1, X1: 1}, Size: 4, T: s.Tmin()}
	f, err := open.Density(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range floats(f.Float32) {
		x := -0.75 + 0.5*float64(i)
		want := math.Exp(-x*x/(2*variance)) / math.Sqrt(2*math.Pi*variance)
		if math.Abs(q-want) > 0.02*want { // the average over the other coordinates of a block is of a few draws
			t.Errorf("q(%g) = %g; want %g", x, q, want)
		}
	}
	for _, o := range []models.PointOptions{{X: []float64{0}, Draws: -1000, Probes: 1000}, {X: []float64{0}, Draws: 1, Probes: 65}} {
		if _, err := open.Likelihood(ctx, o, nil); err == nil || !strings.Contains(err.Error(), "want at most") {
			t.Errorf("%d draws and %d probes: error %v", o.Draws, o.Probes, err)
		}
	}
	o.T = (s.Tmin() + s.Tmax()) / 2
	if _, err := open.Density(ctx, o, nil); err == nil || !strings.Contains(err.Error(), "schedules of scalars") {
		t.Errorf("error %v at another time", err)
	}
}
