package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/data"
	"hbar/internal/memory"
	"hbar/mpi"
	"hbar/solver"
	"hbar/train"
)

// options are all settings of the command; options.json is their JSON form.
type options struct {
	Preset      string `json:"preset"`
	Data        string `json:"data"`
	NData       int    `json:"n_data"`
	Columns     string `json:"columns,omitempty"`
	Header      string `json:"header,omitempty"`
	NoGrids     bool   `json:"no_grids,omitempty"`
	Normalise   string `json:"normalise"`
	TensorBoard bool   `json:"tensorboard,omitempty"`
	flags.Images
	train.Options
	Device flags.Device `json:"device"`
	// Precision of products on a GPU, of networks that are no chains; "" is fp32.
	Precision string            `json:"precision,omitempty"`
	Version   string            `json:"version"`
	Built     map[string]string `json:"built_with,omitempty"`

	out       string
	settings  string // of the schedule
	overwrite bool
	dryRun    bool

	labelDropout bool         // whether it was given
	lock         *rundir.Lock // of Dir
	fresh        bool         // Dir was made for this run
	saved        *options     // with --resume, those of the run
	world        *mpi.World   // the processes that train together; nil: this one alone
}

const (
	presetQuick = "quick"
	presetPaper = "paper"
)

// preset returns the options that a preset stands for.
func preset(name string) options {
	if p, ok := networkPresets[name]; ok {
		return p.options(name)
	}
	o := options{Preset: name, Data: "swissroll", Normalise: data.NormAuto}
	if name == presetQuick { // EDM's prediction learns in 4000 steps what the score itself takes 80000 for
		o.Prediction = "edm"
		o.Steps, o.LR, o.Warmup, o.Decay, o.EMA, o.Importance = 6000, 2e-3, 200, train.DecayCosine, 0.995, true
	}
	prediction := o.Prediction
	o.Options = o.Options.WithDefaults()
	// What WithDefaults derives from other options must be derived again when these are known.
	o.Prediction = prediction
	o.Weight, o.Times, o.GridPoints, o.Workers, o.LogEvery, o.SaveEvery = "", "", 0, 0, 0, 0
	return o
}

// define makes the flags, with o as their defaults.
func define(o *options) *flags.Set {
	s := flags.New("train", "Fits a score network to data by denoising score matching, and draws samples from it. "+
		"Without options: a swiss roll, in well under a minute.")
	g := s.Group("Data")
	g.String(&o.Data, "data", "NAME|FILE", "training data: "+strings.Join(data.Names(), ", ")+", or a file: .npy; .csv, .tsv, .txt or .dat, a table of one sample a line; .idx or .idx.gz; .npz; .bin of CIFAR; .wav; with --text any file of characters; or a folder, .zip, .tar or .tar.gz of PNG or JPEG pictures, or of sounds")
	flags.DefineTable(g, &o.Columns, &o.Header)
	o.Images.Define(g)
	g.Int(&o.NData, "n-data", "N", flags.NonNegative, "number of samples to train on; 0 takes all of a file and 3000 of a synthetic set")
	g.Choice(&o.Normalise, "normalise", append([]string{data.NormAuto}, data.NormKinds()...),
		"scale the data for the network: not at all, by one mean and one scale for the whole set, or by those of each coordinate; auto looks at the data and says what it chose and why: a table goes by coordinate, images and sequences by their range to −1 … 1 where it can be told, else by one scale, a named set keeps its own")

	g = s.Group("What is learnt")
	g.Choice(&o.Schedule, "schedule", solver.AllScheduleNames(), "the forward process from data to noise")
	g.String(&o.settings, "schedule-params", "NAME=VALUE,…", "settings of the schedule in place of the published ones: beta=10,tmin=0.02; block takes its matrices that way, a00, a01, …, q11, s11; a name that the schedule lacks is answered with those it has")
	g.Choice(&o.Prediction, "prediction", solver.PredictionNames(), "what the network says of x at time t: the score, the noise, the data, v, or EDM's preconditioned mixture")
	g.Choice(&o.Weight, "weight", solver.WeightingNames(), "weight of time t in the loss; default g2, for schedules ve and edm edm")
	g.Choice(&o.Times, "times", train.TimesNames(), "how t is drawn: grid (1000 points), uniform, lognormal; default grid, for ve uniform, for edm lognormal")
	g.OnOff(&o.Importance, "importance", "draw t where the loss comes from and reweight: same mean, less variance")

	g = s.Group("Network")
	g.Choice(&o.Net, "net", train.NetNames(), "kind of network: a chain of dense layers, a U-Net (images), or a diffusion transformer (images and sequences)")
	g.Int(&o.Width, "width", "UNITS", flags.Between(0, 1<<14), "units of a hidden layer; of dit, channels, 384; 0 means that")
	g.Int(&o.Depth, "depth", "LAYERS", flags.Between(0, 256), "hidden layers; of dit, blocks, 12; 0 means that")
	g.Choice(&o.Act, "act", train.ActNames(), "activation; silu is the paper's swish")
	g.Bool(&o.Residual, "residual", "skip connections around hidden layers")
	g.Choice(&o.Time, "time", train.TimeNames(), "how t enters: itself, or as random Fourier features")
	g.Int(&o.Fourier, "fourier", "FREQUENCIES", flags.Between(0, 1<<12), "number of Fourier features' frequencies; 0 means 16")
	g.Float(&o.FourierScale, "fourier-scale", "S", flags.NonNegative, "their standard deviation, in cycles per unit of time; 0 means 1")

	o.defineNetworks(s)

	g = s.Group("Optimiser (Adam)")
	g.Int(&o.Steps, "steps", "STEPS", flags.AtLeastOne, "optimiser steps")
	g.Int(&o.Batch, "batch", "ROWS", flags.Between(1, 1<<24), "rows of a batch")
	g.Float(&o.LR, "lr", "RATE", flags.Positive, "learning rate")
	g.Int(&o.Warmup, "warmup", "STEPS", flags.NonNegative, "steps over which the learning rate rises from zero")
	g.Choice(&o.Decay, "decay", train.DecayNames(), "course of the learning rate after that; cosine ends at zero")
	g.Float(&o.WeightDecay, "weight-decay", "RATE", flags.NonNegative, "decoupled weight decay (AdamW), relative to the learning rate")
	g.Float(&o.Clip, "clip", "NORM", flags.NonNegative, "largest norm of the gradient; 0 for no limit")
	g.Float(&o.EMA, "ema", "DECAY", flags.HalfOpen(0, 1), "decay of the averaged weights, which become the result; 0 for none")
	g.Uint64(&o.Seed, "seed", "SEED", "of data, initial weights and batches; the same seed gives the same network")

	g = s.Group("Run")
	g.Choice(&o.Preset, "preset", presetNames(), presetHelp())
	g.String(&o.out, "out", "DIR", "run directory; default runs/DATA-SCHEDULE, numbered if that exists")
	g.Bool(&o.Resume, "resume", "go on with the run in --out, or with the latest one of this data and schedule")
	g.Bool(&o.overwrite, "overwrite", "start anew in a directory that holds a run")
	g.Bool(&o.dryRun, "dry-run", "print the options as they are resolved, and stop")
	g.Device(&o.Device)
	g.Unset(&o.Precision, "precision", []string{cuda.FP32.String(), cuda.TF32.String(), cuda.BF16.String()}, "unet and dit on a GPU: arithmetic of products, with float32 sums, weights and optimiser: fp32, or factors rounded to 11 bits (tf32) or 8 (bf16), which is faster; default fp32")
	g.Refuse("precision", cuda.F16.String(), "gradients need a wider range than half precision has")
	g.Int(&o.Workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores; does not change the result")
	g.Int(&o.SaveEvery, "save-every", "STEPS", flags.NonNegative, "steps between checkpoints; 0 means a tenth of all, at least 1000")
	g.Bool(&o.NoGrids, "no-grids", "do not draw samples of the averaged weights on the way; else networks of images leave samples-STEP.png with a checkpoint, not so often that it would cost much time")
	g.Bool(&o.TensorBoard, "tensorboard", "write event files into the run directory: the figures of the log and the pictures of samples, for tensorboard --logdir")
	g.Int(&o.LogEvery, "log-every", "STEPS", flags.NonNegative, "steps between lines of the log; 0 means a hundredth of all, at most 100")

	s.Note("Ctrl-C saves a checkpoint; the same command with --resume goes on from it, and ends with the same bits as if it had never been stopped; on another device, to rounding.")
	s.Example("go run ./cmd/train", "a swiss roll")
	s.Example("go run ./cmd/train --data gaussians25 --schedule cosine --steps 20000 --out runs/mine", "25 Gaussians, longer, in a directory of your choice")
	s.Example("go run ./cmd/train --preset paper", "80 000 steps as in the paper")
	s.Example("go run ./cmd/train --data points.npy --n-data 5000 --steps 20000", "your own data, the first 5000 rows of n × D")
	s.Example("go run ./cmd/train --data digits --weight sigma2 --width 256 --depth 4 --residual --time fourier", "8×8 images")
	s.Example("go run ./cmd/train --preset mnist --data datasets/mnist/train-images-idx3-ubyte.gz", "28×28 digits, of the files that scripts/get_mnist.sh makes")
	s.Example("go run ./cmd/train --preset text --data book.txt", "characters, as analog bits")
	s.Example("go run -tags gpu ./cmd/train --device cuda", "on the first GPU, or not at all")
	s.Example("go run ./cmd/train --resume", "after Ctrl-C")
	return s
}

// parse reads the command line. A preset or, with --resume, the run's own options are the defaults under it.
func parse(args []string, help io.Writer) (options, error) {
	o := preset(presetQuick)
	s := define(&o)
	if err := s.Parse(args, help); err != nil {
		return o, err
	}
	if o.Resume {
		return resumed(o, args)
	}
	if o.Text && !s.Given("preset") && !s.Given("net") && !s.Given("size") {
		o.Preset = presetText
	}
	if o.Preset != presetQuick {
		o = preset(o.Preset)
		s = define(&o)
		if err := s.Parse(args, help); err != nil {
			return o, err
		}
	}
	return o.resolve(s)
}

// resumed reads the command line over the options of the run that it names.
func resumed(o options, args []string) (options, error) {
	dir := o.out
	if dir == "" {
		var ok bool
		if dir, ok = rundir.Latest(runsDir, o.name()); !ok {
			return o, ui.Usagef("--resume: there is no run %s; name one with --out", filepath.Join(runsDir, o.name()))
		}
	}
	if o.overwrite {
		return o, ui.Usagef("--resume and --overwrite exclude each other")
	}
	if !rundir.Exists(dir, train.StateFile) || !rundir.Exists(dir, optionsFile) {
		return o, ui.Usagef("--resume: %s holds no run: it lacks %s or %s", dir, train.StateFile, optionsFile)
	}
	var saved options
	if err := rundir.ReadJSON(filepath.Join(dir, optionsFile), &saved); err != nil {
		return o, fmt.Errorf("--resume: %w", err)
	}
	o = saved
	o.saved, o.Workers = &saved, 0 // workers are this machine's
	s := define(&o)
	if err := s.Parse(args, io.Discard); err != nil {
		return o, err
	}
	o.out = dir
	o, err := o.resolve(s)
	if err == nil && !data.IsBuiltin(o.Data) && !s.Given("data") {
		if _, e := os.Stat(o.Data); e != nil {
			err = fmt.Errorf("--resume: the data of the run are not there any more: %w; name them by --data", e)
		}
	}
	return o, err
}

// resolve fills in what follows from other options, and checks all of them.
func (o options) resolve(s *flags.Set) (options, error) {
	if err := o.presetFits(s); err != nil {
		return o, err
	}
	if err := o.networkDefaults(s); err != nil {
		return o, err
	}
	if o.WithDefaults().Times == train.TimesLogNormal && !s.Given("importance") {
		o.Importance = false // the preset's, and not for these times
	}
	if err := o.scheduleSettings(); err != nil {
		return o, err
	}
	if err := o.textSettings(s); err != nil {
		return o, err
	}
	if err := o.Options.Validate(); err != nil {
		return o, ui.UsageError{Err: err}
	}
	o.Options = o.Options.WithDefaults()
	if o.Precision == cuda.FP32.String() {
		o.Precision = ""
	}
	if o.Precision != "" && (o.Net == train.NetMLP || o.Device.Kind == "cpu") {
		return o, ui.Usagef("--precision %s is for --net unet and dit on a GPU; chains of dense layers and the CPU train in fp32", o.Precision)
	}
	o.Version, o.Built = train.Versions()
	if !data.IsBuiltin(o.Data) {
		o.Data = flags.Absolute(o.Data) // a resumed run may be in another folder
		if o.Labels != data.NoLabels {
			o.Labels = flags.Absolute(o.Labels)
		}
	}
	return o, nil
}

// scheduleSettings reads --schedule-params.
func (o *options) scheduleSettings() error {
	if o.settings == "" {
		return nil
	}
	o.ScheduleParams = map[string]float64{}
	for part := range strings.SplitSeq(o.settings, ",") {
		name, value, _ := strings.Cut(part, "=")
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return ui.Usagef("--schedule-params: %q is not a setting like beta=10", part)
		}
		o.ScheduleParams[strings.TrimSpace(name)] = v
	}
	return nil
}

// textSettings refuses what does not suit text.
func (o options) textSettings(s *flags.Set) error {
	switch {
	case !o.Text && o.Stride > 0:
		return ui.Usagef("--stride %d is for text; it goes with --text or --preset %s", o.Stride, presetText)
	case !o.Text:
		return nil
	case o.Dequantise && s.Given("dequantise"):
		return ui.Usagef("--dequantise on: analog bits are −1 and 1, read by their signs, and are learnt without noise; leave it out")
	case o.Length == 0:
		return ui.Usagef("--text needs --length: how many characters make a window")
	}
	return nil
}

// refused says why a run cannot be resumed in terms of the command's options.
func (o options) refused(m *train.Mismatch) error {
	differ := m.Differ
	for _, d := range train.Differences(o.saved, o) {
		if slices.Contains([]string{"data", "n_data", "normalise", "columns", "header", "labels", "range", "resize", "crop", "length", "text", "stride"}, d.Name) {
			differ = append(differ, d)
		}
	}
	if len(differ) == 0 {
		return m
	}
	parts := make([]string, len(differ))
	for i, d := range differ {
		parts[i] = fmt.Sprintf("--%s %s, now %s", strings.ReplaceAll(d.Name, "_", "-"), d.Saved, d.Now)
	}
	return fmt.Errorf("--resume: %s was made with other options: %s; leave these out, or begin anew with --overwrite or another --out", o.out, strings.Join(parts, "; "))
}

// dataFits refuses data that do not fit in memory, as far as that is known before they are read.
func (o options) dataFits() error {
	if !data.IsBuiltin(o.Data) {
		st, err := os.Stat(o.Data)
		if err != nil || o.NData > 0 || data.StaysOnDisk(o.Data, st.Size()) {
			return nil // the reader says what is wrong, or reads a part
		}
		if o.Text { // a byte for each of some seven bits of a character, in as many windows as it is in
			windows := data.Options{}
			windows = o.Images.AddTo(windows)
			return memory.Check(memory.Need{{What: "the windows of " + o.Data, Bytes: 7 * float64(st.Size()) * float64(o.Length) / float64(windows.Stride)}}, memory.Available(), nil)
		}
		return memory.Check(memory.Need{{What: "the file " + o.Data, Bytes: float64(st.Size())}}, memory.Available(), nil)
	}
	one, err := data.Load(o.Data, 0, 1, o.Seed)
	if err != nil {
		return err
	}
	need := func(n int) float64 { return o.Options.Need(one.D, n).Total() - o.Options.Need(one.D, 0).Total() }
	return memory.Check(memory.Need{{What: "the data", Bytes: need(o.NData)}}, memory.Available(),
		memory.Suggest(memory.Option{Name: "--n-data", Value: o.NData, Need: need}))
}

// name is what a run is called by default.
func (o options) name() string {
	base := filepath.Base(o.Data)
	for ext := filepath.Ext(base); ext != "" && ext != base; ext = filepath.Ext(base) {
		base = strings.TrimSuffix(base, ext)
	}
	return strings.ReplaceAll(base, ":", "-") + "-" + o.Schedule
}

// read reads the data by load, after their size has been found to fit, and refuses options that they cannot have.
func (o *options) read(load func() (*data.Dataset, error)) (*data.Dataset, error) {
	if err := o.dataFits(); err != nil {
		return nil, err
	}
	set, err := load()
	if err != nil {
		return nil, err
	}
	return set, o.unlabelled(set)
}

// load makes or reads the data, in units the network is to see, and settles how these are scaled.
func (o *options) load() (*data.Dataset, error) {
	set, err := data.LoadWith(o.Data, o.Images.AddTo(data.Options{N: o.NData, Seed: o.Seed, Columns: o.Columns, Header: o.Header}))
	if err != nil || o.Normalise == data.NormAuto && data.IsBuiltin(o.Data) && o.Range == nil {
		return set, err
	}
	o.Normalise, err = set.Normalise(o.Normalise)
	return set, err
}
