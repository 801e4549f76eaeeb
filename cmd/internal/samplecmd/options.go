package samplecmd

import (
	"io"
	"math"
	"path/filepath"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/term"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/samples"
	"hbar/solver"
)

// options are all settings of the command.
type options struct {
	model.Flags

	n                        int
	seed, first              uint64
	hs                       []solver.Strength // one run for each combination of these three
	manySteps                []int
	samplers                 []string
	h                        solver.Strength // those of one run: see runs
	steps                    int
	sampler, grid, lastNoise string
	name                     string // "h = 0.3", if there are several
	denoise                  bool
	class                    string
	guidance                 float64
	network                  float64 // bytes of the network and its values

	out, plot  string
	sheet      string
	show       string        // how, "" for not at all
	screen     term.Terminal // where, if so
	rate       int
	trajectory []float64

	batch     int
	reference bool

	tilt tilt

	shard shard.Flags
	part  part // what a shard's manifest takes from the command line
}

// define makes the flags, with o as their defaults.
func define(o *options) *flags.Set {
	s := flags.New("sample", "Draws samples from a score network: from noise at Tmax down to data at Tmin, by the reverse process "+
		"dx = [a x − ((1+h)/2) g² s] dt + √h g dw. h = 1 is the reverse SDE, h = 0 the probability-flow ODE.")
	o.DefineModel(s.Group("Model"))

	g := s.Group("Samples")
	g.Int(&o.n, "n", "SAMPLES", flags.AtLeastOne, "how many")
	g.Uint64(&o.seed, "seed", "SEED", "of the noise; the same seed gives the same samples, whatever --batch and --workers")
	g.Uint64(&o.first, "first", "NUMBER", "number of the first sample: runs over 0 … 999 and 1000 … 1999 make the samples of one over 0 … 1999")

	g.String(&o.class, "class", "K|all|none", "for networks with classes: a class by its number, each in turn (the default), or none")
	g.Float(&o.guidance, "guidance", "W", flags.NonNegative, "for networks with classes: the strength w of guidance, score (1+w) s(x|class) − w s(x|none), for two evaluations; 0 for none")

	g = s.Group("Process")
	g.Strengths(&o.hs, "h", "strength of the noise; several are drawn one after the other from the same noise, each into its own file, OUT-h0.3.npz")
	g.Ints(&o.manySteps, "steps", "STEPS,…", flags.Between(1, 10_000_000), "steps from Tmax to Tmin; a step of heun costs two evaluations of the network, all others one; several as with --h, OUT-steps50.npz")
	g.Choices(&o.samplers, "sampler", solver.SamplerNames(), "Euler–Maruyama, exponential integrator, the same of second order, stochastic Heun; several as with --h, OUT-exp2.npz")
	g.Choice(&o.grid, "grid", solver.GridNames(), "steps uniform in the time, in λ = log(α/σ), or as in Karras 2022")
	g.Choice(&o.lastNoise, "last-noise", solver.LastNoiseNames(), "the last step: full, as the others; mean, without its noise; none, a step at h = 0")
	g.Bool(&o.denoise, "denoise", "end with the posterior mean E[x₀|x] of the last state x (Tweedie's formula): removes the noise of deviation σ(Tmin) that is left in it, for one more evaluation")

	o.tilt.define(s.Group("Reward"))

	g = s.Group("Output")
	g.String(&o.out, "out", "FILE", "the samples, n × D, in data units: an array in a .npy file, float32, or float64 where float32 has too few digits for the spread of the data; or a table with a header in a .csv file; "+
		"images as bytes in a .npz file (arr_0, n × height × width × channels, as evaluators read it), or as PNG files in a new folder, whose name ends in /; sounds as a .wav file or a folder of these; text as a .txt file, where the end of a line follows the characters of each sample")
	g.String(&o.sheet, "sheet", "FILE.png", "a contact sheet of the first samples, images or sounds; of several --h, --steps or --sampler, all their combinations, a row each with its name")
	g.Int(&o.rate, "rate", "HZ", flags.Between(1, 1<<20), "sample rate of sounds")
	g.String(&o.plot, "plot", "FILE.png", "a picture, beside the training data if that is built in")
	g.Optional(&o.show, "show", term.Names(), "draw the first samples on the terminal: images and sounds as a grid, text as it is, else a histogram or a density; in pixels where the terminal says that it can (kitty, sixel), else in blocks, in colours unless NO_COLOR is set, and without them where the output is no terminal; --show=NAME does so in any case")
	g.List(&o.trajectory, "trajectory", "T,…", flags.NonNegative, "also keep the states nearest these times: OUT-trajectory.npy, n × times × D, in data units, and OUT-times.npy")

	g = s.Group("Run")
	o.DefineRun(g, cuda.PrecisionNames(), "arithmetic of a GPU, of products with float32 sums; the CPU has fp32. f16 rounds factors to 11 bits and has no numbers above 65504. tf32 (11 bits) and bf16 (8 bits) have float32's range and are for unet, dit and other networks that are no chains of dense layers")
	g.Int(&o.batch, "batch", "SAMPLES", flags.Between(0, 10_000_000), "samples in memory at a time; 0 chooses, some MB")
	g.Bool(&o.reference, "reference", "a plain float64 loop with the same noise instead of the fused float32 one: slow, for comparison")

	o.shard.Define(s, "samples")

	s.Note("Few steps: --sampler exp2 --grid lambda --steps 50. The paper's setting: the defaults.")
	s.Example("go run ./cmd/sample --checkpoint runs/swissroll-simple/model.safetensors --plot samples.png", "10 000 samples of the reverse SDE, and a picture")
	s.Example("go run ./cmd/sample --checkpoint model.safetensors --h 0 --sampler exp2 --grid lambda --steps 50 --out ode.npy", "the probability-flow ODE in 50 evaluations")
	s.Example("go run ./cmd/sample --checkpoint mlp.safetensors --schedule cosine --n 1_000_000 --h 0.2", "a network of your own, a million samples in constant memory")
	s.Example("go run ./cmd/sample --checkpoint runs/digits-simple/model.safetensors --n 100 --out digits.npz --sheet sheet.png", "images as evaluators read them, and as people do")
	s.Example("go run ./cmd/sample --checkpoint runs/digits-simple/model.safetensors --n 10 --h 0,0.3,1 --out digits.npz --sheet h.png", "three strengths on the same noise, one below the other")
	s.Example("go run ./cmd/sample --checkpoint runs/digits-simple/model.safetensors --n 16 --h 0,1 --show", "images on the terminal, over ssh too")
	s.Example("go run ./cmd/sample --checkpoint runs/swissroll-simple/model.safetensors --n 2000 --steps 300 --reward '-2*(x0-5)^2' --weights weights.npz", "the density of the data near x0 = 5, with weights")
	s.Example("go run ./cmd/sample --checkpoint model.safetensors --n 1_000_000 --shard 2/16", "the third of sixteen parts, into samples-shard2of16.npy, for cmd/merge")
	s.Example("go run ./cmd/sample --checkpoint model.safetensors --n 500 --trajectory 1,0.5,0.2,0.1,0.01", "with states on the way")
	return s
}

// parse reads the command line and checks what flags cannot.
func parse(args []string, help io.Writer) (options, error) {
	o := options{n: 10000, hs: []solver.Strength{solver.Constant(1)}, manySteps: []int{solver.DefaultSteps}, samplers: []string{"em"}, grid: "t", lastNoise: "full", out: "samples.npy", rate: samples.DefaultRate, Flags: model.Flags{Precision: cuda.FP32.String()}}
	set := define(&o)
	if err := set.Parse(args, help); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, err
	}
	if err := o.divide(set); err != nil {
		return o, err
	}
	if err := o.distinct(); err != nil {
		return o, err
	}
	for _, r := range o.runs() {
		if err := r.tilt.check(&r, set); err != nil {
			return o, err
		}
	}
	if o.out == "" {
		return o, ui.Usagef("--out is empty; name the file to write")
	}
	if uint64(o.part.all)-1 > math.MaxUint64-o.part.first {
		return o, ui.Usagef("--first %d and --n %d: sample numbers end at 2⁶⁴−1", o.part.first, o.part.all)
	}
	if o.Device.Kind == "cpu" && o.Precision != cuda.FP32.String() {
		return o, ui.Usagef("--precision %s is for GPUs: the CPU computes in fp32", o.Precision)
	}
	if o.reference {
		if o.Device.Kind == "cuda" || o.Precision != cuda.FP32.String() {
			return o, ui.Usagef("--reference is a float64 loop on the CPU; leave out --device %s and --precision %s", o.Device, o.Precision)
		}
		o.Device = flags.Device{Kind: "cpu"}
	}
	outputs := []flags.File{{Name: "sheet", Path: o.sheet, Picture: true}}
	for i, r := range o.runs() {
		if i == 0 || r.out != o.out { // a device takes them all
			outputs = append(outputs, flags.File{Name: "out", Path: r.out, Endings: append([]string{".npy", ".csv"}, samples.Endings()...)})
		}
		outputs = append(outputs, flags.File{Name: "plot", Path: r.plot, Picture: true}, flags.File{Name: "weights", Path: r.tilt.weights})
		if len(o.trajectory) > 0 {
			states, times := r.trajectoryFiles()
			outputs = append(outputs, flags.File{Name: "trajectory", Path: states}, flags.File{Name: "trajectory", Path: times})
		}
	}
	return o, flags.CheckOutputs(outputs, []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "reward", Path: o.tilt.reward}})
}

// trajectoryFiles are the names of what --trajectory writes.
func (o options) trajectoryFiles() (states, times string) {
	base := strings.TrimSuffix(o.out, filepath.Ext(o.out))
	if samples.IsFolder(o.out) {
		base = filepath.Clean(o.out)
	}
	return base + "-trajectory.npy", base + "-times.npy"
}

// table is the sampler that the options name; the flags have checked the names.
func (o options) table(schedule solver.Schedule) (solver.TableOptions, error) {
	sampler, err := solver.ParseSampler(o.sampler)
	if err != nil {
		return solver.TableOptions{}, err
	}
	grid, err := solver.ParseGrid(o.grid)
	if err != nil {
		return solver.TableOptions{}, err
	}
	if err := o.h.Suits(schedule); err != nil {
		return solver.TableOptions{}, err
	}
	last, err := solver.ParseLastNoise(o.lastNoise)
	table := solver.TableOptions{Sampler: sampler, Grid: grid, Steps: o.steps, LastNoise: last, Denoise: o.denoise}
	return table.WithStrength(o.h, schedule), err
}
