package likelihoodcmd

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/gputest"
)

func TestMain(m *testing.M) { gputest.Main(m, Main) }

// every value of a result: by method, point and h.
func values(r parsed) map[string][]*float64 {
	v := map[string][]*float64{}
	for _, p := range r.Points {
		v["log_q"] = append(v["log_q"], p.LogQ_...)
		v["pathintegral"] = append(v["pathintegral"], p.Path...)
		v["wkb1"] = append(v["wkb1"], p.WKB1)
		v["wkb2"] = append(v["wkb2"], p.WKB2)
	}
	return v
}

// The device's values are the CPU's, by every method, in either precision; the report says where they were computed.
func TestDeviceParity(t *testing.T) {
	gputest.NeedGPU(t)
	net := small(t)
	for _, c := range []struct {
		args string
		tol  map[string]float64
	}{
		// rounding: of float32 along a path of the flow (more than 96 points share steps), of float64, of float32 in the
		// logarithm of a mean of weights; what fokkerplanck asks of a device is the score, thousands of times
		{"--method flow --n 99 --tol 1e-4 --data swissroll", map[string]float64{"log_q": 1e-5}},
		{"--method flow --tol 1e-6 --precision fp64 --n 2 --data swissroll", map[string]float64{"log_q": 1e-12}},
		{"--method wkb --h 0.1 --n 1 --tol 1e-4 --data swissroll", map[string]float64{"log_q": 1e-5, "wkb1": 1e-5, "wkb2": 1e-5}},
		{"--method pathintegral --h 0.5 --paths 30 --min-ess 1 --steps 40 --n 3 --data swissroll", map[string]float64{"pathintegral": 1e-5}},
	} {
		want, _, _ := evaluate(t, "--checkpoint "+net+" "+c.args)
		got, _, out := evaluate(t, "--checkpoint "+net+" "+c.args+" --device cuda:0")
		w, g := values(want), values(got)
		for name, tol := range c.tol {
			worst, n := 0.0, 0
			for i := range w[name] {
				a, b := w[name][i], g[name][i]
				if (a == nil) != (b == nil) {
					t.Errorf("%s: %s %d is %v, on the CPU %v", c.args, name, i, show(b), show(a))
				}
				if a == nil || b == nil {
					continue
				}
				n++
				if d := math.Abs(*a - *b); !(d <= worst) {
					worst = d
				}
			}
			t.Logf("%s: %s differs by up to %.2g", c.args, name, worst)
			if n == 0 || !(worst <= tol) {
				t.Errorf("%s: %d values of %s, largest difference %g; want up to %g", c.args, n, name, worst, tol)
			}
		}
		precision := "fp32"
		if strings.Contains(c.args, "fp64") {
			precision = "fp64"
		}
		if !strings.Contains(out, "device    cuda:0 ") || !strings.Contains(out, "), "+precision+"\n") {
			t.Errorf("report lacks the device or the precision:\n%s", out)
		}
	}
}

// small is a network that is quick to emulate, trained on nothing.
func small(t *testing.T) string {
	t.Helper()
	return saved(t, 2, nil)
}

func TestDeviceMissing(t *testing.T) {
	gputest.Missing(t, "--checkpoint "+small(t)+" --data "+knownFile(t)+" --tol 1e-3 --out "+filepath.Join(t.TempDir(), "q.json"))
}

// A device without room for the network: an error with sizes, or under auto the CPU.
func TestDeviceMemory(t *testing.T) {
	gputest.NeedEmulator(t)
	args := "--checkpoint " + small(t) + " --data " + knownFile(t) + " --tol 1e-3 --out " + filepath.Join(t.TempDir(), "q.json")
	out, err := gputest.Command(t, args+" --device cuda", "HBAR_EMU_MEMORY=100")
	if err == nil || !strings.Contains(out, "CUDA_ERROR_OUT_OF_MEMORY: out of memory (") || !strings.Contains(out, " B asked for, 100 B of 100 B free") {
		t.Errorf("cuda: %v\n%s", err, out)
	}
	if out, err = gputest.Command(t, args, "HBAR_EMU_MEMORY=100"); err != nil || !strings.Contains(out, "device    cpu (cuMemAllocFromPoolAsync: CUDA_ERROR_OUT_OF_MEMORY") {
		t.Errorf("auto: %v\n%s", err, out)
	}
}

// The report says what auto means here.
func TestAutoDevice(t *testing.T) {
	_, _, out := evaluate(t, "--checkpoint "+small(t)+" --data "+knownFile(t)+" --tol 1e-3 --device auto")
	if !strings.Contains(out, gputest.AutoDevice()) {
		t.Errorf("report lacks %q:\n%s", gputest.AutoDevice(), out)
	}
}
