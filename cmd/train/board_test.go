package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hbar/internal/tfevents/eventstest"
)

// root is the module's folder: tests begin in that of their package.
var root, _ = filepath.Abs("../..")

// figures are the lines of a run's log, by the keys of the log.
func figures(t *testing.T, at string) (lines []map[string]float64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(at, logFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		m := map[string]float64{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, m)
	}
	return lines
}

// sameAsCSV compares the table with the log.
func sameAsCSV(t *testing.T, at string, lines []map[string]float64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(at, csvFile))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) != len(lines)+1 {
		t.Fatalf("%d rows, want a header and %d; %v", len(rows), len(lines), err)
	}
	for i, line := range lines {
		if len(line) != len(rows[0]) {
			t.Errorf("columns %v of a log with %v", rows[0], line)
		}
		for j, name := range rows[0] {
			if v, err := strconv.ParseFloat(rows[i+1][j], 64); err != nil || v != line[name] {
				t.Errorf("row %d: %s is %q, in the log %v", i, name, rows[i+1][j], line[name])
			}
		}
	}
}

// sameAsEvents compares the event files with the log, and returns the steps of pictures by their names.
func sameAsEvents(t *testing.T, at string, lines []map[string]float64) map[string][]int64 {
	t.Helper()
	keys := map[string]string{tagLoss: "loss", tagLR: "lr", tagGradNorm: "grad_norm", "train/images_per_s": "images_per_s", "train/share_of_peak": "share_of_peak"}
	byTag := map[string][]eventstest.Point{}
	points, _ := eventstest.Read(t, at)
	for _, p := range points {
		byTag[p.Tag] = append(byTag[p.Tag], p)
	}
	for tag, key := range keys {
		var want []eventstest.Point
		for _, l := range lines {
			want = append(want, eventstest.Point{Step: int64(l["step"]), Tag: tag, Value: float64(float32(l[key]))})
		}
		if !slices.Equal(byTag[tag], want) {
			t.Errorf("%s: %v, in the log %v", tag, byTag[tag], want)
		}
		delete(byTag, tag)
	}
	steps := map[string][]int64{}
	for tag, points := range byTag {
		for _, p := range points {
			steps[tag] = append(steps[tag], p.Step)
		}
	}
	return steps
}

// The event files and the table hold the figures of the log, also of a run that was resumed twice, from a checkpoint before its last
// report and after its end; no step is there twice.
func TestTensorBoardAndCSV(t *testing.T) {
	args := strings.Fields("--tensorboard --device cpu --preset icons --decay none --range 0,255 --channels 8,8 --attention 4 --workers 1 --steps 6 --batch 4 --save-every 2 --log-every 1 --out run --data " + colours(t))
	dir, out, err := call(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := filepath.Join(dir, "run")
	check := func(last int) {
		t.Helper()
		lines := figures(t, at)
		if len(lines) != last || lines[last-1]["step"] != float64(last) {
			t.Fatalf("log %v, want %d steps", lines, last)
		}
		sameAsCSV(t, at, lines)
		pictures := sameAsEvents(t, at, lines)
		if !slices.Equal(pictures[tagGrid], []int64{2}) || !slices.Contains(pictures[tagCompare], 6) || len(pictures) != 2 {
			t.Errorf("pictures of steps %v, want a grid of 2 and a comparison of 6", pictures)
		}
	}
	check(6)
	for _, steps := range []int{6, 9} {
		if _, out, err = call(t, "--resume", "--out", at, "--steps", fmt.Sprint(steps), "--save-every", "100"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		check(steps)
	}
	python(t, at)

	if _, out, err = call(t, append(args[1:len(args):len(args)], "--out", at, "--overwrite")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if points, _ := eventstest.Read(t, at); len(points) != 0 {
		t.Errorf("a run that was replaced has left %v", points)
	}
}

// python has the script of another language read the event files.
func python(t *testing.T, at string) {
	t.Helper()
	const interpreter = "/usr/bin/python3" // Debian's, which has its packages
	t.Run("python", func(t *testing.T) {
		if err := exec.Command(interpreter, "-c", "import google.protobuf").Run(); err != nil {
			t.Skipf("scripts/check_events.py was not run: %s with google.protobuf is missing (Debian: python3-protobuf): %v", interpreter, err)
		}
		if out, err := exec.Command(interpreter, filepath.Join(root, "scripts", "check_events.py"), at).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
