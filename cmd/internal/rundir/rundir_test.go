package rundir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCreateNumbers(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	for _, want := range []string{"roll", "roll-2", "roll-3"} {
		if next := Next(root, "roll"); filepath.Base(next) != want {
			t.Errorf("Next = %s, want %s", next, want)
		}
		got, err := Create(root, "roll")
		if err != nil || filepath.Base(got) != want {
			t.Errorf("Create = %s, %v; want %s", got, err, want)
		}
	}
}

func TestPrepareBelowFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(filepath.Join(file, "run")); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("Prepare below a file: %v", err)
	}
	dir := filepath.Join(filepath.Dir(file), "a", "b")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("Prepare left %v", left)
	}
}

func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "options.json")
	type options struct {
		Steps int     `json:"steps"`
		LR    float64 `json:"lr"`
	}
	in := options{80000, 1e-3}
	if err := WriteJSON(path, in); err != nil {
		t.Fatal(err)
	}
	var out options
	if err := ReadJSON(path, &out); err != nil || out != in {
		t.Errorf("read %+v, %v; want %+v", out, err, in)
	}
	var other struct{ Steps int }
	if err := ReadJSON(path, &other); err == nil || !strings.Contains(err.Error(), "lr") {
		t.Errorf("unknown field: %v", err)
	}
}

// A directory has one user at a time; the second is told the first one's process. What a killed process left goes.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".state.safetensors.tmp-12-3"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s is in use by process %d;", dir, os.Getpid())
	if _, err := Acquire(dir); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a second user: %v; want %q", err, want)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(filepath.Join(dir, lockFile)); err != nil || len(left) > 0 {
		t.Errorf("the lock of nobody says %q, %v", left, err)
	}
	b, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left: %v; want the lock alone", files)
	}
	b.Discard()
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left after Discard: %v", files)
	}
}
