package flags

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/ui"
)

type options struct {
	steps    int
	seed     uint64
	h        float64
	hs       []float64
	schedule string
	out      string
	dry      bool
	device   Device
	quick    bool
}

func set() (*Set, *options) {
	o := &options{steps: 1000, h: 1, schedule: "simple", hs: []float64{0, 0.1}}
	s := New("sample", "Draws samples.")
	g := s.Group("Sampling")
	g.Int(&o.steps, "steps", "STEPS", AtLeastOne, "steps from Tmax to Tmin")
	g.Float(&o.h, "h", "H", NonNegative, "strength of the noise")
	g.List(&o.hs, "hs", "H,…", NonNegative, "several")
	g.Choice(&o.schedule, "schedule", []string{"simple", "cosine"}, "the forward process")
	g = s.Group("Run")
	g.Uint64(&o.seed, "seed", "SEED", "of all random numbers")
	g.String(&o.out, "out", "FILE", "where to write")
	g.Bool(&o.dry, "dry-run", "print the options and stop")
	g.Device(&o.device)
	g.OnOff(&o.quick, "quick", "or slow")
	s.Example("sample --h 0", "the probability-flow ODE")
	return s, o
}

func TestParse(t *testing.T) {
	s, o := set()
	err := s.Parse(strings.Fields("--steps 80_000 --h=0.5 --hs 0,0.05,1 --schedule cosine --seed 18446744073709551615 --dry-run --device cuda:1 --out x --quick on"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.steps != 80000 || o.h != 0.5 || len(o.hs) != 3 || o.hs[1] != 0.05 || o.schedule != "cosine" ||
		o.seed != 1<<64-1 || !o.dry || o.device != (Device{"cuda", 1}) || o.out != "x" || !o.quick {
		t.Errorf("parsed %+v", o)
	}
	if !s.Given("h") || s.Given("help") {
		t.Error("Given is wrong about --h or --help")
	}
}

func TestUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--steps 0":                      "--steps: 0 is out of range; need ≥ 1",
		"--steps 1.5":                    `--steps: "1.5" is not an integer`,
		"--h -1":                         "--h: -1 is out of range; need ≥ 0",
		"--h NaN":                        "--h: NaN is out of range; need ≥ 0",
		"--h Inf":                        "--h: Inf is out of range; need ≥ 0",
		"--hs 0,,1":                      `--hs: "" in the list "0,,1" is not a number`,
		"--hs 0,-1":                      "--hs: -1 is out of range; need ≥ 0",
		"--schedule cosin":               `--schedule: "cosin" unknown; have simple, cosine`,
		"--seed -1":                      `--seed: "-1" is not an integer from 0 to 2⁶⁴−1`,
		"--sede 1":                       "option --sede unknown; did you mean --seed?",
		"--frobnicate":                   "option --frobnicate unknown",
		"--device gpu":                   `--device: device "gpu" unknown; have auto, cpu, cuda, cuda:0, cuda:1, …`,
		"--device cuda:-1":               `--device: device "cuda:-1" unknown; have auto, cpu, cuda, cuda:0, cuda:1, …`,
		"--steps":                        "--steps needs a value",
		"swissroll":                      `"swissroll" is not an option: every setting has a name, as in --steps VALUE`,
		"--quick maybe":                  `--quick: "maybe" is neither on nor off`,
		"--dry-run=maybe":                `--dry-run: "maybe" is neither true nor false`,
		"--steps 99999999999999999999":   `--steps: "99999999999999999999" is not an integer`,
		"--seed 18446744073709551616":    `--seed: "18446744073709551616" is not an integer from 0 to 2⁶⁴−1`,
		"--schedule simple --schedule x": `--schedule: "x" unknown; have simple, cosine`,
	} {
		s, _ := set()
		err := s.Parse(strings.Fields(args), nil)
		var usage ui.UsageError
		if !errors.As(err, &usage) || err.Error() != want {
			t.Errorf("%s: error %v, want usage error %s", args, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		s, _ := set()
		var b bytes.Buffer
		if err := s.Parse([]string{arg}, &b); !errors.Is(err, pflag.ErrHelp) {
			t.Fatalf("%s: error %v", arg, err)
		}
		for _, want := range []string{
			"Usage: sample [options]\n",
			"\nSampling\n  --steps STEPS               steps from Tmax to Tmin (≥ 1; default 1000)\n",
			"  --schedule simple|cosine    the forward process (default simple)\n",
			"  --seed SEED                 of all random numbers (0 … 2⁶⁴−1; default 0)\n",
			"  --out FILE                  where to write\n",
			"  --dry-run                   print the options and stop\n",
			"(default auto)\n",
			"\nExamples\n  sample --h 0\n      the probability-flow ODE\n",
		} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: help lacks %q:\n%s", arg, want, b.String())
			}
		}
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		r       Range
		text    string
		in, out []float64
	}{
		{Positive, "> 0", []float64{1e-300, 5}, []float64{0, -1}},
		{Between(0, 1), "0 … 1", []float64{0, 1}, []float64{-0.1, 1.1}},
		{HalfOpen(0, 1), "0 ≤ · < 1", []float64{0, 0.999}, []float64{1}},
		{Any, "", []float64{-1e300, 0}, nil},
	} {
		if c.r.String() != c.text {
			t.Errorf("%+v reads %q, want %q", c.r, c.r.String(), c.text)
		}
		for _, v := range c.in {
			if !c.r.Holds(v) {
				t.Errorf("%s does not hold %g", c.text, v)
			}
		}
		for _, v := range c.out {
			if c.r.Holds(v) {
				t.Errorf("%s holds %g", c.text, v)
			}
		}
	}
}

func TestDeviceText(t *testing.T) {
	for _, s := range []string{"auto", "cpu", "cuda", "cuda:3"} {
		var d Device
		if err := d.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if b, _ := d.MarshalText(); string(b) != s {
			t.Errorf("%s becomes %s", s, b)
		}
	}
}

// Options as people type them, with one dash; a lone -h asks for help, and values that begin with a dash stay values.
func TestOneDash(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-steps 5 -h 0.5", "5 0.5"},
		{"-steps=5 -h=0.5", "5 0.5"},
		{"-h0.5", "1000 0.5"},
		{"-h .5", "1000 0.5"},
		{"--out -h -steps 5", "5 1"},
		{"-h", "help"},
		{"-h --steps 5", "help"},
		{"-help", "help"},
		{"-h -1", "--h: -1 is out of range; need ≥ 0"},
		{"-sede 1", "option --sede unknown; did you mean --seed?"},
		{"-dry", "option --dry unknown; did you mean --dry-run?"},
		{"-run", "option --run unknown; did you mean --dry-run?"},
	} {
		s, o := set()
		err := s.Parse(strings.Fields(c.args), &bytes.Buffer{})
		got := fmt.Sprint(o.steps, o.h)
		if errors.Is(err, pflag.ErrHelp) {
			got = "help"
		} else if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	s, _ := set()
	var b bytes.Buffer
	if err := s.Parse([]string{"--version"}, &b); !errors.Is(err, pflag.ErrHelp) || !strings.HasPrefix(b.String(), "sample (hbar) ") || !strings.Contains(b.String(), runtime.Version()) {
		t.Errorf("%v: %s", err, b.String())
	}
}
