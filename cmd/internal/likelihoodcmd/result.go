package likelihoodcmd

import (
	"fmt"
	"math"
	"strings"

	"hbar/cmd/internal/loglik"
	"hbar/metrics"
	"hbar/solver/fokkerplanck"
)

type (
	num     = loglik.Number
	numbers = []loglik.Number
)

// result is the JSON file.
type result struct {
	Options  map[string]any    `json:"options"`
	Versions map[string]string `json:"versions"`
	Model    modelInfo         `json:"model"`
	Data     dataInfo          `json:"data"`
	H        numbers           `json:"h"` // null for a profile
	// Profile is the strength if it varies along the way.
	Profile string `json:"profile,omitempty"`
	// LogQMethod says which method log_q of the points is, for each h.
	LogQMethod []string `json:"log_q_method"`
	// PathIntegralOf says which process the path integral's log q belongs to.
	PathIntegralOf string           `json:"pathintegral_of,omitempty"`
	Summary        []loglik.Summary `json:"summary"`
	Expansion      *expansionInfo   `json:"expansion,omitempty"`
	FokkerPlanck   []gridInfo       `json:"fokkerplanck,omitempty"`
	Points         []point          `json:"points"`
	*bitsInfo
	Differences []difference `json:"differences,omitempty"` // between strengths
	Against     *against     `json:"against,omitempty"`     // another model
	OwnScore    []ownInfo    `json:"own_score,omitempty"`
	Seconds     float64      `json:"seconds"`
	Interrupted bool         `json:"interrupted,omitempty"` // by the user: some values are missing
	// Shard is what a part of the points is of, for cmd/merge.
	Shard *shardInfo `json:"shard,omitempty"`
}

type modelInfo struct {
	D              int                `json:"d"`
	Parameters     int                `json:"parameters"`
	Schedule       string             `json:"schedule"`
	ScheduleParams map[string]float64 `json:"schedule_params"`
	Prediction     string             `json:"prediction"`
	Device         string             `json:"device"`
}

type dataInfo struct {
	Name          string `json:"name"`
	N             int    `json:"n"`
	Fresh         bool   `json:"fresh"` // drawn anew, not what a network was trained on
	Normalisation struct {
		Mean  []float64 `json:"mean"`
		Scale []float64 `json:"scale"`
		From  string    `json:"from"`
	} `json:"normalisation"`
	// CharBits is the number of dimensions of a character of text.
	CharBits int `json:"char_bits,omitempty"`
	// Digest is the SHA-256 of the points in data units, and of their labels.
	Digest string `json:"digest"`
	// LogDet is what to add to a log density for data units.
	LogDet float64 `json:"log_det"`
}

// expansionInfo summarises ℓ₁ and ℓ₂ over points: as corrections to the NLL, that is with the opposite sign.
type expansionInfo struct {
	First  loglik.Summary  `json:"first_correction"`  // −ℓ₁
	Second *loglik.Summary `json:"second_correction"` // −ℓ₂
	// Spread says whether the mean of the first rests on few points.
	Spread *loglik.SlopeSpread `json:"spread"`
	// MedianTrust is the median over points of the h at which the second-order term is a tenth of the first: by ℓ₂, or where there is
	// none about that h, by how much steeper log q⁰ is near the data than the network's score.
	MedianTrust num `json:"median_trust_radius"`
	// Agreement is the first order beside the path integral at each h > 0, TrustRadius the largest h up to which they agree; null without a
	// path integral.
	Agreement   []loglik.Agreement `json:"agreement,omitempty"`
	TrustRadius num                `json:"trust_radius"`
}

// gridInfo is the report of one Fokker–Planck solution.
type gridInfo struct {
	H          num               `json:"h"`
	Fine       *fokkerplanck.Run `json:"fine"`
	Coarse     *fokkerplanck.Run `json:"coarse"`
	Difference num               `json:"l1_difference"` // ∫ |q_fine − q_coarse| dx
	Error      string            `json:"error,omitempty"`
}

// point is one object of the list; null is what was not computed or is not to be trusted.
type point struct {
	X         numbers `json:"x,omitempty"` // data units
	LogQ0     num     `json:"log_q0"`
	Score0    numbers `json:"score_q0"`
	Laplacian num     `json:"laplacian_q0"`
	WKB1      num     `json:"wkb1"`
	WKB1Err   *num    `json:"wkb1_stderr,omitempty"` // where ℓ₁ is an estimate
	WKB2      num     `json:"wkb2"`
	Trust     *num    `json:"trust_radius,omitempty"`
	LogQ      numbers `json:"log_q"`
	StdErr    numbers `json:"stderr"`
	ESS       numbers `json:"ess"`
	// Kind says of each log_q whether it is a value, an estimate or a bound.
	Kind []*string `json:"kind"`
	// Lower and Upper are the bounds of the path integral.
	Lower    numbers `json:"lower"`
	LowerErr numbers `json:"lower_stderr"`
	Upper    numbers `json:"upper"`
	UpperErr numbers `json:"upper_stderr"`
	// OwnFlow would be log q by the deterministic flow of the sampler's own score. It is null: in two dimensions it was no better than
	// the flow of the network's score (docs/highdim.md).
	OwnFlow numbers `json:"own_flow"`
	Status  string  `json:"status"`

	*pointBits

	LogQWKB1   numbers `json:"log_q_wkb1,omitempty"`
	LogQWKB2   numbers `json:"log_q_wkb2,omitempty"`
	LogQPath   numbers `json:"log_q_pathintegral,omitempty"`
	StdErrPath numbers `json:"stderr_pathintegral,omitempty"`
	LogQGrid   numbers `json:"log_q_fokkerplanck,omitempty"`
	ErrGrid    numbers `json:"error_fokkerplanck,omitempty"`
}

// points puts the results in the form of the file.
func points(r *loglik.Results, p *loglik.Points, methods []loglik.Method) []point {
	out := make([]point, r.N)
	zeroth := r.Zeroth()
	second := r.SecondOrder()
	for i := range out {
		q := &out[i]
		nan := num(math.NaN())
		if len(p.X) > 0 { // joined shards of many dimensions do not repeat them
			q.X = loglik.Numbers(p.X[i*p.D : (i+1)*p.D])
		}
		q.LogQ0, q.Laplacian, q.WKB1, q.WKB2 = nan, nan, nan, nan
		if zeroth != nil {
			q.LogQ0 = num(zeroth[i])
		}
		if r.Expansion != nil {
			q.expansion(r.Expansion[i], second)
		}
		var problems []string
		problem := func(m loglik.Method, h float64, v loglik.Value) {
			if v.Status == loglik.OK {
				return
			}
			s := fmt.Sprintf("%s: %s", m, v.Status)
			if m == loglik.PathIntegral || m == loglik.FokkerPlanck {
				s = fmt.Sprintf("%s at h = %g: %s", m, h, v.Status)
			}
			problems = append(problems, s)
		}
		if r.Flow != nil {
			problem(loglik.Flow, 0, r.Flow[i])
		}
		if r.Expansion != nil {
			problem(loglik.WKB, 0, r.WKBAt(i, 0, 1))
		}
		for j, h := range r.H {
			method := primary(methods, h)
			v := r.At(method, i, j)
			q.Kind = append(q.Kind, kindOf(method, v, r))
			q.bounds(r, i, j)
			q.LogQ, q.StdErr, q.ESS = append(q.LogQ, num(v.LogQ)), append(q.StdErr, num(v.Err)), append(q.ESS, num(v.ESS))
			if r.Expansion != nil {
				q.LogQWKB1 = append(q.LogQWKB1, num(r.WKBAt(i, h, 1).LogQ))
				if second {
					q.LogQWKB2 = append(q.LogQWKB2, num(r.WKBAt(i, h, 2).LogQ))
				}
			}
			if r.Path != nil {
				v := r.Path[i][j]
				q.LogQPath, q.StdErrPath = append(q.LogQPath, num(v.LogQ)), append(q.StdErrPath, num(v.Err))
				if h != 0 {
					q.ESS[j] = num(v.ESS)
					problem(loglik.PathIntegral, h, v)
				}
			}
			if r.Grid != nil {
				v := r.Grid[i][j]
				q.LogQGrid, q.ErrGrid = append(q.LogQGrid, num(v.LogQ)), append(q.ErrGrid, num(v.Err))
				if h != 0 {
					problem(loglik.FokkerPlanck, h, v)
				}
			}
		}
		if q.Status = loglik.OK; len(problems) > 0 {
			q.Status = strings.Join(problems, "; ")
		}
	}
	return out
}

func (q *point) expansion(e loglik.Expansion, second bool) {
	q.Score0, q.Laplacian, q.WKB1, q.WKB2 = loglik.Numbers(e.Score), num(e.Laplacian), num(e.L1), num(e.L2)
	if e.L1Err != 0 {
		v := num(e.L1Err)
		q.WKB1Err = &v
	}
	if second || !math.IsNaN(e.Trust) {
		v := num(e.Trust)
		q.Trust = &v
	}
}

// kindOf says what log q of a method is; nil if there is none. Where a bound is all there is, it is "bound", presented or not.
func kindOf(m loglik.Method, v loglik.Value, r *loglik.Results) *string {
	switch b := v.Bounds; {
	case v.IsBound, v.Status != loglik.OK && b != nil && finite(b.Lower):
		return kind(loglik.KindBound)
	case v.Status != loglik.OK:
		return nil
	case m == loglik.WKB, m == loglik.Flow && r.Probed:
		return kind(loglik.KindEstimate)
	}
	return kind(loglik.KindValue)
}

func kind(name string) *string { return &name }

// bounds adds those at H[j], null without a path integral.
func (q *point) bounds(r *loglik.Results, i, j int) {
	nan := math.NaN()
	b := loglik.Bounds{Lower: nan, LowerErr: nan, Upper: nan, UpperErr: nan}
	if r.Path != nil && r.Path[i][j].Bounds != nil {
		b = *r.Path[i][j].Bounds
	}
	q.Lower, q.LowerErr = append(q.Lower, num(b.Lower)), append(q.LowerErr, num(b.LowerErr))
	q.Upper, q.UpperErr = append(q.Upper, num(b.Upper)), append(q.UpperErr, num(b.UpperErr))
	q.OwnFlow = append(q.OwnFlow, num(nan))
}

// expansionOf summarises the corrections; nil without them.
func expansionOf(r *loglik.Results) *expansionInfo {
	if r.Expansion == nil {
		return nil
	}
	column := func(name string, f func(loglik.Expansion) float64) loglik.Summary {
		values := make([]loglik.Value, r.N)
		for i, e := range r.Expansion {
			values[i] = loglik.Value{LogQ: f(e), Status: e.Status}
		}
		s := loglik.Summarise(name, 0, values, nil, r.D, 0)
		s.DataUnits = nil // a derivative by h is the same in all units
		return s
	}
	info := &expansionInfo{First: column("wkb1", func(e loglik.Expansion) float64 { return e.L1 }), MedianTrust: num(math.NaN())}
	agreement, trust := r.Agreements()
	info.Agreement, info.TrustRadius = agreement, num(trust)
	info.Spread = r.Spread()
	if r.SecondOrder() {
		s := column("wkb2", func(e loglik.Expansion) float64 { return e.L2 })
		info.Second = &s
	}
	var trusted []float64
	for _, e := range r.Expansion {
		if finite(e.Trust) {
			trusted = append(trusted, e.Trust)
		}
	}
	info.MedianTrust = num(metrics.Median(trusted))
	return info
}

func gridsOf(r *loglik.Results) []gridInfo {
	var out []gridInfo
	for _, s := range r.Solutions {
		g := gridInfo{H: num(s.H), Difference: num(math.NaN())}
		if s.Err != nil {
			g.Error = s.Err.Error()
		} else {
			g.Fine, g.Coarse, g.Difference = &s.Density.Run, &s.Coarse.Run, num(s.Difference)
		}
		out = append(out, g)
	}
	return out
}
