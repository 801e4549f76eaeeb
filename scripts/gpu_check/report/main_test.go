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
		"machine.txt":   "a card\n",
		"tests.tsv":     "cuda\t0\t12\t/x/test-cuda.txt\n",
		"test-cuda.txt": "--- PASS: TestA (0.0s)\n    --- PASS: TestA/b (0.0s)\n--- SKIP: TestC (0.0s)\n",
		"bench.txt":     bench,
		"peers.jsonl":   `{"job": "sample", "how": "eager", "unit": "sample-steps/s", "rate": 1e7, "torch": "2.11"}` + "\njax_peer.py: No module named 'jax'\n",
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
		"a failed test": {"tests.tsv": "cuda\t1\t12\tx\n"},
		"a slow test":   {"tests.tsv": "cuda\t124\t12\tx\n"},
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
