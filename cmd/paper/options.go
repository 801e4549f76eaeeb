package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/solver"
	"hbar/train"
)

// size is how much work goes into each part.
type size struct {
	cases      []experiment
	trainSteps int
	points     int       // of the tables: fresh data
	checked    int       // points solved again at a hundredth of the tolerance
	samples    int       // of a W2
	repeats    int       // of a W2
	steps      int       // of a sampler
	w2h        []float64 // Figure 4
	h          []float64 // NLL(h)
	pathPoints int
	paths      int
	pathSteps  int
	maxN       int // grid points of the Fokker–Planck solution

	profiles []solver.Strength // that vary along the way: beside w2h, and those above 0 beside h
}

// take puts strengths in the place of those of the size: constants where there are any, and profiles beside them.
func (s *size) take(hs []solver.Strength) error {
	var constants, positive []float64
	for i, h := range hs {
		if slices.Contains(hs[:i], h) {
			return ui.Usagef("--h names %v twice", h)
		}
		v, constant := h.IsConstant()
		if !constant {
			s.profiles = append(s.profiles, h)
			continue
		}
		constants = append(constants, v)
		if v > 0 {
			positive = append(positive, v)
		}
	}
	if slices.Sort(constants); len(constants) > 0 {
		s.w2h = constants
	}
	if slices.Sort(positive); len(positive) > 0 {
		s.h = positive
	}
	return nil
}

// experiment is one network: a data set and a schedule.
type experiment struct{ data, schedule string }

func (e experiment) String() string { return e.data + "-" + e.schedule }

var all = []experiment{{"swissroll", "simple"}, {"swissroll", "cosine"}, {"gaussians25", "simple"}, {"gaussians25", "cosine"}}

var sizes = map[string]size{
	"full": {
		cases: all, trainSteps: 80000, points: 1000, checked: 50, samples: 2000, repeats: 5, steps: 1000,
		w2h: []float64{0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2}, h: []float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1},
		pathPoints: 100, paths: 400, pathSteps: 500, maxN: 512,
	},
	"quick": {
		cases: all[:2], trainSteps: 8000, points: 200, checked: 20, samples: 1000, repeats: 3, steps: 300,
		w2h: []float64{0, 0.05, 0.1, 0.2}, h: []float64{0.02, 0.05, 0.2, 1},
		pathPoints: 40, paths: 200, pathSteps: 200, maxN: 384,
	},
	"tiny": {
		cases: all[:1], trainSteps: 400, points: 12, checked: 4, samples: 100, repeats: 2, steps: 50,
		w2h: []float64{0, 0.2}, h: []float64{0.2, 1},
		pathPoints: 4, paths: 50, pathSteps: 50, maxN: 96,
	},
}

func run(ctx context.Context, args []string, io ui.Streams) error {
	name, out, images, runs := "quick", "runs/paper.md", "", "runs/paper"
	set := flags.New("paper", "Repeat the experiments of arXiv:2403.11262 and write a page of tables and figures.")
	g := set.Group("What")
	g.Choice(&name, "size", []string{"tiny", "quick", "full"}, "full: 80 000 training steps, all four networks, about half an hour on 2 cores; quick: some minutes; tiny: a test")
	var hs []solver.Strength
	g.Strengths(&hs, "h", "strengths of the noise in Figure 4, and those above 0 of NLL(h), in place of the constants of --size; of a profile NLL is that of the path integral, if h is above 0 at all knots")
	g = set.Group("Where")
	g.String(&out, "out", "FILE", "the page, in Markdown")
	g.String(&images, "images", "DIR", "its figures; default: images/ beside the page")
	g.String(&runs, "runs", "DIR", "run directories of the networks; those that are complete are used again")
	set.Example("go run ./cmd/paper --size quick", "two networks, briefly trained")
	set.Example("go run ./cmd/paper --size quick --h '0;0.2;0.1@-4,0.5@0,1@3'", "two constants and a strength that varies along the way")
	set.Example("go run ./cmd/paper --size full --out docs/paper.md", "what docs/paper.md holds")
	if err := set.Parse(args, io.Out); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	work := sizes[name]
	if err := work.take(hs); err != nil {
		return err
	}
	if images == "" {
		images = filepath.Join(filepath.Dir(out), "images")
	}
	if err := os.MkdirAll(images, 0o777); err != nil {
		return err
	}
	p := &page{size: work, name: name, out: out, images: images, runs: filepath.Join(runs, name), log: io.Err, bars: &loglik.Bars{W: io.Err}}
	start := time.Now()
	err := p.make(ctx)
	p.bars.End()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; no page is written, and the networks in %s, of which the last may be half trained, are used again next time", ui.ErrInterrupted, p.runs)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "%s written in %s\n", out, ui.Span(time.Since(start)))
	return nil
}

func trainOptions(e experiment, steps int, dir string) train.Options {
	_, err := os.Stat(filepath.Join(dir, "state.safetensors"))
	return train.Options{Schedule: e.schedule, Steps: steps, Dir: dir, Resume: err == nil}
}
