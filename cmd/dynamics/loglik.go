package main

import (
	"context"
	"fmt"
	"math"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/dynamics"
)

// loglikResult is the JSON file of loglik.
type loglikResult struct {
	LogLik       num      `json:"loglik"`       // nats
	Observations int      `json:"observations"` // times with a value
	Values       int      `json:"values"`       // observed numbers
	Trajectories []num    `json:"trajectories"` // log density of each
	Model        string   `json:"model"`
	Data         []string `json:"data"`
}

func runLoglik(ctx context.Context, args []string, io ui.Streams) error {
	var src source
	var model, json, states string
	s := flags.New("dynamics loglik", "Computes the exact log density of observed sequences under a model, in nats, by Kalman's filter.")
	g := s.Group("Model")
	g.String(&model, "model", "FILE", "what fit wrote, or an .npz of A, Q, C, R, m0, P0 (and drift, offset): dz = (Az + drift) dt + G dw with Q = GGᵀ, y = Cz + offset + v with v ~ N(0, R), z at the first time ~ N(m0, P0)")
	src.define(s.Group("Data"))
	g = s.Group("Output")
	g.String(&json, "json", "FILE.json", "loglik, observations, and the log density of each trajectory")
	g.String(&states, "states", "FILE.npz", "means and variances of the hidden states given the whole of each trajectory: mean0, variance0, times0, …")
	s.Example("go run ./cmd/dynamics loglik --model model.json --data traj.npz --json loglik.json", "")
	if err := s.Parse(args, io.Out); err != nil {
		return err
	}
	if model == "" {
		return ui.Usagef("--model FILE is missing: name what fit wrote, or an .npz of A, Q, C, R, m0, P0")
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "json", Path: json}, {Name: "states", Path: states}}, append(src.files(), flags.File{Name: "model", Path: model})); err != nil {
		return err
	}
	m, memory, err := loadModel(model)
	if err != nil {
		return err
	}
	if err := src.given(); err != nil {
		return err
	}
	var names []string
	if memory != nil {
		if err := memory.takes(src.text()); err != nil {
			return err
		}
		names = memory.fit.Scale.Names
	} else {
		names = m.Names
	}
	data, err := src.load(names)
	if err != nil {
		return err
	}
	if err := data.CheckNames(names); err != nil {
		return err
	}
	if states != "" && (m == nil || m.Space == nil) {
		return fmt.Errorf("--states: this model has no hidden states with a distribution; a state space has (fit --method ml, or edmd without features that are not linear)")
	}
	density := func(one *dynamics.Data) (dynamics.Likelihood, error) { return m.LogLik(one) }
	if memory != nil {
		density = func(one *dynamics.Data) (dynamics.Likelihood, error) {
			l, clamped, err := memory.fit.LogLik(ctx, one)
			memory.clamped = max(memory.clamped, clamped)
			return l, err
		}
	}
	fmt.Fprintf(io.Out, "data      %s\n", describe(src.data, data))
	res := loglikResult{Model: model, Data: src.paths()}
	for k := range data.Records {
		one := *data
		one.Records = data.Records[k : k+1]
		l, err := density(&one)
		if err != nil {
			return fmt.Errorf("trajectory %d: %w", k, err)
		}
		res.LogLik += num(l.LogLik)
		res.Observations += l.Observations
		res.Values += l.Values
		res.Trajectories = append(res.Trajectories, num(l.LogLik))
	}
	if memory != nil {
		memory.reportClamped(io)
	}
	fmt.Fprintf(io.Out, "log p     %.6f nats of %s, %.6f each\n", float64(res.LogLik), plural(res.Observations, "observation", "observations"), float64(res.LogLik)/math.Max(float64(res.Observations), 1))
	if json != "" {
		if err := rundir.WriteJSON(json, res); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", json)
	}
	if states != "" {
		if err := writeStates(states, m.Space, data); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", states)
	}
	return nil
}

// writeStates smooths each trajectory.
func writeStates(path string, m *dynamics.StateSpace, data *dynamics.Data) error {
	arrays := map[string]*npz.Array{}
	d := m.Dim()
	for k := range data.Records {
		r := &data.Records[k]
		s, err := m.Smooth(r)
		if err != nil {
			return err
		}
		variance := make([]float64, 0, len(s.Mean))
		for _, c := range s.Cov {
			for i := range d {
				variance = append(variance, c.At(i, i))
			}
		}
		shape := []int{r.Len(), d}
		arrays[fmt.Sprintf("mean%d", k)] = &npz.Array{Shape: shape, X: s.Mean}
		arrays[fmt.Sprintf("variance%d", k)] = &npz.Array{Shape: shape, X: variance}
		arrays[fmt.Sprintf("times%d", k)] = &npz.Array{Shape: []int{r.Len()}, X: r.Times}
	}
	return npz.Write(path, arrays)
}
