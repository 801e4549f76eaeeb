package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/detect"
	"hbar/internal/atomicfile"
)

func runScore(ctx context.Context, args []string, io ui.Streams) (err error) {
	o := defaults()
	o.n, o.out = 0, "scores.csv"
	s := flags.New("detect score", "Applies a detector that calibrate fitted: for each point the log odds of being one of the model's samples rather than one of the data, with its statistics.")
	o.DefineModel(s.Group("Model"))
	g := s.Group("Points")
	g.String(&o.detector, "detector", "FILE", "what calibrate wrote (required)")
	o.Source.Define(g, "a file or a built-in set, in data units (required)")
	g.Int(&o.n, "n", "COUNT", flags.Between(0, 10_000_000), "how many; 0 means all of a file, 1000 of a built-in set")
	g = s.Group("Output")
	g.String(&o.out, "out", "FILE.csv", "a line for each point: log odds, probability at equal numbers, statistics, whether all are finite")
	loglik.DefineRun(&o.Flags, s.Group("Run"))
	s.Note(about)
	s.Example("go run ./cmd/detect score --checkpoint runs/swissroll-simple/model.safetensors --detector detector.json --data points.npy", "")
	if err := s.Parse(args, io.Out); err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return err
	}
	if o.detector == "" || o.Data == "" {
		return ui.Usagef("--detector FILE and --data FILE are needed: what calibrate wrote, and the points")
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "out", Path: o.out}}, []flags.File{{Name: "checkpoint", Path: o.Checkpoint}, {Name: "data", Path: o.Data}, {Name: "detector", Path: o.detector}}); err != nil {
		return err
	}
	file, err := readDetector(o.detector)
	if err != nil {
		return err
	}
	o.steps, o.quantise, o.Source.Seed = file.Steps, file.Quantise, file.Seed
	net, err := loglik.LoadNetwork(o.Flags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	p, err := net.LoadPoints(o.Source, 0, o.n, 1000)
	if err != nil {
		return err
	}
	p.Introduce(io.Out)
	if err := p.CheckRange(); err != nil {
		return err
	}
	parameters, err := net.ParameterDigest()
	if err != nil {
		return err
	}
	if parameters != file.Parameters {
		fmt.Fprintf(io.Out, "warning   the detector is of %s; under another model it means nothing\n", file.Checkpoint)
	}
	rows, err := o.statistics(ctx, io.Err, net, p.X, p, 2)
	if err != nil {
		return interrupted(err)
	}
	logits := file.Detector.Logits(rows)
	if err := writeScores(o.out, rows, logits); err != nil {
		return err
	}
	mean, above := 0.0, 0
	for _, v := range logits {
		mean += v / float64(len(logits))
		if v > 0 {
			above++
		}
	}
	fmt.Fprintf(io.Out, "scores    %s of %s: mean log odds %.3f, %.1f %% above 0 (AUC of the detector %.3f [%.3f, %.3f])\n", ui.Plural(int64(len(logits)), "point"), p.Name, mean,
		100*float64(above)/float64(len(logits)), file.Report.AUC, file.Report.CI[0], file.Report.CI[1])
	fmt.Fprintf(io.Out, "note      %s\nwritten   %s\n", about, o.out)
	return nil
}

func readDetector(path string) (*detectorFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &detectorFile{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("%s is not what detect calibrate writes: %w", path, err)
	}
	if f.Detector == nil || f.Report == nil || f.Steps < 1 {
		return nil, fmt.Errorf("%s is not what detect calibrate writes: detector, report or steps are missing", path)
	}
	if !slices.Equal(f.Statistics, detect.Names) {
		return nil, fmt.Errorf("%s has other statistics than this version; calibrate again", path)
	}
	return f, f.Detector.Validate()
}

// writeScores writes a table; what is not finite is empty.
func writeScores(path string, rows, logits []float64) error {
	var b bytes.Buffer
	b.WriteString("log_odds,probability")
	for _, n := range detect.Names {
		b.WriteString("," + n)
	}
	b.WriteString(",finite\n")
	number := func(v float64) string {
		if v-v != 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'g', 10, 64)
	}
	p := len(detect.Names)
	for i, l := range logits {
		b.WriteString(number(l) + "," + number(1/(1+math.Exp(-l))))
		finite := true
		for _, v := range rows[i*p : (i+1)*p] {
			b.WriteString("," + number(v))
			finite = finite && v-v == 0
		}
		b.WriteString("," + strconv.FormatBool(finite) + "\n")
	}
	return atomicfile.WriteFile(path, b.Bytes())
}
