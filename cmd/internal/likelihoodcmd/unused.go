package likelihoodcmd

import (
	"fmt"
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// uses are the parts of the work that options belong to.
type uses struct {
	wkb, taylor, slopes bool // the expansion; by Taylor polynomials; with ℓ₁ on a mesh
	flow, mesh          bool // log q⁰ along the flow, of its own or for the expansion; on a mesh, where that is asked for
	adaptive            bool // paths of flow or expansion with steps by tolerance
	probes              bool // of the divergence or of ℓ₁
	paths, chain, grid  bool // the path integral; its chain, by which points are made too; Fokker–Planck
}

func (o *options) usesOf(net *loglik.Network, s loglik.Options) uses {
	positive := slices.ContainsFunc(o.H, func(h float64) bool { return h != 0 }) // NaN stands for a profile
	flow, wkb := slices.Contains(s.Methods, loglik.Flow), slices.Contains(s.Methods, loglik.WKB)
	u := uses{wkb: wkb, slopes: wkb && o.slopesByMesh(net), paths: positive && slices.Contains(s.Methods, loglik.PathIntegral), grid: positive && slices.Contains(s.Methods, loglik.FokkerPlanck)}
	u.taylor = wkb && !u.slopes && loglik.ByTaylor(net.Schedule, net.Net.Dim())
	other := wkb && !u.slopes && !u.taylor
	u.flow, u.mesh = flow || u.slopes || other, flow || u.slopes
	u.adaptive = u.taylor || other || u.flow && o.FlowSteps == 0 || u.slopes && o.SlopeSteps == 0
	u.probes = u.slopes || other && !loglik.ByAllDirections(net.Schedule, net.Net.Dim()) || u.flow && s.Divergence != likelihood.Exact
	u.chain = u.paths || o.Generated > 0
	return u
}

// slopesByMesh reports whether ℓ₁ is computed by loglik.Network.Slopes.
func (o *options) slopesByMesh(net *loglik.Network) bool {
	return solver.BlocksOf(net.Schedule) == nil && (net.Model.Model.Net != nil || (o.special(net) || o.SlopeSteps > 0) && net.Net.Dim() > loglik.TaylorDims)
}

// unused refuses an option that was given and would change nothing, and a method that has no value at any of the strengths.
func (o *options) unused(net *loglik.Network, s loglik.Options) error {
	u, d := o.usesOf(net, s), net.Net.Dim()
	here := fmt.Sprintf("here, in D = %d under schedule %s,", d, net.Schedule.Name())
	blocks := solver.BlocksOf(net.Schedule) != nil
	const orNot = ", or leave it out"
	lacks := func(m loglik.Method) string { // why it has nothing to do
		switch {
		case slices.Contains(s.Methods, m):
			return "--h is " + o.hText() + "; name an h > 0" + orNot
		case m == loglik.FokkerPlanck && (d > 2 || blocks):
			return here + " there is no grid; leave it out"
		}
		return fmt.Sprintf("--method is %s; add %s%s", loglik.JoinMethods(s.Methods), m, orNot)
	}
	for _, m := range []loglik.Method{loglik.PathIntegral, loglik.FokkerPlanck} {
		if used := u.paths && m == loglik.PathIntegral || u.grid && m == loglik.FokkerPlanck; !used && strings.Contains(o.Method, string(m)) {
			return ui.Usagef("--method %s is for h > 0, and %s", m, lacks(m))
		}
	}
	flow, wkb, paths, grid := lacks(loglik.Flow), lacks(loglik.WKB), lacks(loglik.PathIntegral), lacks(loglik.FokkerPlanck)
	if u.taylor {
		flow = here + " wkb integrates Taylor polynomials in float64 with steps of its own; add flow" + orNot
	}
	slopes, order, tol, probes := wkb, wkb, flow, flow
	if u.wkb {
		slopes, order = here+" wkb has steps by --tol; leave it out", here+" there is the first alone; name 1"
	}
	if u.flow {
		tol, probes = "all steps here are those of --flow-steps and --slope-steps; name one or the other", here+" the divergence is exact; add --divergence rademacher"+orNot
	}
	made := fmt.Sprintf("--generated %d makes the points; leave it out", o.Generated)
	return flags.Unused(o.given, []flags.Use{
		flags.Of("columns", o.Generated == 0, "of a table in a file", made),
		flags.Of("header", o.Generated == 0, "of a table in a file", made),
		flags.Of("bits", u.flow || u.paths, "by flow and pathintegral", flow),
		flags.Of("dequantise", !u.wkb || u.slopes || o.dequantise() == loglik.DequantiseNone, "a noise on the points", here+" wkb expands at the points themselves; take another method"+orNot),
		flags.Of("flow-steps", u.mesh, "the mesh of the flow", flow),
		flags.Of("slope-steps", u.slopes, "the mesh of ℓ₁", slopes),
		flags.Of("tol", u.adaptive, "of flow and wkb", tol),
		flags.Of("divergence", u.flow, "of the flow", flow),
		flags.Of("probes", u.probes, "of Hutchinson's estimator", probes),
		flags.Of("order", u.wkb && o.Order == 1 || u.taylor && d <= 2, fmt.Sprintf("%d, an order of the expansion", o.Order), order),
		flags.Of("velocities", blocks && (u.flow || u.wkb), "of flow and wkb under a schedule of matrices", here+" there are none; leave it out"),
		flags.Of("precision", u.flow || o.Precision == loglik.DefaultPrecision, o.Precision+", of the flow", flow),
		flags.Of("paths", u.paths, "of pathintegral", paths),
		flags.Of("steps", u.chain, "of the chain of pathintegral", paths),
		flags.Of("sampler", u.chain, "of the chain of pathintegral", paths),
		flags.Of("grid", u.chain, "of the chain of pathintegral", paths),
		flags.Of("richardson", u.paths, "of pathintegral", paths),
		flags.Of("bootstrap", u.paths, "of pathintegral", paths),
		flags.Of("min-ess", u.paths, "of pathintegral", paths),
		flags.Of("cells", u.grid, "of fokkerplanck", grid),
		flags.Of("grid-tol", u.grid, "of fokkerplanck", grid),
		flags.Of("image", u.grid, "a picture of the densities of fokkerplanck", grid),
	})
}
