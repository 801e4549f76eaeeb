package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/dynamics"
	"hbar/internal/atomicfile"
)

type generateOptions struct {
	model, times, out string
	n, steps          int
	dt                float64
	seed              uint64
}

func runGenerate(ctx context.Context, args []string, io ui.Streams) error {
	o := generateOptions{n: 1, steps: 1000, out: "sequences.npz"}
	s := flags.New("dynamics generate", "Draws sequences of a model, each with its exact log density in nats.")
	g := s.Group("Model")
	g.String(&o.model, "model", "FILE", "what fit wrote, or an .npz of A, Q, C, R, m0, P0")
	g = s.Group("Sequences")
	g.Int(&o.n, "n", "COUNT", flags.Between(1, 1_000_000), "how many")
	g.Int(&o.steps, "steps", "TIMES", flags.Between(1, 10_000_000), "times of each")
	g.Float(&o.dt, "dt", "STEP", flags.NonNegative, "between times; 0: the step of the model's data, or 1")
	g.String(&o.times, "times", "FILE", "times of the sequences in place of --steps and --dt, as an .npy")
	g.Uint64(&o.seed, "seed", "SEED", "sequence k of a seed is the same however many are drawn")
	g = s.Group("Output")
	g.String(&o.out, "out", "FILE", ".npz with x (n × times × outputs), times and loglik; .npy with x alone; .csv; or .txt for characters")
	s.Note("A mode whose growth over the sequence would leave the range of numbers is clamped to be neutral, and so are features that diverge; the command says so. The log density is then that of the clamped model.")
	s.Example("go run ./cmd/dynamics generate --model model.json --n 5 --steps 2000 --out sequences.npz", "")
	if err := s.Parse(args, io.Out); err != nil {
		return err
	}
	if o.times != "" && (s.Given("steps") || s.Given("dt")) {
		return ui.Usagef("--times names all times of a sequence, which --steps and --dt do otherwise; leave out --times, or --steps and --dt")
	}
	if o.model == "" {
		return ui.Usagef("--model FILE is missing: name what fit wrote, or an .npz of A, Q, C, R, m0, P0")
	}
	ext := strings.ToLower(filepath.Ext(o.out))
	if ext != ".npz" && ext != ".npy" && ext != ".csv" && ext != ".txt" {
		return ui.Usagef("--out %s: sequences are written as .npz, .npy or .csv, texts as .txt", o.out)
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "out", Path: o.out}}, []flags.File{{Name: "model", Path: o.model}, {Name: "times", Path: o.times}}); err != nil {
		return err
	}
	m, memory, err := loadModel(o.model)
	if err != nil {
		return err
	}
	if memory != nil {
		return memory.generate(ctx, &o, ext, io)
	}
	if ext == ".txt" {
		return ui.Usagef("--out %s: this model is of numbers; write .npz, .npy or .csv", o.out)
	}
	times, err := o.grid(m)
	if err != nil {
		return err
	}
	if float64(o.n)*float64(len(times))*float64(m.Outputs()) > 1<<28 {
		return ui.Usagef("%d sequences of %d times of %d outputs are more than 2²⁸ numbers; ask for fewer", o.n, len(times), m.Outputs())
	}
	records, lik, err := o.draw(ctx, io, m, times)
	if err != nil {
		return err
	}
	report(io, lik, len(times))
	if err := write(o.out, ext, records, lik, m.Outputs(), m.Names); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	return nil
}

// grid are the times of the sequences.
func (o *generateOptions) grid(m *dynamics.Model) ([]float64, error) {
	if o.times != "" {
		a, err := npz.ReadNpy(o.times)
		if err != nil {
			return nil, err
		}
		one := dynamics.Data{P: 1, Records: []dynamics.Record{{Times: a.X, X: make([]float64, len(a.X))}}}
		if err := one.Validate(); err != nil {
			return nil, fmt.Errorf("--times %s: %w", o.times, err)
		}
		if m.Lifted != nil {
			return nil, ui.Usagef("--times: this model has equal steps of %g; use --steps", m.Lifted.Dt)
		}
		return a.X, nil
	}
	step, fixed := 0.0, 0.0
	switch {
	case m.Lifted != nil:
		fixed = m.Lifted.Dt
	case m.Space.System == nil:
		fixed = m.Space.Dt
	}
	step = o.dt
	if step == 0 {
		if step = fixed; step == 0 {
			step = 1
		}
	}
	if m.Lifted != nil && math.Abs(step-fixed) > 1e-9*fixed {
		return nil, ui.Usagef("--dt %g: this model has steps of %g", step, fixed)
	}
	t := make([]float64, o.steps)
	for i := range t {
		t[i] = step * float64(i)
	}
	return t, nil
}

// draw generates the sequences and computes their log densities.
func (o *generateOptions) draw(ctx context.Context, io ui.Streams, m *dynamics.Model, times []float64) ([]*dynamics.Record, []float64, error) {
	span := times[len(times)-1] - times[0]
	space := m.Space
	if space != nil {
		clamped, grown, err := space.ClampGrowth(span)
		if err != nil {
			return nil, nil, err
		}
		for _, l := range grown {
			fmt.Fprintf(io.Out, "clamped   λ = %.4g%+.4gi grows by e^%.0f over these times: its growth is set to 0\n", real(l), imag(l), real(l)*span)
		}
		space = clamped
	}
	var records []*dynamics.Record
	var lik []float64
	clamped, noted := 0, false
	for k := range o.n {
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
		}
		var r *dynamics.Record
		var err error
		bad := 0 // snapshots of this sequence
		if space != nil {
			r, err = space.Generate(times, o.seed, uint64(k))
		} else {
			r, bad, err = m.Lifted.Generate(len(times), o.seed, uint64(k))
			clamped += bad
		}
		if err != nil {
			return nil, nil, err
		}
		data := &dynamics.Data{P: m.Outputs(), Records: []dynamics.Record{*r}}
		l := dynamics.Likelihood{LogLik: math.NaN()}
		if space != nil {
			l, err = space.LogLik(data)
		} else if bad == 0 {
			l, err = m.Lifted.LogLik(data)
		}
		if err != nil {
			l.LogLik = math.NaN()
			if !noted {
				fmt.Fprintf(io.Out, "note      the log density of sequence %d, and perhaps of later ones, is not known: %s\n", k, strings.TrimPrefix(err.Error(), "dynamics: "))
				noted = true
			}
		}
		records, lik = append(records, r), append(lik, l.LogLik)
	}
	if clamped > 0 {
		fmt.Fprintf(io.Out, "clamped   %s diverged and were limited to 1000 standard deviations; their sequences have no density\n", plural(clamped, "snapshot", "snapshots"))
	}
	return records, lik, nil
}

func report(io ui.Streams, lik []float64, times int) {
	mean, square := 0.0, 0.0
	n := float64(len(lik))
	for _, v := range lik {
		mean += v / n
	}
	for _, v := range lik {
		square += (v - mean) * (v - mean)
	}
	s := fmt.Sprintf("drawn     %s of %s", plural(len(lik), "sequence", "sequences"), plural(times, "time", "times"))
	if mean == mean {
		s += fmt.Sprintf("; log p %.4f nats", mean)
	}
	if n > 1 && mean == mean {
		s += fmt.Sprintf(" ± %.4f (standard error of the mean)", math.Sqrt(square/(n-1)/n))
	}
	fmt.Fprintln(io.Out, s)
}

func write(path, ext string, records []*dynamics.Record, lik []float64, p int, names []string) error {
	n := records[0].Len()
	if ext == ".csv" {
		return writeCSV(path, records, p, names)
	}
	x := &npz.Array{Shape: []int{len(records), n, p}}
	for _, r := range records {
		x.X = append(x.X, r.X...)
	}
	if len(records) == 1 {
		x.Shape = x.Shape[1:]
	}
	if ext == ".npy" {
		return npz.WriteNpy(path, x)
	}
	return npz.Write(path, map[string]*npz.Array{"x": x, "times": {Shape: []int{n}, X: records[0].Times}, "loglik": {Shape: []int{len(lik)}, X: lik}})
}

func writeCSV(path string, records []*dynamics.Record, p int, outputs []string) error {
	var b bytes.Buffer
	names := dynamics.Data{P: p, Names: outputs}
	b.WriteString("trajectory,time")
	for j := range p {
		b.WriteString("," + strings.ReplaceAll(names.Name(j), ",", ";"))
	}
	b.WriteByte('\n')
	for k, r := range records {
		for i, t := range r.Times {
			b.WriteString(strconv.Itoa(k) + "," + strconv.FormatFloat(t, 'g', -1, 64))
			for _, v := range r.Row(i, p) {
				b.WriteString("," + strconv.FormatFloat(v, 'g', -1, 64))
			}
			b.WriteByte('\n')
		}
	}
	return atomicfile.WriteFile(path, b.Bytes())
}
