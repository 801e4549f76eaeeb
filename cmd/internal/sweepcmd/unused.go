package sweepcmd

import (
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/solver"
)

// unused refuses an option that was given and would change nothing under the measures and methods of the run.
func (o *options) unused(net *loglik.Network, methods []loglik.Method) error {
	const orNot = ", or leave it out"
	schedule, d := net.Schedule, net.Net.Dim()
	blocks := solver.BlocksOf(schedule) != nil
	constants := slices.ContainsFunc(o.h, func(h float64) bool { return h > 0 })
	paths := slices.Contains(methods, loglik.PathIntegral) && (constants || len(o.likelyProfiles()) > 0)
	grid := slices.Contains(methods, loglik.FokkerPlanck) && constants
	adaptive := slices.Contains(methods, loglik.Flow) || slices.Contains(methods, loglik.WKB)
	double := slices.Contains(methods, loglik.Flow) || slices.Contains(methods, loglik.WKB) && !loglik.ByTaylor(schedule, d)
	resampled, w2, nll := len(o.measures.resampled()) > 0, o.measures.has(metricW2), len(methods) > 0
	samples := resampled || w2
	metric := "--metric is " + strings.Join(o.measures.names, ",")
	lacks := func(m loglik.Method) string {
		switch {
		case !o.measures.has(metricNLL):
			return metric + "; add nll" + orNot
		case o.method == "none":
			return "--method is none; name it" + orNot
		case !nll:
			return "none of --h has a likelihood; name a constant, or a profile above 0 at all knots"
		case slices.Contains(methods, m):
			return "--h has no constant above 0; name one" + orNot
		case m == loglik.FokkerPlanck && (d > 2 || blocks):
			return "here there is no grid; leave it out"
		}
		return "--method is " + loglik.JoinMethods(methods) + "; add " + string(m) + orNot
	}
	anyNLL := lacks("")
	if o.given("method") && o.method != "none" && o.method != "auto" && !o.measures.has(metricNLL) {
		return ui.Usagef("--method is for the measure nll, and %s; add nll to --metric, or leave --method out", metric)
	}
	if o.bands > 0 && !samples {
		return ui.Usagef("--bands goes by a measure of samples, and %s; add w2 or sliced with --repeats above 0", metric)
	}
	if !samples && !nll {
		if o.method != "none" {
			return ui.Usagef("%s, and %s", metric, anyNLL)
		}
		return ui.Usagef("%s and --method %s leave nothing to measure", metric, o.method)
	}
	noSamples := metric + ", which draws no samples; add w2 or sliced" + orNot
	return flags.Unused(o.given, []flags.Use{
		flags.Of("classifier", o.measures.features(), "for the measures fd and kd", metric+"; add fd or kd"+orNot),
		flags.Of("groups", resampled, "of the measures sliced, fd and kd", metric+"; add one"+orNot),
		flags.Of("n", samples, "a number of samples", noSamples),
		flags.Of("repeats", w2 || o.repeats == 0, "of the measure w2", metric+"; add w2"+orNot),
		flags.Of("denoise", samples, "for samples", noSamples),
		flags.Of("last-noise", samples, "for samples", noSamples),
		flags.Of("guidance", samples, "for samples", noSamples),
		flags.Of("sheet", samples, "a picture of samples", noSamples),
		flags.Of("steps", samples || paths, "of samples and of pathintegral", lacks(loglik.PathIntegral)),
		flags.Of("sampler", samples || paths, "of samples and of pathintegral", lacks(loglik.PathIntegral)),
		flags.Of("grid", samples || paths, "of samples and of pathintegral", lacks(loglik.PathIntegral)),
		flags.Of("plot", w2, "a picture of the measure w2", metric+"; add w2"+orNot),
		flags.Of("plot-nll", nll, "a picture of likelihoods", anyNLL),
		flags.Of("nll-n", nll, "a number of points for likelihoods", anyNLL),
		flags.Of("margin", nll, "of the measure nll", anyNLL),
		flags.Of("paths", paths, "of pathintegral", lacks(loglik.PathIntegral)),
		flags.Of("tol", adaptive, "of flow and wkb", lacks(loglik.Flow)),
		flags.Of("velocities", adaptive && blocks, "of flow and wkb under a schedule of matrices", "the schedule is "+schedule.Name()+"; leave it out"),
		flags.Of("precision", double || o.Precision == loglik.DefaultPrecision, o.Precision+", of the paths of flow", lacks(loglik.Flow)),
		flags.Of("cells", grid, "of fokkerplanck", lacks(loglik.FokkerPlanck)),
		flags.Of("grid-tol", grid, "of fokkerplanck", lacks(loglik.FokkerPlanck)),
	})
}
