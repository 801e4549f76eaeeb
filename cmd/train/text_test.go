package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/train"
)

// A text in which a and b take turns is learnt: nearly all windows of samples do so too.
func TestText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "turns.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("ab", 100)), 0o666); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields("--device cpu --text --length 6 --patch 3 --width 32 --depth 1 --heads 2 --steps 400 --batch 32 --lr 0.005 --ema 0.98 --workers 1 --out run --data " + file)
	dir, out, err := call(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m, err := checkpoint.Load(filepath.Join(dir, "run", train.ModelFile))
	if err != nil || string(m.Alphabet) != "ab" {
		t.Fatalf("alphabet %q, %v", string(m.Alphabet), err)
	}
	for _, want := range []string{"195 windows of 6×1", "200 characters, of 2 different ones, 1 bits each; 1.000 bits a character", "scaling   0 … 1 to −1 … 1: analog bits", "dit1d for samples of [6 1]", "samples.txt", "--dequantise truncnorm"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "run", textFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	right := 0
	for _, l := range lines {
		if l == "ababab" || l == "bababa" {
			right++
		}
	}
	if len(lines) != texts || right < texts*3/4 { // by chance one in 32 is right
		t.Errorf("%d of %d windows are right:\n%s", right, len(lines), b)
	}
	if _, out, err = call(t, "--resume", "--workers", "1", "--out", filepath.Join(dir, "run")); err != nil || !strings.Contains(out, "all 400 steps were taken") {
		t.Errorf("resume: %v\n%s", err, out)
	}
}

func TestTextErrors(t *testing.T) {
	dir := t.TempDir()
	short, latin := filepath.Join(dir, "short.txt"), filepath.Join(dir, "latin.txt")
	for path, text := range map[string]string{short: "too short", latin: strings.Repeat("caf\xe9 ", 40)} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for args, want := range map[string]string{
		"--preset text":                                "needs --data: a text in UTF-8",
		"--preset text --data " + short:                "9 characters, shorter than a window of 64 (--length)",
		"--text --data " + latin:                       "0xe9, is not UTF-8",
		"--text --data swissroll":                      "swissroll is not a text",
		"--text --dequantise on --data " + short:       "learnt without noise",
		"--stride 3 --data " + short:                   "goes with --text",
		"--text --net unet --length 8 --data " + short: "unet",
		"--text --net dit --data " + short:             "--text needs --length",
		"--data " + short:                              "--text reads it as characters",
	} {
		if _, _, err := call(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
