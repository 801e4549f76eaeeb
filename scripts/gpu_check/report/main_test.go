package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const bench = `goos: linux
BenchmarkSampler/fp32/D=2/width=128/silu/n=1000000/steps=1000-16   1   2000000000 ns/op   60 %of-bound   4e+08 sample-steps/s
BenchmarkSampler/fp32/D=2/width=128/silu/n=1000000/steps=1000-16   1   1000000000 ns/op   70 %of-bound   5e+08 sample-steps/s
BenchmarkSampler/fp32/D=2/width=128/silu/n=1000000/steps=1000-16   1   1200000000 ns/op   62 %of-bound   6e+08 sample-steps/s
PASS
`

func TestReport(t *testing.T) {
	files := map[string]string{
		"machine.txt":      "a card\n",
		"tests-parity.tsv": "cuda\t0\t12\t/x/test-cuda.txt\n",
		"test-cuda.txt":    "--- PASS: TestA (0.0s)\n    --- PASS: TestA/b (0.0s)\n--- SKIP: TestC (0.0s)\n",
		"bench.txt":        bench,
		"peers.jsonl":      `{"job": "sample", "how": "eager", "unit": "sample-steps/s", "rate": 1e7, "torch": "2.11"}` + "\njax_peer.py: No module named 'jax'\n",
	}
	var out strings.Builder
	ok, err := report(&out, write(t, files))
	if err != nil || !ok {
		t.Fatalf("%t, %v\n%s", ok, err, out.String())
	}
	for _, want := range []string{"a card", "PASS          2        1        12", "1.2 s    83.3%", "62.0% of bound 5e+08 sample-steps/s", "PyTorch 2.11, eager", "50.00", "No module named 'jax'"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for name, change := range map[string]map[string]string{
		"a failed test": {"tests-parity.tsv": "cuda\t1\t12\tx\n"},
		"a slow test":   {"tests-parity.tsv": "cuda\t124\t12\tx\n"},
		"no device":     {"nodevice.txt": ""},
	} {
		broken := map[string]string{}
		for k, v := range files {
			broken[k] = v
		}
		for k, v := range change {
			broken[k] = v
		}
		if ok, err := report(&strings.Builder{}, write(t, broken)); ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
	if _, err := report(&strings.Builder{}, t.TempDir()); err == nil {
		t.Error("an empty directory is a report")
	}
}

// Goals are met, missed or not measured, and a peer counts whose result is accurate enough.
func TestGoals(t *testing.T) {
	files := map[string]string{
		"machine.txt":      "a card\n",
		"tests-parity.tsv": "cuda\t0\t12\tx\n",
		"bench.txt": bench + `BenchmarkSampler/fp32/D=2/width=128/silu/n=10000/steps=1000-16  1  1000 ns/op  3.5e+08 sample-steps/s
BenchmarkSampler/f16/D=2/width=128/silu/n=1000000/steps=1000-16  1  1000 ns/op  7.1e+09 sample-steps/s
BenchmarkLikelihood/flow-16  1  1000 ns/op  3e+06 points/s
BenchmarkNetworks/sample/dit-s2/bf16/n=256-16  1  1000 ns/op  9000 samples/s  300 TFLOP/s
`,
		"peers.jsonl": `{"job": "flow", "how": "own steps", "rate": 1e6, "jax": "0.11", "error": 2e-5, "enough": 3e-5, "our_error": 1e-6}
{"job": "flow", "how": "joint steps, less accurate", "rate": 9e6, "jax": "0.11", "error": 4e-5, "enough": 3e-5, "our_error": 1e-6}
{"job": "sample/dit-s2/bf16", "how": "eager", "rate": 1000, "torch": "2.11"}
{"job": "sample/dit-s2/bf16", "how": "compiled", "rate": 10000, "torch": "2.11"}
`}
	var out strings.Builder
	if ok, err := report(&out, write(t, files)); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for goal, want := range map[string][]string{
		"sampling, f16 ": {"7e+09", "7.1e+09", "met"}, "sampling, fp32 by pairs": {"2.5e+09", "5e+08", "missed"},
		"sampling of 10⁴, fp32": {"0.6", "0.7", "met"}, "sampling of 10⁴, f16": {"–", "not measured"},
		"flow, to JAX": {" 2 ", " 3 ", "met"}, "sample/dit-s2/bf16, to": {" 0.9 ", "missed"}, "sample/dit-s2/bf16, products": {"0.45", "0.303", "missed"},
		"score and divergence": {"not measured"},
	} {
		found := false
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, goal) {
				continue
			}
			found = true
			for _, w := range want {
				if !strings.Contains(line, w) {
					t.Errorf("no %q in %q", w, line)
				}
			}
		}
		if !found {
			t.Errorf("no goal %q in\n%s", goal, out.String())
		}
	}
	if !strings.Contains(out.String(), "error of the result 2e-05, of ours 1e-06") {
		t.Errorf("no errors in\n%s", out.String())
	}
}
