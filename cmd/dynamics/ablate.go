package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/dynamics/sequence"
	"hbar/nets"
)

type ablateOptions struct {
	task, text, decoder, json  string
	modes, width, window       int
	steps, batch, seeds        int
	rate                       float64
	seed                       uint64
	distractors, recallSymbols int
}

// ablateRun is one trained model.
type ablateRun struct {
	Kind       string  `json:"kind"`
	Seed       uint64  `json:"seed"`
	Parameters int     `json:"parameters"`
	Within     num     `json:"bits_within"` // a character, held out, inside the training window
	Beyond     num     `json:"bits_beyond"` // at three to four windows
	Growing    int     `json:"growing_modes"`
	MedianTau  num     `json:"median_tau"` // of the modes that decay, in characters; null without
	Learned    *int    `json:"steps_to_learn,omitempty"`
	Diverged   *int    `json:"diverged_at_step,omitempty"` // then bits are null
	Seconds    float64 `json:"seconds"`
}

// estimate is a mean over seeds with its standard error; null with one seed.
type estimate struct {
	Mean   num `json:"mean"`
	StdErr num `json:"stderr"`
}

type ablateSummary struct {
	Kind   string    `json:"kind"`
	Within estimate  `json:"bits_within"`
	Beyond estimate  `json:"bits_beyond"`
	Gap    *estimate `json:"within_minus_dissipative,omitempty"` // paired over seeds
	GapOut *estimate `json:"beyond_minus_dissipative,omitempty"`
}

type ablateResult struct {
	Options map[string]any  `json:"options"`
	Train   int             `json:"train_characters"`
	Test    int             `json:"test_characters"`
	Symbols int             `json:"symbols"`
	Clamped bool            `json:"growth_clamped_beyond"`
	Summary []ablateSummary `json:"summary"`
	Runs    []ablateRun     `json:"runs"`
}

func (o *ablateOptions) define() *flags.Set {
	s := flags.New("dynamics ablate", "Compares models of symbols whose linear memory may decay (dissipative), may not (conservative, a Hamiltonian system), or is free, "+
		"at equal parameters and on the same training sequences: bits a character that was held out, inside the training window and beyond it.")
	g := s.Group("Task")
	g.Choice(&o.task, "task", []string{"text", "recall"}, "the characters of a text; or a counter-example: to name the first symbol of a sequence after distractors")
	g.String(&o.text, "text", "FILE", "UTF-8, at least 10 000 characters, of which the last tenth is held out")
	g.Int(&o.distractors, "distractors", "COUNT", flags.Between(1, 10_000), "of --task recall")
	g = s.Group("Model")
	g.Int(&o.modes, "modes", "N", flags.Between(1, 4096), "complex modes of the memory")
	g.Int(&o.width, "width", "D", flags.Between(1, 4096), "outputs of the memory")
	g.Choice(&o.decoder, "decoder", []string{"linear", "mlp"}, "from these to symbols: linear, or LayerNorm → 4D → SiLU")
	g.Int(&o.window, "window", "T", flags.Between(8, 8192), "of --task text: characters of a training sequence; the first quarter of a window is context and not scored")
	g = s.Group("Training")
	g.Int(&o.steps, "steps", "STEPS", flags.Between(1, 10_000_000), "of Adam")
	g.Int(&o.batch, "batch", "COUNT", flags.Between(1, 4096), "sequences in a step")
	g.Float(&o.rate, "lr", "RATE", flags.Positive, "of learning at its top")
	g.Int(&o.seeds, "seeds", "COUNT", flags.Between(1, 1000), "trainings of each kind; differences are paired over them")
	g.Uint64(&o.seed, "seed", "SEED", "the first of them")
	g = s.Group("Output")
	g.String(&o.json, "json", "FILE.json", "runs and summaries")
	s.Note("\"Beyond\" scores the last quarter of windows four times as long as those of training. A free model's growing modes are clamped there to be neutral: they would overflow.")
	s.Example("go run ./cmd/dynamics ablate --text /usr/share/common-licenses/GPL-3 --decoder mlp --json ablate.json", "")
	s.Example("go run ./cmd/dynamics ablate --task recall --steps 1000", "what conservation is good for")
	return s
}

func runAblate(ctx context.Context, args []string, io ui.Streams) error {
	o := ablateOptions{task: "text", decoder: "linear", modes: 16, width: 64, window: 128, steps: 1500, batch: 16, seeds: 3, rate: 4e-3, distractors: 100, recallSymbols: 18}
	set := o.define()
	if err := set.Parse(args, io.Out); err != nil {
		return err
	}
	if err := o.unused(set); err != nil {
		return err
	}
	if o.task == "text" && o.text == "" {
		return ui.Usagef("--text FILE is missing: name the text, at least 10 000 characters")
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "json", Path: o.json}}, []flags.File{{Name: "text", Path: o.text}}); err != nil {
		return err
	}
	res := &ablateResult{Options: map[string]any{"task": o.task, "text": o.text, "modes": o.modes, "width": o.width, "decoder": o.decoder, "window": o.window,
		"steps": o.steps, "batch": o.batch, "lr": o.rate, "seeds": o.seeds, "seed": o.seed, "distractors": o.distractors}, Symbols: o.recallSymbols, Clamped: true}
	var text *sequence.Text
	if o.task == "text" {
		var err error
		if text, err = o.read(); err != nil {
			return err
		}
		res.Train, res.Test, res.Symbols = len(text.Train), len(text.Test), text.Symbols
		fmt.Fprintf(io.Out, "text      %s: %s to train on, %s held out, %s\n", o.text, plural(res.Train, "character", "characters"), ui.Count(int64(res.Test)), plural(text.Symbols, "symbol", "symbols"))
	}
	p := ui.NewProgress(io.Err, "steps", 0, int64(len(nets.MemoryKinds)*o.seeds*o.steps), nil)
	for s := range o.seeds {
		for _, kind := range nets.MemoryKinds {
			r, err := o.train(ctx, p, int64(len(res.Runs)*o.steps), kind, o.seed+uint64(s), text, res.Symbols)
			if err != nil {
				p.Done()
				if errors.Is(err, context.Canceled) {
					return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
				}
				return err
			}
			res.Runs = append(res.Runs, *r)
		}
	}
	p.Done()
	if !slices.ContainsFunc(res.Runs, func(r ablateRun) bool { return r.Diverged == nil }) {
		return fmt.Errorf("training diverges in all %d runs, in the first at step %d: take a lower --lr than %g", len(res.Runs), *res.Runs[0].Diverged, o.rate)
	}
	res.summarise()
	o.report(io.Out, res)
	if o.json != "" {
		if err := rundir.WriteJSON(o.json, res); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.json)
	}
	return nil
}

// read reads the text, and checks that windows fit in it.
func (o *ablateOptions) read() (*sequence.Text, error) {
	st, err := os.Stat(o.text)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > 1<<30 {
		return nil, fmt.Errorf("--text %s: not a regular file of at most 1 GiB", o.text)
	}
	b, err := os.ReadFile(o.text)
	if err != nil {
		return nil, err
	}
	text, err := sequence.ReadText(b)
	if err != nil {
		return nil, fmt.Errorf("--text %s: %w", o.text, err)
	}
	if 4*o.window+1 > len(text.Test) {
		return nil, fmt.Errorf("--text %s: %d characters are held out; windows beyond the training window take %d: take a longer text or a shorter --window", o.text, len(text.Test), 4*o.window+1)
	}
	return text, nil
}

// train trains and evaluates one model.
func (o *ablateOptions) train(ctx context.Context, p *ui.Progress, done int64, kind nets.MemoryKind, seed uint64, text *sequence.Text, symbols int) (*ablateRun, error) {
	began := time.Now()
	length, scored, draw := o.window, o.window, sequence.Recall(symbols)
	if text != nil {
		draw = sequence.Windows(text.Train)
	} else {
		length, scored = o.distractors+2, 1
	}
	m, err := sequence.New(nets.Memory{Kind: kind, Inputs: symbols, Outputs: symbols, Symbols: true, Modes: o.modes, Width: o.width, MLP: o.decoder == "mlp", Window: length}, seed)
	if err != nil {
		return nil, err
	}
	r := &ablateRun{Kind: string(kind), Seed: seed, Parameters: m.Parameters(), MedianTau: num(math.NaN())}
	smooth := math.NaN()
	err = sequence.Train(ctx, m, draw.Example(m), sequence.TrainOptions{Steps: o.steps, Batch: o.batch, Rate: o.rate, Seed: seed, Scored: scored, Report: func(step int, loss float64) error {
		if smooth != smooth {
			smooth = loss
		}
		smooth += 0.05 * (loss - smooth)
		if text == nil && r.Learned == nil && smooth < 0.1 {
			n := step + 1
			r.Learned = &n
		}
		return p.Report(done+int64(step)+1, ui.Field{Name: "bits", Value: smooth / math.Ln2})
	}})
	var diverged *sequence.DivergedError
	if errors.As(err, &diverged) {
		n := diverged.Step + 1
		r.Diverged = &n
		r.Within, r.Beyond, r.Seconds = num(math.NaN()), num(math.NaN()), time.Since(began).Seconds()
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if text == nil {
		r.Within, r.Beyond = num(smooth/math.Ln2), num(math.NaN())
	} else {
		within, err := m.Evaluate(ctx, text.Test, o.window/4, o.window)
		if err != nil {
			return nil, err
		}
		beyond, err := m.Evaluate(ctx, text.Test, 3*o.window, 4*o.window)
		if err != nil {
			return nil, err
		}
		r.Within, r.Beyond = num(within/math.Ln2), num(beyond/math.Ln2)
	}
	var decays []float64
	for _, tau := range m.Times() {
		switch {
		case tau < 0:
			r.Growing++
		case !math.IsInf(tau, 0):
			decays = append(decays, tau)
		}
	}
	if slices.Sort(decays); len(decays) > 0 {
		r.MedianTau = num(decays[len(decays)/2])
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// summarise takes means over seeds and paired differences.
func (r *ablateResult) summarise() {
	column := func(kind nets.MemoryKind, f func(ablateRun) num) []float64 {
		var v []float64
		for _, run := range r.Runs {
			if run.Kind == string(kind) {
				v = append(v, float64(f(run)))
			}
		}
		return v
	}
	within := func(a ablateRun) num { return a.Within }
	beyond := func(a ablateRun) num { return a.Beyond }
	difference := func(a, b []float64) *estimate {
		d := make([]float64, len(a))
		for i := range d {
			d[i] = a[i] - b[i]
		}
		e := mean(d)
		return &e
	}
	for _, kind := range nets.MemoryKinds {
		s := ablateSummary{Kind: string(kind), Within: mean(column(kind, within)), Beyond: mean(column(kind, beyond))}
		if kind != nets.Dissipative {
			s.Gap = difference(column(kind, within), column(nets.Dissipative, within))
			s.GapOut = difference(column(kind, beyond), column(nets.Dissipative, beyond))
		}
		r.Summary = append(r.Summary, s)
	}
}

func mean(x []float64) estimate {
	m, s, n := 0.0, 0.0, float64(len(x))
	for _, v := range x {
		m += v / n
	}
	for _, v := range x {
		s += (v - m) * (v - m)
	}
	return estimate{num(m), num(math.Sqrt(s / (n - 1) / n))}
}

// modes are the number of parameters of a kind, and means over its runs that did not diverge: of the growing modes and of the median
// decay time. They are NaN where all runs diverged.
func (r *ablateResult) modes(kind string) (params int, growing, tau float64) {
	n := 0.0
	for _, run := range r.Runs {
		if run.Kind != kind {
			continue
		}
		params = run.Parameters
		if run.Diverged == nil {
			growing, tau, n = growing+float64(run.Growing), tau+float64(run.MedianTau), n+1
		}
	}
	return params, growing / n, tau / n
}

func (o *ablateOptions) report(w io.Writer, r *ablateResult) {
	for _, run := range r.Runs {
		if run.Diverged != nil {
			fmt.Fprintf(w, "diverged  %s, seed %d: at step %d of %d, so that mean bits of its kind are not known; a lower --lr than %g may help\n", run.Kind, run.Seed, *run.Diverged, o.steps, o.rate)
		}
	}
	show := func(e *estimate) string {
		if e == nil || math.IsNaN(float64(e.Mean)) {
			return ""
		}
		if s := float64(e.StdErr); s-s == 0 {
			return fmt.Sprintf("%.4f ± %.4f", float64(e.Mean), s)
		}
		return fmt.Sprintf("%.4f", float64(e.Mean))
	}
	if o.task == "recall" {
		for _, run := range r.Runs {
			if run.Diverged != nil {
				continue
			}
			learned := "not learned"
			if run.Learned != nil {
				learned = fmt.Sprintf("learned after %d steps", *run.Learned)
			}
			fmt.Fprintf(w, "recall    %s, seed %d: %s; %.3f bits at the end\n", run.Kind, run.Seed, learned, float64(run.Within))
		}
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tparameters\tbits/character\tbeyond the window\tminus dissipative\tbeyond\tgrowing modes\tmedian τ\t")
	for _, s := range r.Summary {
		params, growing, tau := r.modes(s.Kind)
		growingText, tauText := "", ""
		if growing == growing {
			growingText = fmt.Sprintf("%.1f of %d", growing, o.modes)
		}
		if tau == tau {
			tauText = fmt.Sprintf("%.1f", tau)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Kind, params, show(&s.Within), show(&s.Beyond), show(s.Gap), show(s.GapOut), growingText, tauText)
	}
	t.Flush()
	for _, s := range r.Summary {
		if s.Kind == string(nets.Free) {
			for _, run := range r.Runs {
				if run.Kind == s.Kind && run.Growing > 0 {
					fmt.Fprintln(w, "clamped   beyond the window, growing modes of the free models are held neutral")
					return
				}
			}
		}
	}
}
