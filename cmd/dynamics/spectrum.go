package main

import (
	"context"
	"fmt"
	"io"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/dynamics"
)

// fitOptions are the options of spectrum and fit.
type fitOptions struct {
	source
	method    string
	lift      dynamics.LiftOptions
	rank      int
	intercept bool
	bias      bool
	branch    string
	order     int
	kind      string
	noise     bool
	scan      scanOptions

	json, plot, out string
}

func defaultFit() fitOptions {
	return fitOptions{method: "auto", lift: dynamics.LiftOptions{Delays: 1, Degree: 1}, intercept: true, bias: true, noise: true, branch: "refuse", kind: string(dynamics.Free), scan: defaultScan()}
}

// define makes the flags of spectrum, or of fit.
func (o *fitOptions) define(name, summary string, fit bool) *flags.Set {
	s := flags.New("dynamics "+name, summary)
	o.source.define(s.Group("Data"))

	methods, more, seeds := []string{"auto", "edmd", "ml"}, "", ""
	if fit {
		methods, seeds = append(methods, "scan"), ", and of scan"
		more = ". scan: a network whose memory is linear, trained on the likelihood of each row given those before it"
	}
	g := s.Group("Method")
	g.Choice(&o.method, "method", methods, "edmd: least squares on lifted snapshots at equal steps. ml: maximum likelihood of a state space with measurement noise, at any times. auto: edmd; ml where times are irregular, where residuals show measurement noise or hidden states, or where it explains the data better than --delays"+more)

	g = s.Group("Least squares (edmd)")
	g.Int(&o.lift.Delays, "delays", "K", flags.Between(1, 2048), "snapshots in a window, the newest and K−1 before it")
	g.Int(&o.lift.Degree, "poly", "DEGREE", flags.Between(1, 12), "add all monomials of the window up to this degree")
	g.Int(&o.lift.Fourier, "fourier", "COUNT", flags.Between(0, 2048), "add random Fourier features of the window")
	g.Float(&o.lift.Scale, "scale", "SCALE", flags.NonNegative, "length scale of the Fourier features, in standard deviations of the outputs; 0: the root of the window's size")
	g.Uint64(&o.lift.Seed, "seed", "SEED", "of the Fourier features"+seeds)
	g.Int(&o.rank, "rank", "R", flags.Between(0, 2048), "keep the R strongest directions of the features; 0: all that are not rounding")
	g.OnOff(&o.intercept, "intercept", "estimate the fixed point; off: it is 0")
	g.OnOff(&o.bias, "bias", "remove the known bias of least squares (Nicholls and Pope 1988)")
	g.Choice(&o.branch, "branch", []string{"refuse", "omit"}, "what to do with modes that turn by half a turn in a step, whose frequency is not defined")

	g = s.Group("Maximum likelihood (ml)")
	g.Int(&o.order, "order", "ORDER", flags.Between(0, 24), "states for each output; 0 chooses 1 to 6 by the Bayesian information criterion")
	g.Choice(&o.kind, "kind", dynamics.Kinds, "also of scan. free: any A. dissipative: A = (J − LLᵀ)H, no mode grows. conservative: A = JH, all modes are neutral")
	g.OnOff(&o.noise, "noise", "the outputs have measurement noise of unknown size")

	if fit {
		o.scan.define(s.Group("Linear memory (scan)"))
	}
	g = s.Group("Output")
	if fit {
		o.out = "model.json"
		g.String(&o.out, "out", "FILE.json", "the model, for loglik and generate")
	}
	g.String(&o.json, "json", "FILE.json", "modes and what they rest on")
	g.String(&o.plot, "plot", "FILE.png", "the plane of λ with 95 % ellipses")
	s.Note("Modes λ are eigenvalues of the dynamics per unit of the data's time, slowest first: dz/dt = λz. A mode is a decay if the 95 % interval of Re λ lies below 0, a growth if above, neutral if it is around 0 and within ±1/T for the time T that was seen, else undetermined. tau is −1/Re λ. Intervals are those of single modes, from the influence of each snapshot (edmd) or the observed information (ml).")
	s.Note("An .npz has x (n, n×p or m×n×p) and times (n or m×n); or lengths of the trajectories that stand behind each other; or x0, times0, x1, times1, …. A .csv may have a header, with columns time and trajectory. Rows of NaN at the end of a trajectory are no part of it.")
	if fit {
		s.Example("go run ./cmd/dynamics fit --data traj.npz --method ml --out model.json", "a state space with measurement noise, at any times")
		s.Example("go run ./cmd/dynamics fit --data licence.txt --method scan --kind dissipative --decoder mlp", "a linear memory of the characters of a text")
	} else {
		s.Example("go run ./cmd/dynamics spectrum --data traj.npy --dt 0.1 --json spectrum.json --plot modes.png", "of a trajectory at equal steps")
		s.Example("go run ./cmd/dynamics spectrum --data position.csv --delays 4", "of one coordinate of a system with more")
		s.Example("go run ./cmd/dynamics spectrum --data licence.txt --dt 1", "of the characters of a text")
	}
	return s
}

// parse reads the command line.
func (o *fitOptions) parse(set *flags.Set, args []string, help io.Writer) error {
	if err := set.Parse(args, help); err != nil {
		return err
	}
	if err := o.choose(set); err != nil {
		return err
	}
	if err := o.unused(set); err != nil {
		return err
	}
	return o.checkOutputs()
}

// choose checks that the options go together, and settles the method where they do.
func (o *fitOptions) choose(set *flags.Set) error {
	lifted := o.lift.Degree > 1 || o.lift.Fourier > 0 || o.rank > 0
	if o.method == "ml" && (lifted || set.Given("delays")) {
		return ui.Usagef("--method ml has hidden states in place of lifts: leave --delays, --poly, --fourier and --rank out; --order is its number of states for each output")
	}
	if err := o.scan.check(o, set, lifted || set.Given("delays") || set.Given("order") || set.Given("noise")); err != nil || o.method == "scan" {
		return err
	}
	ml := set.Given("order") || set.Given("kind") || set.Given("noise")
	if o.method == "edmd" && ml {
		return ui.Usagef("--order, --kind and --noise belong to --method ml")
	}
	if o.method == "auto" && ml {
		if lifted || set.Given("delays") {
			return ui.Usagef("--order, --kind and --noise belong to --method ml, and lifts to --method edmd: choose one")
		}
		o.method = "ml"
	}
	return nil
}

func (o *fitOptions) checkOutputs() error {
	outputs := []flags.File{{Name: "out", Path: o.out, Endings: []string{".json"}}, {Name: "json", Path: o.json}, {Name: "plot", Path: o.plot, Picture: true}}
	return flags.CheckOutputs(outputs, o.files())
}

// given says in the JSON file how the spectrum was asked for.
func (o *fitOptions) record() map[string]any {
	return map[string]any{"data": o.paths(), "dt": o.dt, "method": o.method, "delays": o.lift.Delays, "poly": o.lift.Degree, "fourier": o.lift.Fourier, "scale": o.lift.Scale,
		"seed": o.lift.Seed, "rank": o.rank, "intercept": o.intercept, "bias": o.bias, "branch": o.branch, "order": o.order, "kind": o.kind, "noise": o.noise, "tokens": o.tokens, "scan": o.scan.record()}
}

func runSpectrum(ctx context.Context, args []string, io ui.Streams) error {
	o := defaultFit()
	return o.run(ctx, o.define("spectrum", "Finds the modes of observed sequences: eigenvalues λ of linear dynamics, per unit of time, with 95 % intervals and classes.", false), args, io)
}

func runFit(ctx context.Context, args []string, io ui.Streams) error {
	o := defaultFit()
	return o.run(ctx, o.define("fit", "Fits linear dynamics with noise to observed sequences, and writes a model that generate and loglik take.", true), args, io)
}

func (o *fitOptions) run(ctx context.Context, set *flags.Set, args []string, io ui.Streams) error {
	if err := o.parse(set, args, io.Out); err != nil {
		return err
	}
	data, err := o.load(nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "data      %s\n", describe(o.data, data))
	if err := data.CheckColumns(); err != nil {
		return err
	}
	fit := o.fit
	if o.method == "scan" {
		fit = o.memory(io)
	}
	f, err := fit(ctx, data)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
		}
		return err
	}
	res := f.result(o, data)
	res.report(io.Out)
	if o.out != "" {
		if err := f.save(o.out, data, res.Summary); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.out)
	}
	if o.json != "" {
		if err := rundir.WriteJSON(o.json, res); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.json)
	}
	if o.plot != "" {
		var points []plots.ModePoint
		for _, m := range f.modes {
			points = append(points, plots.ModePoint{Re: real(m.Lambda), Im: imag(m.Lambda), Cov: m.Cov, Class: string(m.Class)})
		}
		if err := plots.Modes(o.plot, "modes of "+o.data+", 95 % ellipses", "1/time", points); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.plot)
	}
	return nil
}
