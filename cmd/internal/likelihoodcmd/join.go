package likelihoodcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// written is what is read of a shard's result.
type written struct {
	Versions       map[string]string `json:"versions"`
	Model          modelInfo         `json:"model"`
	Data           dataInfo          `json:"data"`
	H              numbers           `json:"h"`
	LogQMethod     []string          `json:"log_q_method"`
	PathIntegralOf string            `json:"pathintegral_of"`
	FokkerPlanck   []gridInfo        `json:"fokkerplanck"`
	OwnScore       []ownInfo         `json:"own_score"`
	Points         []struct {
		X []float64 `json:"x"`
	} `json:"points"`
	Seconds float64   `json:"seconds"`
	Shard   shardInfo `json:"shard"`
}

// Join writes what one process would have written as out, from the shards of all points, in any order.
func Join(ctx context.Context, io ui.Streams, out string, shards []*shard.Manifest) error {
	o, err := shard.Follow(shards[0], out, func(args []string) (options, error) { return parse(args, io.Out) })
	if err != nil {
		return err
	}
	if shards, err = shard.Complete(shards); err != nil {
		return err
	}
	if err := shard.NoOverwrite(shards, o.Out, o.CSV, o.Plot); err != nil {
		return err
	}
	res, p, record, err := o.joined(shards)
	if err != nil {
		return err
	}
	r := record.Results()
	res.fill(r, p, record.Methods)
	f := &found{}
	f.flow, f.paths = record.Bits(loglik.BitsOptions{Dequantise: o.dequantise(), Draws: o.Draws})
	res.addBits(&o, f)
	res.addDifferences(&o, r, record.Methods)
	other, err := o.readOther(res.Data.Digest, res.Data.Name)
	if err != nil {
		return err
	}
	if err := res.compare(&o, other); err != nil {
		return err
	}
	report(io.Out, res)
	if err := o.write(ctx, io, p, r, res); err != nil {
		return err
	}
	if !slices.ContainsFunc(res.Summary, func(s loglik.Summary) bool { return s.N > 0 }) {
		return fmt.Errorf("no method has a value for any point; %s says why", o.Out)
	}
	return nil
}

// joined reads the shards, and makes of them a result without what the points say, the points, and the values of all.
func (o options) joined(shards []*shard.Manifest) (*result, *loglik.Points, *loglik.Record, error) {
	var res *result
	p := &loglik.Points{}
	var records []*loglik.Record
	seconds := 0.0
	for _, m := range shards {
		if m.From == m.To {
			continue
		}
		b, err := os.ReadFile(m.Path())
		if err != nil {
			return nil, nil, nil, err
		}
		var w written
		if err := json.Unmarshal(b, &w); err != nil {
			return nil, nil, nil, m.Broken(fmt.Errorf("%s: %w", m.Path(), err))
		}
		record := &loglik.Record{}
		err = shard.Open(w.Shard.Values, record)
		if err == nil && (record.N != m.To-m.From || len(w.Points) != record.N) {
			err = fmt.Errorf("values of %d points, and %d points; want %d", record.N, len(w.Points), m.To-m.From)
		}
		for _, q := range w.Points {
			if err == nil && (len(q.X) != len(w.Points[0].X) || len(q.X) != 0 && len(q.X) != record.D) {
				err = fmt.Errorf("a point of %d coordinates; want %d", len(q.X), record.D)
			}
		}
		if err != nil {
			return nil, nil, nil, m.Broken(fmt.Errorf("%s: %w", m.Path(), err))
		}
		records = append(records, record)
		seconds += w.Seconds
		for _, q := range w.Points {
			p.X = append(p.X, q.X...)
		}
		if res == nil {
			res = &result{Options: o.record(), Versions: w.Versions, Model: w.Model, Data: w.Data, H: w.H, Profile: o.profile(), LogQMethod: w.LogQMethod, PathIntegralOf: w.PathIntegralOf, FokkerPlanck: w.FokkerPlanck, OwnScore: w.OwnScore}
			p.D, p.Norm = w.Model.D, data.Normalisation{Mean: w.Data.Normalisation.Mean, Scale: w.Data.Normalisation.Scale}
		}
	}
	if res == nil {
		return nil, nil, nil, fmt.Errorf("%s has no points", shards[0].Path())
	}
	res.Data.N, res.Data.Digest, res.Seconds = shards[0].N, shards[0].Data, seconds
	all := loglik.Join(records)
	if o.Generated > 0 {
		res.Data.Digest = (&loglik.Points{X: all.X, Labels: all.Labels}).Digest()
	}
	return res, p, all, nil
}
