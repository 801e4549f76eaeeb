package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"hbar/cmd/internal/loglik"
	"hbar/internal/atomicfile"
	"hbar/metrics"
)

// page is the page in the making.
type page struct {
	size
	name, out, images, runs string
	log                     io.Writer
	bars                    *loglik.Bars
	text                    strings.Builder
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(&p.text, format, args...) }

// progress says what is about to begin.
func (p *page) progress(format string, args ...any) {
	p.bars.End()
	fmt.Fprintf(p.log, format+"\n", args...)
}

// stage shows how far a part of the work is.
func (p *page) stage(name string) func(done, total int) {
	return func(done, total int) { p.bars.Report(name, done, total) }
}

// image is the path of a figure; figure refers to it on the page.
func (p *page) image(name string) string { return filepath.Join(p.images, "paper-"+name+".png") }

func (p *page) figure(name, caption string) {
	rel, err := filepath.Rel(filepath.Dir(p.out), p.image(name))
	if err != nil {
		rel = p.image(name)
	}
	p.printf("![%s](%s)\n\n", caption, filepath.ToSlash(rel))
}

func (p *page) make(ctx context.Context) error {
	p.printf("# The paper's experiments, and what lies beyond them\n\n")
	p.printf("Hirono, Tanaka and Fukushima, *Understanding Diffusion Models by Feynman's Path Integral*, arXiv:2403.11262, section 5.\n")
	p.printf("Written by `go run ./cmd/paper --size %s`. Its numbers come from that run, with two exceptions: those called published are the paper's, and\n", p.name)
	p.printf("the sentences that call a difference of path integral and Fokker–Planck chance quote fixed figures, of [likelihood-check.md](likelihood-check.md). Log densities are in nats,\n")
	p.printf("± is one standard error, W₂² is the squared distance (the published code prints it under the name w2).\n\n")
	if err := p.gaussian(ctx); err != nil {
		return fmt.Errorf("section 5.1: %w", err)
	}
	var networks []*network
	for _, e := range p.cases {
		n, err := p.train(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
		networks = append(networks, n)
	}
	for _, part := range []func(context.Context, []*network) error{p.training, p.table1, p.figure4, p.beyond} {
		if err := part(ctx, networks); err != nil {
			return err
		}
	}
	return atomicfile.WriteFile(p.out, []byte(p.text.String()))
}

// mean is the mean of the finite values with its standard error; failed counts the others.
func mean(v []float64) (m, se float64, failed int) {
	n, s, s2 := 0.0, 0.0, 0.0
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			failed++
			continue
		}
		n++
		s += x
	}
	m = s / n
	for _, x := range v {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			s2 += (x - m) * (x - m)
		}
	}
	return m, math.Sqrt(s2 / (n - 1) / n), failed
}

// median is the median of the finite values.
func median(v []float64) float64 {
	var finite []float64
	for _, x := range v {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			finite = append(finite, x)
		}
	}
	return metrics.Median(finite)
}

// number writes a value with as many digits as its error resolves.
func number(v, se float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	if math.IsNaN(se) || se == 0 {
		return strings.ReplaceAll(fmt.Sprintf("%.3g", v), "-", "−")
	}
	if math.Abs(v)+se >= 1e4 {
		return strings.ReplaceAll(fmt.Sprintf("%.2g ± %.2g", v, se), "-", "−")
	}
	digits := min(max(1-int(math.Floor(math.Log10(se))), 0), 6)
	return strings.ReplaceAll(fmt.Sprintf("%.*f ± %.*f", digits, v, digits, se), "-", "−")
}
