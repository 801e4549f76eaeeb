package likelihoodcmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/metrics"
)

// difference is the mean of NLL(h) − NLL(from_h) over the points that have both, with the standard error of the pairs: points, noise and
// random numbers are the same.
type difference struct {
	H         num `json:"h"`
	From      num `json:"from_h"`
	Nats      num `json:"nats"`
	StdErr    num `json:"nats_stderr"`
	Bits      num `json:"bits_per_dim"`
	BitsErr   num `json:"bits_per_dim_stderr"`
	N         int `json:"n"`
	withBound bool
}

// against are the differences from the result of another model, this one less the other.
type against struct {
	File       string       `json:"file"`
	Checkpoint string       `json:"checkpoint"`
	AtH        []difference `json:"at_h"`
}

// paired is the difference of two lists of log densities of the same points.
func paired(base, logQ []float64, d int) (difference, bool) {
	p, err := metrics.Compare(base, logQ) // −log q − (−log base)
	if err != nil {
		return difference{}, false
	}
	unit := float64(d) * math.Ln2
	return difference{Nats: num(p.Mean.Value), StdErr: num(p.Mean.StdErr), Bits: num(p.Mean.Value / unit), BitsErr: num(p.Mean.StdErr / unit), N: p.N}, true
}

// addDifferences compares all strengths by the methods that log_q is of.
func (res *result) addDifferences(o *options, r *loglik.Results, methods []loglik.Method) {
	column := func(j int) (logQ []float64, bound bool) {
		for i := range r.N {
			v := r.At(primary(methods, r.H[j]), i, j)
			logQ, bound = append(logQ, v.LogQ), bound || v.IsBound
		}
		return logQ, bound
	}
	for j := range r.H {
		logQ, bound := column(j)
		for k := range j {
			base, of := column(k)
			if d, ok := paired(base, logQ, r.D); ok {
				d.H, d.From, d.withBound = num(r.H[j]), num(r.H[k]), bound || of
				res.Differences = append(res.Differences, d)
			}
		}
	}
}

// otherResult is what is read of the result of another model.
type otherResult struct {
	Options map[string]any
	Data    struct {
		Digest string
		LogDet float64 `json:"log_det"`
	}
	H       numbers
	Profile string   // if the strength varies along the way
	BitsH   *float64 `json:"bits_per_dim_h"`
	Points  []otherPoint
}

type otherPoint struct {
	LogQ   []*float64 `json:"log_q"`
	PerDim *float64   `json:"bits_per_dim"`
	AtH    []*float64 `json:"bits_per_dim_at_h"`
}

// logP is log q in data units at H[k], or what bits of dequantised data say; NaN if there is none.
func (r *otherResult) logP(p otherPoint, k, d int) float64 {
	v, scale, shift := (*float64)(nil), 1.0, r.Data.LogDet
	switch {
	case r.BitsH == nil && k < len(p.LogQ):
		v = p.LogQ[k]
	case k < len(p.AtH):
		v, scale, shift = p.AtH[k], -float64(d)*math.Ln2, 0
	case r.BitsH != nil && *r.BitsH == float64(r.H[k]):
		v, scale, shift = p.PerDim, -float64(d)*math.Ln2, 0
	}
	if v == nil {
		return math.NaN()
	}
	return scale**v + shift
}

// logP is the same of this run.
func (res *result) logP(p point, j int) float64 {
	unit := -float64(res.Model.D) * math.Ln2
	switch {
	case res.bitsInfo == nil:
		return float64(p.LogQ[j]) + res.Data.LogDet
	case j < len(p.AtH):
		return unit * float64(p.AtH[j])
	case res.setBits.H == res.H[j]:
		return unit * float64(p.PerDim)
	}
	return math.NaN()
}

// samePairs are the options that noise, probes and units of a point depend on.
var samePairs = []string{"bits", "seed", "first", "dequantise", "draws", "divergence", "probes", "paths"}

// readOther reads the file of --against, nil without. It must be of the points with that digest and name; "" if they are not known.
func (o *options) readOther(digest, name string) (*otherResult, error) {
	if o.Against == "" {
		return nil, nil
	}
	b, err := os.ReadFile(o.Against)
	if err != nil {
		return nil, fmt.Errorf("--against: %w", err)
	}
	r := &otherResult{}
	if err := json.Unmarshal(b, r); err != nil || r.Options == nil || len(r.H) == 0 || r.Data.Digest == "" {
		return nil, fmt.Errorf("--against: %s is no result of likelihood; want the .json that it writes as --out", o.Against)
	}
	if r.Profile != "" { // its h is null
		return nil, fmt.Errorf("--against: %s is of the profile %s; differences are between strengths that are the same along the way", o.Against, r.Profile)
	}
	if digest != "" && r.Data.Digest != digest {
		return nil, fmt.Errorf("--against: %s is of other points than %s; pairs need the same data, labels, --n and --first", o.Against, name)
	}
	mine, err := json.Marshal(o.record())
	if err != nil {
		return nil, err
	}
	var record map[string]any
	if err := json.Unmarshal(mine, &record); err != nil {
		return nil, err
	}
	for _, name := range samePairs {
		if fmt.Sprint(r.Options[name]) != fmt.Sprint(record[name]) {
			return nil, fmt.Errorf("--against: %s has --%s %v, and this run %v; pairs need the same noise and probes", o.Against, name, r.Options[name], record[name])
		}
	}
	if !slices.ContainsFunc(r.H, func(h num) bool { return slices.Contains(o.H, float64(h)) }) {
		return nil, fmt.Errorf("--against: %s has h = %v, none of which is computed here; --h has %v", o.Against, r.H, o.H)
	}
	return r, nil
}

// compare adds the differences from another model at the strengths that both have.
func (res *result) compare(o *options, other *otherResult) error {
	if other == nil {
		return nil
	}
	if len(other.Points) != len(res.Points) {
		return fmt.Errorf("--against: %s has %d points, and this run %d", o.Against, len(other.Points), len(res.Points))
	}
	a := &against{File: o.Against, Checkpoint: fmt.Sprint(other.Options["checkpoint"])}
	for j, h := range res.H {
		k := slices.Index(other.H, h)
		if k < 0 {
			continue
		}
		mine, theirs := make([]float64, len(res.Points)), make([]float64, len(res.Points))
		for i, p := range res.Points {
			mine[i], theirs[i] = res.logP(p, j), other.logP(other.Points[i], k, res.Model.D)
		}
		if d, ok := paired(theirs, mine, res.Model.D); ok {
			d.H, d.From = h, h
			a.AtH = append(a.AtH, d)
		}
	}
	res.Against = a
	return nil
}

// reportDifferences prints them in bits where bits are asked for.
func reportDifferences(w io.Writer, res *result) {
	text := func(d difference) string {
		if res.bitsInfo != nil {
			return fmt.Sprintf("%+.5f ± %.5f bits per dimension", float64(d.Bits), float64(d.BitsErr))
		}
		return fmt.Sprintf("%+.5f ± %.5f nats", float64(d.Nats), float64(d.StdErr))
	}
	if a := res.Against; a != nil {
		for _, d := range a.AtH {
			fmt.Fprintf(w, "against   %s, h = %g: %s, of %d pairs\n", a.Checkpoint, float64(d.H), text(d), d.N)
		}
	}
	if res.bitsInfo == nil {
		return // the table has the changes from h = 0
	}
	for _, d := range res.Differences {
		note := ""
		if d.withBound {
			note = ", of bounds"
		}
		fmt.Fprintf(w, "change    from h = %g to %g: %s, of %d pairs%s\n", float64(d.From), float64(d.H), text(d), d.N, note)
	}
}
