package checkpoint

import "testing"

// sr_simple.safetensors is the swiss-roll network of testdata/README.md, trained and saved by PyTorch.
func TestLoadPyTorch(t *testing.T) {
	m, err := Load("testdata/sr_simple.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if m.Spec.D != 2 || m.Spec.Width != 128 || m.Spec.Depth != 3 || m.Spec.Act != "silu" || m.Spec.Fourier != 0 || m.Spec.Residual {
		t.Errorf("spec %+v", m.Spec)
	}
	if m.Schedule != "simple" || m.Prediction != "score" || m.Data != "sr" || !m.Norm.IsIdentity() || m.ScheduleParams != nil {
		t.Errorf("schedule %q, prediction %q, data %q, norm %v, params %v", m.Schedule, m.Prediction, m.Data, m.Norm, m.ScheduleParams)
	}
	if len(m.Params) != 8 || m.Params[7].Name != "dense3.bias" {
		t.Fatalf("%d tensors", len(m.Params))
	}
	// Read with Python's struct module.
	for _, c := range []struct {
		name string
		i    int
		want float32
	}{
		{"dense0.weight", 0, -0.1400221586227417},
		{"dense0.weight", 383, 0.7066339254379272},
		{"dense2.weight", 5*128 + 7, -0.0028163969982415438},
		{"dense3.bias", 1, -0.046329304575920105},
	} {
		if got := m.Param(c.name).Data[c.i]; got != c.want {
			t.Errorf("%s[%d] = %v, want %v", c.name, c.i, got, c.want)
		}
	}
}
