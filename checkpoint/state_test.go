package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/nets"
)

func state() *State {
	spec := nets.MLP{D: 2, Width: 3, Depth: 1, Act: "silu"}
	s := &State{
		Step: 17, Seed: math.MaxUint64, Sample: 1 << 60, Options: "sha256:abc",
		Extra:  json.RawMessage(`{"best":1.5}`),
		Params: spec.ParamShapes(), M: spec.ParamShapes(), V: spec.ParamShapes(), EMA: spec.ParamShapes(),
		Stats: map[string][]float64{"loss": {1.0 / 3, 0x1p-1074}, "empty": {}},
	}
	fill(s.Params, 1.0/3)
	fill(s.M, -0x1p-140)
	fill(s.V, 1e30)
	fill(s.EMA, 3)
	return s
}

// Every bit comes back: a resumed run continues exactly.
func TestStateRoundTrip(t *testing.T) {
	for _, want := range []*State{state(), {Step: 1}} {
		path := filepath.Join(t.TempDir(), "state.safetensors")
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := LoadState(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		if err := got.Save(path); err != nil {
			t.Fatal(err)
		}
		if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
			t.Error("saving what was loaded gives other bytes")
		}
	}
}

func TestStateErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.safetensors")
	s := state()
	s.V[1].Data[2] = float32(math.Inf(1))
	if err := s.Save(path); err == nil || !strings.Contains(err.Error(), `"v/dense0.bias" holds +Inf at index [2]`) {
		t.Errorf("saving Inf: %v", err)
	}
	s = state()
	s.Extra = json.RawMessage("x")
	if err := s.Save(path); err == nil || !strings.Contains(err.Error(), "not JSON") {
		t.Errorf("bad extra: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file is there after the errors")
	}
	if err := model(nets.MLP{D: 2, Width: 5, Depth: 2, Act: "silu"}).Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadState(path); err == nil || !strings.Contains(err.Error(), `format is "hbar", want "hbar-state"`) {
		t.Errorf("loading a model: %v", err)
	}
	good := func() map[string]string {
		return map[string]string{"format": "hbar-state", "step": "1", "seed": "2", "sample": "3"}
	}
	one := func(name string) safetensors.Tensor {
		return safetensors.Tensor{Name: name, Shape: []int{1}, F32: []float32{1}}
	}
	for _, c := range []struct {
		spoil func(f *safetensors.File)
		want  string
	}{
		{func(f *safetensors.File) { f.Metadata["step"] = "-1" }, `metadata step: "-1" is not a number`},
		{func(f *safetensors.File) { delete(f.Metadata, "sample") }, `metadata sample: "" is not a number`},
		{func(f *safetensors.File) { f.Metadata["extra"] = "{" }, "metadata extra"},
		{func(f *safetensors.File) { f.Tensors = append(f.Tensors, one("w/x")) }, `"w/x" is no part`},
		{func(f *safetensors.File) { f.Tensors = append(f.Tensors, one("stats/x")) }, "want a list of F64"},
		{func(f *safetensors.File) { f.Tensors[0].F32[0] = float32(math.NaN()) }, "holds NaN"},
		{func(f *safetensors.File) { f.Tensors[0].Shape = []int{1, 1, 1} }, "want one or two dimensions"},
	} {
		f := &safetensors.File{Metadata: good(), Tensors: []safetensors.Tensor{one("m/x.bias")}}
		if _, err := stateFromFile(f); err != nil {
			t.Fatal(err)
		}
		c.spoil(f)
		if _, err := stateFromFile(f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
}

func FuzzState(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state.safetensors")
	if err := state().Save(path); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readState(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if err := s.Save(filepath.Join(t.TempDir(), "state.safetensors")); err != nil {
			t.Fatalf("cannot save what was loaded: %v", err)
		}
	})
}

// readState is LoadState for a file of size bytes that is already open.
func readState(r io.Reader, size int64) (*State, error) {
	f, err := safetensors.Read(r, size)
	if err == nil {
		var s *State
		if s, err = stateFromFile(f); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("checkpoint: %w", err)
}
