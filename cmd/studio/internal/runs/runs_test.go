package runs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hbar/cmd/studio/internal/fixture"
	"hbar/cmd/studio/internal/runs"
	"hbar/internal/alive"
)

var ctx = context.Background()

func store(t *testing.T, dir string) *runs.Store {
	t.Helper()
	s, err := runs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	fixture.Log(t, mkdir(t, dir, "a"), 1, 7)
	fixture.Options(t, filepath.Join(dir, "a"), "/secret/place/points.npy", "mlp", 100)
	host, _ := os.Hostname()
	write(t, filepath.Join(dir, "a", ".lock"), fmt.Sprintf("%d %s\n", os.Getpid(), host))
	if self := alive.Self(); self != "" { // the number of this process, which another one had before
		write(t, filepath.Join(dir, "deep", "b", ".lock"), fmt.Sprintf("%d %s\n%s0\n", os.Getpid(), host, self))
	}
	write(t, filepath.Join(dir, "deep", "b", "model.safetensors"), "x")
	write(t, filepath.Join(dir, "deep", "b", "state.safetensors"), "x")
	write(t, filepath.Join(dir, "deep", "b", "sweep.json"), fixture.Sweep)
	write(t, filepath.Join(dir, "deep", "b", "other.json"), "{}")
	write(t, filepath.Join(dir, "nothing", "x.txt"), "x")
	for _, step := range []int{1000, 200} {
		write(t, filepath.Join(dir, "a", fmt.Sprintf("samples-%d.png", step)), "x")
	}
	write(t, filepath.Join(dir, "bad", "options.json"), "{")

	list, err := store(t, dir).List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	if want := []string{"a", "bad", "deep/b"}; !slices.Equal(names, want) {
		t.Fatalf("runs %v; want %v", names, want)
	}
	a, bad, b := list[0], list[1], list[2]
	if !a.Log || a.Step != 7 || a.Steps != 100 || a.Data != "points.npy" || !a.Running || !slices.Equal(a.Pictures, []string{"samples-200.png", "samples-1000.png"}) {
		t.Errorf("a is %+v", a)
	}
	if !slices.Equal(b.Checkpoints, []string{"model.safetensors"}) || !slices.Equal(b.Sweeps, []string{"sweep.json"}) || b.Running || b.Log {
		t.Errorf("deep/b is %+v", b)
	}
	if !strings.Contains(bad.Error, "options.json") {
		t.Errorf("bad is %+v; want an error about options.json", bad)
	}
}

func mkdir(t *testing.T, parts ...string) string {
	t.Helper()
	at := filepath.Join(parts...)
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	return at
}

// Nothing outside the store is read, by whatever name.
func TestOutside(t *testing.T) {
	outer := t.TempDir()
	write(t, filepath.Join(outer, "secret", "train.jsonl"), fixture.Line(1))
	write(t, filepath.Join(outer, "secret", "x.png"), "secret")
	dir := mkdir(t, outer, "runs")
	fixture.Log(t, mkdir(t, dir, "a"), 1, 2)
	if runtime.GOOS != "windows" {
		for link, to := range map[string]string{"out": "../secret", "a/file.png": "../../secret/x.png", "absolute": filepath.Join(outer, "secret"), "in": "a"} {
			if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(link))); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := store(t, dir)
	for _, name := range []string{"../secret/x.png", "a/../../secret/x.png", "/etc/passwd", "out/x.png", "a/file.png", "absolute/x.png", "", "a//train.jsonl", "./a/train.jsonl",
		"a\\..\\..\\secret\\x.png", "a/\x00", filepath.Join(outer, "secret", "x.png"), ".."} {
		if f, _, err := s.OpenFile(name); err == nil {
			f.Close()
			t.Errorf("%q was opened", name)
		} else if strings.Contains(err.Error(), outer) && !strings.Contains(name, outer) {
			t.Errorf("%q: the error tells the machine's paths: %v", name, err)
		}
	}
	for _, run := range []string{"../secret", "out", "absolute"} {
		if _, err := s.Log(ctx, run); err == nil {
			t.Errorf("the log of %q was read", run)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	if _, err := s.Log(ctx, "in"); err != nil {
		t.Errorf("a link within the store: %v", err)
	}
	list, err := s.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Name != "a" && r.Error == "" {
			t.Errorf("%+v is listed without an error", r)
		}
	}
}

func TestLogGrows(t *testing.T) {
	dir := t.TempDir()
	at := mkdir(t, dir, "a")
	s := store(t, dir)
	if _, err := s.Log(ctx, "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a log: %v", err)
	}
	fixture.Log(t, at, 1, 10)
	rows := func(want int) runs.LogInfo {
		t.Helper()
		i, err := s.Log(ctx, "a")
		if err != nil || i.Rows != want {
			t.Fatalf("%d rows, %v; want %d", i.Rows, err, want)
		}
		return i
	}
	first := rows(10)
	if first.Step != 10 || first.Last["loss"] != 2.0 || !slices.Equal(first.Columns, []string{"loss", "lr", "grad_norm", "per_second", "seconds"}) {
		t.Errorf("log %+v", first)
	}
	// A line that is not whole is left until it is.
	path := filepath.Join(at, "train.jsonl")
	line := fixture.Line(11)
	appendText(t, path, line[:20])
	rows(10)
	appendText(t, path, line[20:])
	if i := rows(11); i.Epoch != first.Epoch {
		t.Error("the log that grew counts as another")
	}
	// Numbers that JSON lacks, columns that come later, lines that are none.
	appendText(t, path, `{"step":12,"loss":"NaN","images_per_s":3}`+"\n{broken\n"+`{"loss":1}`+"\n")
	i := rows(12)
	if i.Bad != 2 || i.Last["loss"] != nil || i.Last["images_per_s"] != 3.0 {
		t.Errorf("log %+v", i)
	}
	v, err := s.Views(ctx, "a", []string{"images_per_s", "loss", "absent"}, 1, 0, 100)
	if err != nil || len(v) != 2 || v[0].Value[0] != nil || *v[0].Value[11] != 3 || v[1].Value[11] != nil {
		t.Errorf("views %+v, %v", v, err)
	}
	// A resumed run replaces the file by a shorter one.
	write(t, filepath.Join(at, "new"), fixture.Line(1)+fixture.Line(2))
	if err := os.Rename(filepath.Join(at, "new"), path); err != nil {
		t.Fatal(err)
	}
	if i := rows(2); i.Epoch == first.Epoch {
		t.Error("a log that was replaced counts as the same")
	}
	// And a run is deleted.
	if err := os.RemoveAll(at); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Log(ctx, "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("deleted: %v", err)
	}
}

func appendText(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// A line that is too long, and a file without an end of line, cost no memory and no progress.
func TestLogLongLine(t *testing.T) {
	dir := t.TempDir()
	at := mkdir(t, dir, "a")
	write(t, filepath.Join(at, "train.jsonl"), fixture.Line(1)+strings.Repeat("x", 5<<20))
	s := store(t, dir)
	for range 2 {
		if i, err := s.Log(ctx, "a"); err != nil || i.Rows != 1 || i.Epoch != 0 {
			t.Fatalf("%+v, %v", i, err)
		}
	}
	appendText(t, filepath.Join(at, "train.jsonl"), "\n"+fixture.Line(2))
	if i, err := s.Log(ctx, "a"); err != nil || i.Rows != 2 || i.Bad != 1 {
		t.Errorf("%+v, %v", i, err)
	}
}

// Any line that training can write reads as encoding/json reads it.
func FuzzScan(f *testing.F) {
	f.Add(`{"step":1,"loss":2.5,"lr":1e-3}`)
	f.Add(`{"step":3,"loss":"NaN","x":"+Inf","y":-1E+5}`)
	f.Add(`{"step":3,"loss":{"a":1,"step":2}}`)
	f.Add(`{"step" : 4 , "a" : "b" }`)
	f.Add(`{}`)
	f.Add(`{"step":1,"step":2,}`)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n") {
			return
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "train.jsonl"), line+"\n")
		i, err := store(t, dir).Log(ctx, ".")
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]float64
		if json.Unmarshal([]byte(line), &want) != nil || i.Rows == 0 || strings.Contains(line, `\`) {
			return
		}
		for name, v := range i.Last {
			if got, ok := v.(float64); ok && want[name] != got && strings.Count(line, `"`+name+`"`) == 1 {
				t.Errorf("%s: %s is %v; want %v", line, name, got, want[name])
			}
		}
	})
}

// A thinned line covers the same pixels: of each interval the least and the largest value are there.
func TestViewKeepsExtremes(t *testing.T) {
	dir := t.TempDir()
	at := mkdir(t, dir, "a")
	var b strings.Builder
	const n = 200_000
	value := func(i int) float64 { return math.Sin(float64(i)*0.01) + math.Sin(float64(i*i%7919)) }
	for i := 1; i <= n; i++ {
		v := value(i)
		if i == 77_777 {
			v = 100
		}
		fmt.Fprintf(&b, "{\"step\":%d,\"loss\":%g}\n", i, v)
	}
	write(t, filepath.Join(at, "train.jsonl"), b.String())
	s := store(t, dir)
	const points = 300
	views, err := s.Views(ctx, "a", []string{"loss"}, 1, 0, points)
	if err != nil {
		t.Fatal(err)
	}
	v := views[0]
	if !v.Thin || v.Rows != n || len(v.Step) > 4*points || len(v.Step) < points {
		t.Fatalf("%d values of %d rows, thinned %v", len(v.Step), v.Rows, v.Thin)
	}
	if !slices.IsSorted(v.Step) || v.Step[0] != 1 || v.Step[len(v.Step)-1] != n {
		t.Error("the steps are not in order from first to last")
	}
	// Every interval's extremes.
	width := float64(n-1) / points
	k := 0
	for i := range points {
		lo, hi := math.Inf(1), math.Inf(-1)
		for ; k < len(v.Step) && (v.Step[k] < 1+width*float64(i+1) || i == points-1); k++ {
			lo, hi = min(lo, *v.Value[k]), max(hi, *v.Value[k])
		}
		for row := int(1 + width*float64(i)); row < int(1+width*float64(i+1)); row++ {
			x := value(row)
			if float64(row) >= 1+width*float64(i) && (x < lo && row != 77_777 || x > hi) {
				t.Fatalf("interval %d: row %d has %g, beyond %g … %g", i, row, x, lo, hi)
			}
		}
	}
	if !slices.ContainsFunc(v.Value, func(p *float64) bool { return p != nil && *p == 100 }) {
		t.Error("the outlier is lost")
	}
	if k := len(v.Mean) / 2; len(v.Mean) != 60 || !(math.Abs(v.Mean[k]) < 0.2) || !(math.Abs(v.MeanStep[k]-n/2) < n/60) { // the mean of a sixtieth of the lines' noise; a sixtieth of the steps
		t.Errorf("%d means, that in the middle %g at %g", len(v.Mean), v.Mean[len(v.Mean)/2], v.MeanStep[len(v.Mean)/2])
	}
	// A part is thinned by itself, and a small part is whole.
	views, err = s.Views(ctx, "a", []string{"loss"}, 1000, 1099, points)
	if err != nil || views[0].Thin || len(views[0].Step) != 100 || views[0].Step[0] != 1000 {
		t.Errorf("steps 1000 to 1099: %+v, %v", views[0].Step, err)
	}
	views, err = s.Views(ctx, "a", []string{"loss"}, n+1, n+5, points)
	if err != nil || len(views[0].Step) != 0 {
		t.Errorf("beyond the end: %v, %v", views[0].Step, err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sweep.json"), fixture.Sweep)
	s := store(t, dir)
	got, err := s.Sweep("sweep.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Curves) != 4 || got.Text != "no significant difference" || got.Floor == nil || *got.Floor != 0.04 || got.Checkpoint != "model.safetensors" {
		t.Fatalf("%+v", got)
	}
	w2 := got.Curves[0]
	if w2.Quantity != "w2" || w2.Name != "50 steps" || !slices.Equal(w2.H, []float64{0, 0.5}) || !slices.Equal(w2.StdErr, []float64{0.017, 0.014}) {
		t.Errorf("W₂ %+v", w2)
	}
	grid := got.Curves[3]
	if grid.Quantity != "nll" || grid.Value[0] != 5.3 || *grid.Change[0] != -0.1 || *grid.ChangeErr[0] != 0.01 {
		t.Errorf("NLL %+v", grid)
	}
	write(t, filepath.Join(dir, "other.json"), `{"options": {}}`)
	if _, err := s.Sweep("other.json"); err == nil || !strings.Contains(err.Error(), "no result of cmd/sweep") {
		t.Errorf("another file: %v", err)
	}
}

// The folder of runs may go and come back.
func TestFolderGone(t *testing.T) {
	dir := mkdir(t, t.TempDir(), "runs")
	fixture.Log(t, mkdir(t, dir, "a"), 1, 2)
	s := store(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(ctx); err == nil || strings.Contains(err.Error(), filepath.Dir(dir)) {
		t.Errorf("gone: %v", err)
	}
	fixture.Log(t, mkdir(t, dir, "b"), 1, 2)
	if list, err := s.List(ctx); err != nil || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("back: %v, %v", list, err)
	}
}
