package samplecmd

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
	"hbar/data"
)

// Several strengths, numbers of steps and samplers: every combination has its own file, with the bytes of a run of its own, and a
// row on the sheet.
func TestSeveral(t *testing.T) {
	path := imageModel(t, []int{4, 4, 1}, data.BytesNormalisation())
	base := "--checkpoint " + path + " --n 7 --seed 4 --grid lambda "
	for _, c := range []struct {
		args string
		runs map[string]string // by the ending of the file's name
	}{
		{"--h 0,0.3,1 --steps 5 --out DIR/x.npz", map[string]string{"x-h0.npz": "--h 0 --steps 5", "x-h0.3.npz": "--h 0.3 --steps 5", "x-h1.npz": "--steps 5"}},
		{"--steps 4,6 --sampler em,exp2 --out DIR/x.npy", map[string]string{
			"x-steps4-em.npy": "--steps 4", "x-steps4-exp2.npy": "--steps 4 --sampler exp2", "x-steps6-em.npy": "--steps 6", "x-steps6-exp2.npy": "--steps 6 --sampler exp2"}},
		{"--h 0.3;0.3@-1,0.3@2;0@-3,1@3 --steps 5 --out DIR/x.npy", map[string]string{
			"x-h0.3.npy": "--h 0.3 --steps 5", "x-h0.3@-1_0.3@2.npy": "--h 0.3 --steps 5", "x-h0@-3_1@3.npy": "--h 0@-3,1@3 --steps 5"}},
		{"--h 0,1 --steps 5 --trajectory 0.5 --out DIR/x.npy", map[string]string{"x-h0.npy": "--h 0 --steps 5 --trajectory 0.5", "x-h1.npy": "--steps 5 --trajectory 0.5",
			"x-h0-trajectory.npy": "", "x-h0-times.npy": "", "x-h1-trajectory.npy": "", "x-h1-times.npy": ""}},
	} {
		dir := t.TempDir()
		text, err := printed(dir, base+c.args+" --sheet DIR/s.png")
		if err != nil {
			t.Fatal(err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != len(c.runs)+1 {
			t.Errorf("%s: files %v", c.args, entries)
		}
		rows := 0
		for name, args := range c.runs {
			if args == "" {
				continue
			}
			rows++
			alone := t.TempDir()
			if _, err := printed(alone, base+args+" --out DIR/y"+filepath.Ext(name)); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, name))
			want, _ := os.ReadFile(filepath.Join(alone, "y"+filepath.Ext(name)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %s is not what %s draws: %v", c.args, name, args, err)
			}
			if !strings.Contains(text, name+", 7 × 4×4×1") {
				t.Errorf("%s: no word of %s in\n%s", c.args, name, text)
			}
		}
		f, err := os.Open(filepath.Join(dir, "s.png"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.DecodeConfig(f)
		f.Close()
		if want := rows * (64 + 4); err != nil || m.Height != want || m.Width <= 7*66+2 {
			t.Errorf("%s: a sheet of %d×%d, want %d rows of 7: %v", c.args, m.Width, m.Height, rows, err)
		}
		if strings.Count(text, "process ") != rows || strings.Count(text, "model ") != 1 || strings.Count(text, "sheet ") != 1 {
			t.Errorf("%s: output\n%s", c.args, text)
		}
	}
}

// A folder and a device keep their kind, and what cannot work is refused before anything is drawn.
func TestSeveralNames(t *testing.T) {
	for path, want := range map[string]string{"a/": "a-h0/", "a.b/c.npz": "a.b/c-h0.npz", "/dev/null": "/dev/null", "": ""} {
		if got := suffixed(path, "-h0"); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
	dir := t.TempDir()
	for args, want := range map[string]string{
		"--h 0,1,0":        "--h has 0 twice",
		"--steps 5,5":      "--steps has 5 twice",
		"--sampler em,em":  "--sampler has em twice",
		"--sampler em,ode": `"ode" unknown; have em`,
		"--sampler em,":    `"" unknown`,
		"--steps 5,x":      `"x" in the list "5,x" is not a whole number`,
		"--steps x":        `--steps: "x" is not a whole number`,
		"--h 0,-1":         "-1 is out of range",
		"--h 0,1 --plot DIR/s.png --sheet DIR/s-h1.png": "would replace the file of --sheet",
		"--h 0,1e300 --sheet DIR/s.png":                 "h = 1e+300",
		"--h 0,1 --steps 2,3 --out DIR/y":               "--out DIR/y-h0-steps2",
	} {
		_, err := printed(dir, "--checkpoint "+swissRoll+" --n 2 --out DIR/x.npz "+args)
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(want, "DIR", dir)) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// Ctrl-C in the second of three runs keeps the first, and says what is left.
func TestSeveralInterrupted(t *testing.T) {
	dir := t.TempDir()
	path := imageModel(t, []int{4, 4, 1}, data.BytesNormalisation())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &until{text: "process   h = 0.5", do: cancel}
	args := strings.Fields("--device cpu --checkpoint " + path + " --n 3 --steps 5 --h 0,0.5,1 --out " + dir + "/x.npz --sheet " + dir + "/s.png")
	err := run(ctx, args, ui.Streams{Out: w, Err: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "h = 0.5: interrupted before") || !strings.HasSuffix(err.Error(), "not begun: h = 1") {
		t.Errorf("%v", err)
	}
	var names []string
	left, _ := os.ReadDir(dir)
	for _, e := range left {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"s.png", "x-h0.npz"}) {
		t.Errorf("left %v", names)
	}
}

// until does something when a text is written.
type until struct {
	bytes.Buffer
	text string
	do   func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.do()
	}
	return n, err
}
