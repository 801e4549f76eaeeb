package main

import (
	"io"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
)

// The values of --layout and --precision.
const (
	channelsLast  = "channels-last"
	channelsFirst = "channels-first"
	fp32          = "fp32"
	fp64          = "fp64"
)

// options are all settings of the command.
type options struct {
	Checkpoint string
	JSON       string

	Eval, Out string
	Layout    string
	Precision string
	Compare   string
	Tol       float64

	Bench   bool
	Batch   int
	Repeats int

	Device  flags.Device
	Workers int
}

func defaults() options {
	return options{Layout: channelsLast, Precision: fp32, Tol: 1e-4, Batch: 8, Repeats: 5, Device: flags.Device{Kind: "cpu"}}
}

// define makes the flags, with o as their defaults.
func define(o *options) *flags.Set {
	s := flags.New("inspect", "Shows what a checkpoint holds. With --eval it evaluates the network itself and its derivatives at given inputs, "+
		"with --bench it measures how fast this machine runs and trains it, on its cores or a GPU.")
	g := s.Group("Model")
	g.String(&o.Checkpoint, "checkpoint", "FILE|DIR", "model.safetensors of cmd/train, an MLP saved by PyTorch, or a directory with config.json and diffusion_pytorch_model.safetensors or model.safetensors (required)")
	g.String(&o.JSON, "json", "FILE.json", "also write the report, the comparison or the measurement as JSON")

	g = s.Group("Evaluation")
	g.String(&o.Eval, "eval", "FILE.npz", "evaluate the network at these arrays, which are listed below")
	g.String(&o.Out, "out", "FILE.npz", "the results: float32 arrays, with --precision fp64 float64 ones")
	g.Choice(&o.Layout, "layout", []string{channelsLast, channelsFirst}, "of arrays with channels in all files: n × H × W × C and n × T × C, or n × C × H × W and n × C × T")
	g.Choice(&o.Precision, "precision", []string{fp32, fp64, cuda.TF32.String(), cuda.BF16.String(), cuda.F16.String()}, "of --eval and --bench: fp32 runs the kernels that sampling and training use; fp64 the definitions of the operations, slowly, and not for --bench; tf32, bf16 and f16 are for --device cuda, and in f16 --bench measures no training")
	g.String(&o.Compare, "compare", "FILE.npz", "print the differences of the results from the arrays of the same names in this file; the exit status is 1 if one is larger than --tol")
	g.Float(&o.Tol, "tol", "TOLERANCE", flags.NonNegative, "what --compare allows: the largest difference in an array over the largest absolute value that it has in the file")

	g = s.Group("Measurement")
	g.Bool(&o.Bench, "bench", "measure the network forward, its VJP in x, and a step of training with Adam")
	g.Int(&o.Batch, "batch", "SAMPLES", flags.Between(1, 1_000_000), "samples of a batch")
	g.Int(&o.Repeats, "repeats", "N", flags.Between(1, 1000), "times that each is measured, after one run that is not; the median counts")

	g = s.Group("Run")
	g.Device(&o.Device)
	g.Int(&o.Workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores")

	s.Note("The report lists the layers in the order in which they run. Multiply-adds are those of matrix products and convolutions for one sample, counted directly. " +
		"The memory of a layer is that of the float32 values it writes for one sample; the working memory of the network is less than their sum, because values share memory.")
	s.Note("--eval takes x (n samples), t (n times, as the network takes them: 0 … 999 for most U-Nets and transformers), and y (n labels, whole numbers) if the network has labels. " +
		"Then out is the network at x. With f the network and J = ∂f/∂x, these arrays are optional, shaped like x: u gives jvp = J u; v gives vjp = Jᵀ v; " +
		"probe, called e, gives quad = eᵀ J e (n numbers) and quad_grad, its gradient in x. Samples are in the network's units. " +
		"Of a network that gives a variance too (learn_sigma), f is the first half of the channels.")
	s.Note("--bench counts two floating-point operations for a multiply-add: f of the network forward, 2 f for the VJP, 3 f for training less those of the gradient of the first layer's input. " +
		"ms is the time of the whole batch, gflops the rate, peak_share its part of peak_gflops, which independent multiply-adds reach on the same cores in the same run. Convolutions by Winograd's algorithm need fewer multiply-adds than are counted. " +
		"On a GPU the peak is that of the tensor-core instruction that the products are made of, in registers and in the same precision, and the times contain the way of the batch to the device and of the results back.")
	s.Example("go run ./cmd/inspect --checkpoint runs/swissroll-simple/model.safetensors", "layers, schedule, units and training of a network")
	s.Example("go run ./cmd/inspect --checkpoint ddpm-cifar10-32 --eval in.npz --out out.npz --layout channels-first --compare torch.npz", "is it the network that PyTorch has?")
	s.Example("go run ./cmd/inspect --checkpoint ddpm-cifar10-32 --bench --batch 8 --json bench.json", "what this machine does with this network, before a long run")
	s.Example("go run -tags gpu ./cmd/inspect --checkpoint ddpm-cifar10-32 --bench --batch 256 --device cuda --precision bf16", "the same on a GPU")
	return s
}

// parse reads the command line and checks what flags cannot.
func parse(args []string, help io.Writer) (options, error) {
	o := defaults()
	set := define(&o)
	if err := set.Parse(args, help); err != nil {
		return o, err
	}
	if o.Checkpoint == "" {
		return o, ui.Usagef("--checkpoint FILE|DIR is missing; %s makes one", ui.Program("train"))
	}
	if o.Eval != "" && o.Bench {
		return o, ui.Usagef("--eval and --bench are two tasks; give one")
	}
	for _, name := range []string{"out", "layout", "compare", "tol"} {
		if o.Eval == "" && set.Given(name) {
			return o, ui.Usagef("--%s needs --eval FILE.npz", name)
		}
	}
	if o.Eval == "" && !o.Bench && set.Given("precision") {
		return o, ui.Usagef("--precision needs --eval FILE.npz or --bench")
	}
	switch gpu := o.Device.Kind == "cuda"; {
	case gpu && o.Eval == "" && !o.Bench:
		return o, ui.Usagef("--device %s needs --eval FILE.npz or --bench", o.Device)
	case o.Bench && o.Precision == fp64:
		return o, ui.Usagef("--bench measures fp32 on the CPU, and fp32, tf32, bf16 and f16 on a GPU; fp64 is for --eval")
	case gpu && o.Precision == fp64:
		return o, ui.Usagef("--precision fp64 is for the CPU; a GPU has fp32, tf32, bf16 and f16")
	case o.Device.Kind == "cpu" && o.Precision != fp32 && o.Precision != fp64:
		return o, ui.Usagef("--precision %s needs --device cuda; the CPU has fp32 and fp64", o.Precision)
	}
	for _, name := range []string{"batch", "repeats"} {
		if !o.Bench && set.Given(name) {
			return o, ui.Usagef("--%s needs --bench", name)
		}
	}
	if o.Compare == "" && set.Given("tol") {
		return o, ui.Usagef("--tol needs --compare FILE.npz")
	}
	if o.Eval != "" && o.Out == "" && o.Compare == "" {
		return o, ui.Usagef("--eval needs --out FILE.npz for its results, or --compare FILE.npz")
	}
	outputs := []flags.File{{Name: "out", Path: o.Out, Endings: []string{".npz"}}, {Name: "json", Path: o.JSON}}
	inputs := []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "eval", Path: o.Eval}, {Name: "compare", Path: o.Compare}}
	return o, flags.CheckOutputs(outputs, inputs)
}
