package main

import (
	"fmt"
	"io"
	"strings"
)

// results are all that was measured.
type results struct {
	bench []benchmark
	peers []peer
}

// rate is the highest median of the benchmarks whose names begin so; 0 if there is none.
func (r results) rate(begins, unit string) (best float64) {
	for _, b := range r.bench {
		if strings.HasPrefix(b.name, begins) {
			best = max(best, b.median(unit))
		}
	}
	return best
}

// peer is the highest rate of a peer's job, of the ways whose description begins so; 0 if there is none. A peer whose result is not
// accurate enough does not count.
func (r results) peer(job, how string) (best float64) {
	for _, p := range r.peers {
		if p.missing == "" && p.Job == job && strings.HasPrefix(p.How, how) && !(p.Error != nil && *p.Error > p.Enough) {
			best = max(best, p.Rate)
		}
	}
	return best
}

// goal is a figure that a GPU of the H100's or H200's kind should reach. of is what was measured, 0 if it was not.
type goal struct {
	what string
	want float64
	unit string
	of   func(r results) float64
}

// ratio is a over b, or 0 where one was not measured.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// The paper's network with a million samples and with ten thousand.
const (
	paper = "/D=2/width=128/silu/n="
	many  = paper + "1000000/"
	few   = paper + "10000/"
)

// H100's and H200's dense rate of bf16 and f16 (data sheet, SXM).
const densePeak = 989.4 // TFLOP/s

func goals() []goal {
	g := []goal{
		{"sampling, f16", 7e9, "sample-steps/s", func(r results) float64 { return r.rate("Sampler/f16"+many, "sample-steps/s") }},
		{"sampling, fp32 by pairs of halves", 2.5e9, "sample-steps/s", func(r results) float64 { return r.rate("Sampler/fp32"+many, "sample-steps/s") }},
	}
	for _, p := range []string{"f16", "fp32"} {
		g = append(g, goal{"sampling of 10⁴, " + p + ", to the rate of 10⁶", 0.6, "", func(r results) float64 {
			return ratio(r.rate("Sampler/"+p+few, "sample-steps/s"), r.rate("Sampler/"+p+many, "sample-steps/s"))
		}})
	}
	g = append(g,
		goal{"sampling, width 256, fp32", 4e8, "sample-steps/s", func(r results) float64 { return r.rate("General/trajectory/fp32/width=256/", "sample-steps/s") }},
		goal{"score and divergence, to PyTorch compiled", 10, "", func(r results) float64 {
			return ratio(r.rate("Flow/D=2/width=128/warpgroups/", "evaluations/s"), r.peer("scorediv", "compiled"))
		}},
		goal{"training, batch 512, to PyTorch compiled", 10, "", func(r results) float64 {
			return ratio(r.rate("TrainStep/2-[128_128_128]-silu/batch=512", "steps/s"), r.peer("train", "compiled"))
		}},
		goal{"flow, to JAX at the same accuracy", 2, "", func(r results) float64 { return ratio(r.rate("Likelihood/flow", "points/s"), r.peer("flow", "")) }},
		goal{"ℓ₁, to the published algorithm", 1000, "", func(r results) float64 {
			return ratio(r.rate("Likelihood/wkb,_first_order", "points/s"), r.peer("wkb", ""))
		}},
	)
	for _, job := range []string{"sample", "train"} {
		for _, net := range []string{"unet-cifar10", "dit-s2"} {
			name := job + "/" + net + "/bf16"
			g = append(g, goal{name + ", to PyTorch compiled", 1, "", func(r results) float64 {
				return ratio(r.rate("Networks/"+name+"/", "samples/s"), r.peer(name, "compiled"))
			}})
		}
	}
	return append(g,
		goal{"sample/dit-s2/bf16, products, of the dense peak", 0.45, "", func(r results) float64 { return r.rate("Networks/sample/dit-s2/bf16/", "TFLOP/s") / densePeak }},
		goal{"width 2048, f16", 550, "TFLOP/s", func(r results) float64 { return r.rate("General/trajectory/f16/width=2048/", "TFLOP/s") }},
		goal{"width 2048, fp32", 200, "TFLOP/s", func(r results) float64 { return r.rate("General/trajectory/fp32/width=2048/", "TFLOP/s") }},
	)
}

// judge prints the goals: what was wanted, what was measured, and whether that is enough.
func (r results) judge(w io.Writer) {
	fmt.Fprintf(w, "%-52s %24s %14s\n", "goal, on an H100 or H200", "wanted", "measured")
	met, measured := 0, 0
	all := goals()
	for _, g := range all {
		v, verdict, figure := g.of(r), "not measured", "–"
		if v > 0 {
			measured++
			verdict, figure = "missed", fmt.Sprintf("%.3g", v)
			if v >= g.want {
				met++
				verdict = "met"
			}
		}
		fmt.Fprintf(w, "%-52s %24s %14s  %s\n", g.what, strings.TrimSpace(fmt.Sprintf("%.3g ", g.want)+g.unit), figure, verdict)
	}
	fmt.Fprintf(w, "%d of %d goals met, %d not measured\n\n", met, len(all), len(all)-measured)
}
