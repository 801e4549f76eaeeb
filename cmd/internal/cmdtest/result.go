package cmdtest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
)

// Result runs a command on the CPU, and reads the JSON file that it writes. DIR in the arguments is a folder of its own. out is what the command
// prints, and err its error, which need not keep it from writing.
func Result[R any](t *testing.T, run func(context.Context, []string, ui.Streams) error, args string) (r R, dir string, out *bytes.Buffer, err error) {
	t.Helper()
	dir, out = t.TempDir(), new(bytes.Buffer)
	file := filepath.Join(dir, "r.json")
	err = run(context.Background(), append([]string{"--device", "cpu", "--out", file}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...), ui.Streams{Out: out, Err: new(bytes.Buffer)})
	b, unread := os.ReadFile(file)
	if unread == nil {
		unread = json.Unmarshal(b, &r)
	}
	if unread != nil {
		t.Fatalf("%s: %v; the command's error is %v", args, unread, err)
	}
	return r, dir, out, err
}

// Diverging is a copy of the checkpoint of a chain of four dense layers, with a weight that sends samples to infinity.
func Diverging(t *testing.T, chain string) string {
	t.Helper()
	m, err := checkpoint.Load(chain)
	if err != nil {
		t.Fatal(err)
	}
	m.Param("dense3.weight").Data[0] = 1e30
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}
