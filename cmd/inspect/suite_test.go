package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
)

// The networks of package checkpoint's tests: see its testdata/README.md.
const (
	goldenDir = "../../checkpoint/testdata/golden/"
	swissRoll = "../../checkpoint/testdata/sr_simple.safetensors"
)

// call runs the command; DIR in args is dir.
func call(dir, args string) (stdout, stderr string, err error) {
	var out, diag bytes.Buffer
	err = run(context.Background(), strings.Fields(strings.ReplaceAll(args, "DIR", dir)), ui.Streams{Out: &out, Err: &diag})
	return out.String(), diag.String(), err
}

// must runs the command and returns what it prints.
func must(t *testing.T, dir, args string) string {
	t.Helper()
	out, diag, err := call(dir, args)
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, diag)
	}
	return out
}

// write makes DIR/name of arrays.
func write(t *testing.T, dir, name string, arrays map[string]*npz.Array) {
	t.Helper()
	if err := npz.Write(filepath.Join(dir, name), arrays); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) map[string]*npz.Array {
	t.Helper()
	arrays, err := npz.Read(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return arrays
}

// readJSON reads DIR/name.
func readJSON(t *testing.T, dir, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reference values of a network by PyTorch in float64, channels first: the inputs, and the results under the names that the
// command has.
func golden(t *testing.T, network string) (in, want map[string]*npz.Array) {
	t.Helper()
	f, err := safetensors.ReadFile(goldenDir + network + "/ref.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]string{"out": "out", "jvp.x": "jvp", "vjp.x": "vjp", "probe.quad": "quad", "probe.grad": "quad_grad"}
	in, want = map[string]*npz.Array{}, map[string]*npz.Array{}
	for _, r := range f.Tensors {
		a := &npz.Array{Shape: r.Shape, X: r.F64}
		if name := results[r.Name]; name != "" {
			want[name] = a
		} else {
			in[r.Name] = a
		}
	}
	c := in["x"].Shape[1]
	if want["out"].Shape[1] == c {
		return in, want
	}
	// A network with a variance: the first half of the channels counts, and PyTorch's co-vector is one of both halves.
	delete(in, "v")
	delete(want, "vjp")
	for _, name := range []string{"out", "jvp"} {
		want[name] = firstHalf(want[name])
	}
	return in, want
}

// firstHalf keeps the first half of the channels, which come first.
func firstHalf(a *npz.Array) *npz.Array {
	half := &npz.Array{Shape: append([]int(nil), a.Shape...)}
	half.Shape[1] /= 2
	each := len(a.X) / a.Shape[0]
	for i := range a.Shape[0] {
		half.X = append(half.X, a.X[i*each:i*each+each/2]...)
	}
	return half
}

// channelsLastOf moves the channels behind all other dimensions of a sample.
func channelsLastOf(a *npz.Array) *npz.Array {
	if len(a.Shape) < 3 {
		return a
	}
	n, c := a.Shape[0], a.Shape[1]
	p := len(a.X) / (n * c)
	out := &npz.Array{Shape: append(append([]int{n}, a.Shape[2:]...), c), X: make([]float64, len(a.X))}
	for i := range n {
		for j := range c {
			for k := range p {
				out.X[(i*p+k)*c+j] = a.X[(i*c+j)*p+k]
			}
		}
	}
	return out
}
