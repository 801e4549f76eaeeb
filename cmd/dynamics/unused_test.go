package main

import (
	"strings"
	"testing"
)

// Options that change nothing are refused, with what would be right.
func TestUnused(t *testing.T) {
	for args, want := range map[string]string{
		"ablate --task recall --window 64":                "--window is of --task text, and this is --task recall",
		"ablate --task recall --text a.txt":               "--text is of --task text",
		"ablate --text a.txt --distractors 5":             "--distractors is of --task recall, and this is --task text",
		"spectrum --data a.npy --method ml --bias off":    "--bias is of least squares, and this fit is by --method ml",
		"spectrum --data a.npy --order 2 --branch omit":   "--branch is of least squares, and this fit is by --method ml",
		"spectrum --data a.npy --method ml --scale 2":     "--scale is of the Fourier features",
		"spectrum --data a.npy --method ml --seed 2":      "--seed is of the Fourier features",
		"spectrum --data a.npy --seed 2":                  "--seed is of the Fourier features",
		"spectrum --data a.npy --scale 2":                 "--scale is of the Fourier features, and this fit has none",
		"fit --data a.npy --method scan --intercept off":  "--intercept is of least squares and of maximum likelihood, and this fit is by --method scan",
		"fit --data a.npy --method scan --bias off":       "--bias is of least squares",
		"fit --data a.npy --method scan --branch omit":    "--branch is of least squares",
		"fit --data a.npy --method scan --scale 2":        "--scale is of the Fourier features",
		"fit --data a.npy --method scan --seed 2":         "no such file", // used
		"spectrum --data a.npy --fourier 2 --seed 2":      "no such file",
		"generate --model a.json --times t.npy --steps 3": "--times names all times of a sequence",
		"generate --model a.json --times t.npy --dt 3":    "--times names all times of a sequence",
	} {
		if _, err := call(t.TempDir(), args); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
}
