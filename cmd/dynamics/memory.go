package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/dynamics"
	"hbar/dynamics/sequence"
	"hbar/internal/atomicfile"
	"hbar/nets"
)

// scanOptions are those of fit --method scan.
type scanOptions struct {
	modes, width, encoder, window int
	decoder                       string
	steps, batch                  int
	rate                          float64
}

func defaultScan() scanOptions {
	return scanOptions{modes: 16, width: 64, window: 128, decoder: "linear", steps: 1500, batch: 16, rate: 4e-3}
}

var scanFlags = []string{"modes", "width", "encoder", "window", "decoder", "steps", "batch", "lr"}

func (s *scanOptions) define(g *flags.Group) {
	g.Int(&s.modes, "modes", "N", flags.Between(1, 4096), "complex modes of the memory; --kind says what they may do")
	g.Int(&s.width, "width", "D", flags.Between(1, 4096), "outputs of the memory")
	g.Int(&s.encoder, "encoder", "UNITS", flags.Between(0, 4096), "lift the rows by a network of this many units, which is learned with the rest; 0: the rows themselves")
	g.Choice(&s.decoder, "decoder", []string{"linear", "mlp"}, "from the memory to the next row: linear, or LayerNorm → 4D → SiLU")
	g.Int(&s.window, "window", "T", flags.Between(2, 8192), "steps of a training sequence")
	g.Int(&s.steps, "steps", "STEPS", flags.Between(1, 10_000_000), "of Adam")
	g.Int(&s.batch, "batch", "COUNT", flags.Between(1, 4096), "sequences in a step of Adam")
	g.Float(&s.rate, "lr", "RATE", flags.Positive, "of learning at its top")
}

func (s *scanOptions) record() map[string]any {
	return map[string]any{"modes": s.modes, "width": s.width, "encoder": s.encoder, "window": s.window, "decoder": s.decoder, "steps": s.steps, "batch": s.batch, "lr": s.rate}
}

// check reports options of one method that are given with another.
func (s *scanOptions) check(o *fitOptions, set *flags.Set, others bool) error {
	if o.method == "scan" {
		if others {
			return ui.Usagef("--delays, --poly, --fourier, --rank, --order and --noise belong to other methods; --method scan has --modes, --encoder and --decoder")
		}
		return nil
	}
	for _, name := range scanFlags {
		if set.Given(name) {
			return ui.Usagef("--%s belongs to --method scan", name)
		}
	}
	return nil
}

// scanFit is a fit with its likelihood.
type scanFit struct {
	fit  *sequence.Fit
	info scanInfo
}

type scanInfo struct {
	Kind         string `json:"kind"`
	Modes        int    `json:"modes"`
	Parameters   int    `json:"parameters"`
	LogLik       num    `json:"loglik"` // nats, of the data
	Observations int    `json:"observations"`
	Loss         num    `json:"loss"` // mean of the last batches, nats a row in units of the standard deviations
	Clamped      int    `json:"growth_clamped"`
}

func (s *scanFit) summary() string {
	lift := ""
	if s.fit.Encoder > 0 {
		lift = fmt.Sprintf(" on a network of %s", plural(s.fit.Encoder, "unit", "units"))
	}
	return fmt.Sprintf("likelihood of the next row, %s memory of %s%s, %s", s.info.Kind, plural(s.info.Modes, "mode", "modes"), lift, plural(s.info.Parameters, "parameter", "parameters"))
}

// memory fits by the scan.
func (o *fitOptions) memory(io ui.Streams) func(ctx context.Context, data *dynamics.Data) (*fitted, error) {
	return func(ctx context.Context, data *dynamics.Data) (*fitted, error) {
		s := &o.scan
		p := ui.NewProgress(io.Err, "steps", 0, int64(s.steps), nil)
		smooth := math.NaN()
		f, err := sequence.FitData(ctx, data, o.text(), sequence.FitOptions{
			Net: nets.Memory{Kind: nets.MemoryKind(o.kind), Modes: s.modes, Width: s.width, Encoder: s.encoder, MLP: s.decoder == "mlp", Window: s.window},
			Train: sequence.TrainOptions{Steps: s.steps, Batch: s.batch, Rate: s.rate, Seed: o.lift.Seed, Report: func(step int, loss float64) error {
				if smooth != smooth {
					smooth = loss
				}
				smooth += 0.05 * (loss - smooth)
				return p.Report(int64(step)+1, ui.Field{Name: "nats", Value: smooth})
			}}})
		p.Done()
		if err != nil {
			return nil, err
		}
		l, clamped, err := f.LogLik(ctx, data)
		if err != nil {
			return nil, err
		}
		out := &fitted{scan: &scanFit{fit: f, info: scanInfo{Kind: string(f.Kind), Modes: f.Modes, Parameters: f.Parameters(), LogLik: num(l.LogLik),
			Observations: l.Observations, Loss: num(smooth), Clamped: clamped}}, modes: f.ModeList()}
		out.notes = append(out.notes, "modes of a learned memory have no intervals: many memories make the same sequences")
		if clamped > 0 {
			out.notes = append(out.notes, clampedNote(clamped))
		}
		return out, nil
	}
}

func clampedNote(n int) string {
	return fmt.Sprintf("%s held neutral beyond the window of training", plural(n, "growing mode is", "growing modes are"))
}

// memoryModel is a model that fit --method scan wrote, in use.
type memoryModel struct {
	fit     *sequence.Fit
	clamped int
}

// loadModel reads a model of either form.
func loadModel(path string) (*dynamics.Model, *memoryModel, error) {
	if f, err := sequence.Load(path); err == nil {
		return nil, &memoryModel{fit: f}, nil
	} else if !errors.Is(err, sequence.ErrOther) {
		return nil, nil, err
	}
	m, err := dynamics.LoadModel(path)
	return m, nil, err
}

func (m *memoryModel) reportClamped(io ui.Streams) {
	if m.clamped > 0 {
		fmt.Fprintf(io.Out, "clamped   %s\n", clampedNote(m.clamped))
	}
}

// takes refuses a text for a model of numbers, and numbers for a model of characters.
func (m *memoryModel) takes(text bool) error {
	switch {
	case m.fit.Scale.Symbols == text:
		return nil
	case text:
		return errors.New("the data are a text, and the model is of numbers")
	}
	return errors.New("the model is of characters: give it a text, .txt or .md")
}

// generate draws sequences and writes them.
func (m *memoryModel) generate(ctx context.Context, o *generateOptions, ext string, io ui.Streams) error {
	s := &m.fit.Scale
	switch {
	case o.times != "":
		return ui.Usagef("--times: this model has equal steps of %.6g; use --steps", s.Dt)
	case o.dt != 0 && math.Abs(o.dt-s.Dt) > 1e-9*s.Dt:
		return ui.Usagef("--dt %g: this model has steps of %.6g", o.dt, s.Dt)
	case ext == ".txt" && !s.Symbols:
		return ui.Usagef("--out %s: this model is of numbers; write .npz, .npy or .csv", o.out)
	case float64(o.n)*float64(o.steps)*float64(m.fit.Outputs) > 1<<28:
		return ui.Usagef("%d sequences of %d times of %d outputs are more than 2²⁸ numbers; ask for fewer", o.n, o.steps, m.fit.Outputs)
	}
	const at = 256 // sequences at once
	var records []*dynamics.Record
	var lik []float64
	for lo := 0; lo < o.n; lo += at {
		r, l, clamped, err := m.fit.Generate(ctx, o.steps, o.seed, lo, min(at, o.n-lo))
		if ctx.Err() != nil {
			return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
		}
		if err != nil {
			return err
		}
		for i := range r {
			records = append(records, &r[i])
		}
		lik, m.clamped = append(lik, l...), clamped
	}
	m.reportClamped(io)
	report(io, lik, o.steps)
	if ext == ".txt" {
		if err := atomicfile.WriteFile(o.out, []byte(m.text(records))); err != nil {
			return err
		}
	} else if err := write(o.out, ext, records, lik, m.fit.Outputs, s.Names); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	return nil
}

// text is the characters of sequences, one after the other with a line between; characters that share an output are shown as �.
func (m *memoryModel) text(records []*dynamics.Record) string {
	var b strings.Builder
	p := m.fit.Outputs
	for k, r := range records {
		if k > 0 {
			b.WriteByte('\n')
		}
		for i := range r.Len() {
			name := m.fit.Scale.Names[slices.Index(r.Row(i, p), 1)]
			if c, err := strconv.Unquote(name); err == nil {
				b.WriteString(c)
			} else {
				b.WriteRune('\ufffd')
			}
		}
	}
	return b.String()
}
