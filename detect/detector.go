package detect

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"hbar/kernels"
)

// Detector is a logistic regression on ranks of statistics: paths overflow, so that values are replaced by the normal scores
// of their ranks among the samples that it was fitted to.
type Detector struct {
	Sorted  [][]float64 `json:"sorted"` // of each statistic, what it was fitted to
	Weights []float64   `json:"weights"`
	Bias    float64     `json:"bias"`
}

// ridge is the penalty ½ ridge |w|² of the regression, for features of variance 1.
const ridge = 1.0

// maxKept bounds the sorted values that a detector keeps of each statistic.
const maxKept = 2000

// rank replaces what is not finite by the ends of the order.
func rank(v float64) float64 {
	if math.IsNaN(v) {
		return math.Inf(1)
	}
	return v
}

// Fit fits a detector to rows of statistics, label true for generated samples.
func Fit(rows []float64, generated []bool) (*Detector, error) {
	p := len(Names)
	n := len(generated)
	if len(rows) != n*p || n < 4*p {
		return nil, fmt.Errorf("detect: %d samples; want at least %d to fit %d statistics", n, 4*p, p)
	}
	ones := 0
	for _, g := range generated {
		if g {
			ones++
		}
	}
	if ones == 0 || ones == n {
		return nil, errors.New("detect: all samples are of one kind; want generated ones and data")
	}
	d := &Detector{Weights: make([]float64, p)}
	for j := range p {
		v := make([]float64, n)
		for i := range n {
			v[i] = rank(rows[i*p+j])
		}
		slices.Sort(v)
		if n > maxKept {
			kept := make([]float64, maxKept)
			for i := range kept {
				kept[i] = v[i*(n-1)/(maxKept-1)]
			}
			v = kept
		}
		for i, x := range v { // JSON has no infinities
			v[i] = math.Max(-math.MaxFloat64, math.Min(math.MaxFloat64, x))
		}
		d.Sorted = append(d.Sorted, v)
	}
	x := mat.NewDense(n, p+1, nil)
	for i := range n {
		x.SetRow(i, append(d.scores(rows[i*p:(i+1)*p]), 1))
	}
	w := mat.NewVecDense(p+1, nil)
	for range 50 { // Newton's method
		h := mat.NewSymDense(p+1, nil)
		g := mat.NewVecDense(p+1, nil)
		for j := range p {
			h.SetSym(j, j, ridge)
			g.SetVec(j, -ridge*w.AtVec(j))
		}
		for i := range n {
			row := x.RowView(i)
			q := sigmoid(mat.Dot(row, w))
			y := 0.0
			if generated[i] {
				y = 1
			}
			g.AddScaledVec(g, y-q, row)
			h.SymRankOne(h, math.Max(q*(1-q), 1e-9), row)
		}
		var chol mat.Cholesky
		var step mat.VecDense
		if !chol.Factorize(h) || chol.SolveVecTo(&step, g) != nil {
			return nil, errors.New("detect: the regression is singular")
		}
		w.AddVec(w, &step)
		if mat.Norm(&step, 2) < 1e-8 {
			break
		}
	}
	for j := range p {
		d.Weights[j] = w.AtVec(j)
	}
	// Rows of one kind may be more than those of the other, which is no evidence about a sample.
	d.Bias = w.AtVec(p) - math.Log(float64(ones)/float64(n-ones))
	return d, nil
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// scores are the normal scores of a row's ranks.
func (d *Detector) scores(row []float64) []float64 {
	normal := distuv.Normal{Mu: 0, Sigma: 1}
	out := make([]float64, len(row))
	for j, v := range row {
		s := d.Sorted[j]
		v = rank(v)
		below := sort.SearchFloat64s(s, v)
		upto := below + sort.Search(len(s)-below, func(i int) bool { return s[below+i] > v })
		f := (float64(below+upto)/2 + 0.5) / (float64(len(s)) + 1)
		out[j] = normal.Quantile(math.Min(math.Max(f, 0.5/float64(len(s)+1)), 1-0.5/float64(len(s)+1)))
	}
	return out
}

// Logits are the log odds of generated against data, for rows of statistics and equal numbers of both.
func (d *Detector) Logits(rows []float64) []float64 {
	p := len(Names)
	out := make([]float64, len(rows)/p)
	for i := range out {
		out[i] = d.Bias
		for j, v := range d.scores(rows[i*p : (i+1)*p]) {
			out[i] += d.Weights[j] * v
		}
	}
	return out
}

// Validate checks a detector that was read from a file.
func (d *Detector) Validate() error {
	if len(d.Weights) != len(Names) || len(d.Sorted) != len(Names) {
		return fmt.Errorf("detect: the detector has %d weights and %d tables; want %d", len(d.Weights), len(d.Sorted), len(Names))
	}
	for j, s := range d.Sorted {
		if len(s) == 0 || !slices.IsSorted(s) {
			return fmt.Errorf("detect: the detector's values of %s are not in order", Names[j])
		}
	}
	return nil
}

// AUC is the probability that a generated sample has a larger score than one of the data, ties counted half.
func AUC(score []float64, generated []bool) float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case score[a] < score[b]:
			return -1
		case score[a] > score[b]:
			return 1
		}
		return 0
	})
	sum, positive := 0.0, 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && score[order[j]] == score[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			if generated[order[k]] {
				sum += float64(i+j+1) / 2 // the mean rank of the tie, from 1
				positive++
			}
		}
		i = j
	}
	negative := float64(len(score)) - positive
	if positive == 0 || negative == 0 {
		return math.NaN()
	}
	return (sum - positive*(positive+1)/2) / (positive * negative)
}

// Report is how well a detector does.
type Report struct {
	AUC    float64    `json:"auc"`       // on the half that it was not fitted to
	CI     [2]float64 `json:"auc_ci"`    // 95 %, by bootstrap over samples of each kind
	Train  float64    `json:"auc_train"` // on the half that it was fitted to
	Null   [2]float64 `json:"auc_null"`  // where 95 % of detectors fitted to shuffled labels lie
	Fitted int        `json:"fitted"`    // samples in the first half
	Tested int        `json:"tested"`
	Single []float64  `json:"auc_single"` // of each statistic alone, on the second half; below ½ where generated is smaller
	Flags  int        `json:"overflows"`  // samples with a statistic that is not finite
}

// CheckCounts refuses sets that are too small to calibrate by: half of either is what the detector is fitted to, half what it is tested on.
func CheckCounts(data, generated int) error {
	if data < 2 || generated < 2 {
		return fmt.Errorf("detect: %d points of data and %d generated samples; want at least 2 of each, to fit the detector and to test it", data, generated)
	}
	if n, p := data/2+generated/2, len(Names); n < 4*p {
		return fmt.Errorf("detect: %d points of data and %d generated samples leave %d to fit %d statistics, after those to test by; want at least %d", data, generated, n, p, 4*p)
	}
	return nil
}

// Calibrate fits a detector to one half of the samples of each kind, and measures it on the other.
func Calibrate(data, generated []float64, seed uint64) (*Detector, *Report, error) {
	p := len(Names)
	if err := CheckCounts(len(data)/p, len(generated)/p); err != nil {
		return nil, nil, err
	}
	r := &Report{}
	rng := rand.New(kernels.NewSource(seed, kernels.StreamResample, 0))
	var fitRows, testRows []float64
	var fitLabels, testLabels []bool
	for kind, rows := range [][]float64{data, generated} {
		n := len(rows) / p
		for k, i := range rng.Perm(n) {
			row := rows[i*p : (i+1)*p]
			for _, v := range row {
				if v-v != 0 {
					r.Flags++
					break
				}
			}
			if k < n/2 {
				fitRows, fitLabels = append(fitRows, row...), append(fitLabels, kind == 1)
			} else {
				testRows, testLabels = append(testRows, row...), append(testLabels, kind == 1)
			}
		}
	}
	d, err := Fit(fitRows, fitLabels)
	if err != nil {
		return nil, nil, err
	}
	r.Fitted, r.Tested = len(fitLabels), len(testLabels)
	score := d.Logits(testRows)
	r.AUC, r.Train = AUC(score, testLabels), AUC(d.Logits(fitRows), fitLabels)
	r.CI = bootstrap(score, testLabels, rng)
	for j := range p {
		v := make([]float64, r.Tested)
		for i := range v {
			v[i] = rank(testRows[i*p+j])
		}
		r.Single = append(r.Single, AUC(v, testLabels))
	}
	const shuffles = 39 // a further value lies between the least and the greatest of them with a probability of 38/40
	var null []float64
	for range shuffles {
		labels := append([]bool(nil), fitLabels...)
		rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
		shuffled, err := Fit(fitRows, labels)
		if err != nil {
			return nil, nil, err
		}
		held := append([]bool(nil), testLabels...)
		rng.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		null = append(null, AUC(shuffled.Logits(testRows), held))
	}
	slices.Sort(null)
	r.Null = [2]float64{null[0], null[shuffles-1]}
	return d, r, nil
}

// bootstrap resamples each kind 1000 times.
func bootstrap(score []float64, generated []bool, rng *rand.Rand) [2]float64 {
	var at [2][]int
	for i, g := range generated {
		k := 0
		if g {
			k = 1
		}
		at[k] = append(at[k], i)
	}
	const times = 1000
	values := make([]float64, times)
	s, l := make([]float64, len(score)), make([]bool, len(score))
	for b := range times {
		n := 0
		for k, list := range at {
			for range list {
				s[n], l[n] = score[list[rng.IntN(len(list))]], k == 1
				n++
			}
		}
		values[b] = AUC(s, l)
	}
	slices.Sort(values)
	return [2]float64{values[times*25/1000], values[times*975/1000-1]}
}
