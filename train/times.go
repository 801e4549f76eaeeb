package train

import (
	"math"

	"hbar/kernels"
	"hbar/solver"
)

// example holds a time's coefficients of a training example, rounded to what the network's side works in:
//
//	input = x0·X0 + z·Z,   target = x0·TargetX0 + z·TargetZ,   weight·|net − target|²
type example struct {
	x0, z, targetX0, targetZ, weight float32
	tau                              float64
}

func (e example) coefficients() [kernels.Coefs]float64 {
	return [kernels.Coefs]float64{kernels.CoefX0: float64(e.x0), kernels.CoefZ: float64(e.z), kernels.CoefTargetX0: float64(e.targetX0),
		kernels.CoefTargetZ: float64(e.targetZ), kernels.CoefWeight: float64(e.weight), kernels.CoefTau: e.tau}
}

// coefficients are those of newExample before rounding.
func coefficients(c solver.TrainCoeffs) [kernels.Coefs]float64 {
	return [kernels.Coefs]float64{kernels.CoefX0: c.Cin * c.Alpha, kernels.CoefZ: c.Cin * c.Sigma, kernels.CoefTargetX0: c.TargetX0,
		kernels.CoefTargetZ: c.TargetZ, kernels.CoefWeight: c.Weight, kernels.CoefTau: c.Tau}
}

func newExample(c solver.TrainCoeffs, ratio float64) example {
	return example{float32(c.Cin * c.Alpha), float32(c.Cin * c.Sigma), float32(c.TargetX0), float32(c.TargetZ),
		float32(ratio * c.Weight), c.Tau}
}

// times draws the time of a training example.
type times interface {
	// draw takes u, uniform on [0, 1).
	draw(u float64) example
	// table describes draw as a table: exactly for times on a grid, else to some 10⁻¹².
	table() kernels.TimeTable
}

// newTimes makes the distribution of the options. sigmaData is the standard deviation of the data.
func newTimes(o Options, s solver.Schedule, p solver.Prediction, w solver.Weighting, sigmaData float64) times {
	switch o.Times {
	case TimesGrid:
		return newGridTimes(o, s, p, w, sigmaData)
	case TimesUniform:
		return newUniformTimes(o, s, p, w, sigmaData)
	}
	return newLogNormalTimes(s, p, w)
}

// gridTimes is uniform on points from Tmin to Tmax, both included, perhaps by importance sampling.
type gridTimes struct {
	points []example
	from   *proposal
}

func newGridTimes(o Options, s solver.Schedule, p solver.Prediction, w solver.Weighting, sigmaData float64) *gridTimes {
	n := o.GridPoints
	at := func(k int) float64 {
		f := float64(k) / float64(n-1)
		return s.Tmin()*(1-f) + s.Tmax()*f
	}
	g := &gridTimes{points: make([]example, n)}
	if o.Importance {
		g.from = newProposal(n, func(k int) float64 { return linearLoss(s, p, w, sigmaData, at(k)) })
	}
	for k := range g.points {
		g.points[k] = newExample(p.Train(s, w, at(k)), g.from.ratio(k))
	}
	return g
}

func (g *gridTimes) draw(u float64) example {
	if g.from == nil {
		return g.points[int(u*float64(len(g.points)))]
	}
	k, _ := kernels.Cell(g.from.cumulative, u)
	return g.points[k]
}

func (g *gridTimes) table() kernels.TimeTable {
	t := g.from.table(len(g.points))
	for _, e := range g.points {
		t.Points = append(t.Points, e.coefficients())
	}
	return t
}

// uniformTimes is uniform on [Tmin, Tmax), perhaps by importance sampling with a density that is constant on cells.
type uniformTimes struct {
	s    solver.Schedule
	p    solver.Prediction
	w    solver.Weighting
	from *proposal
}

// cells of the proposal of uniformTimes.
const cells = 1024

func newUniformTimes(o Options, s solver.Schedule, p solver.Prediction, w solver.Weighting, sigmaData float64) *uniformTimes {
	c := &uniformTimes{s: s, p: p, w: w}
	if o.Importance {
		c.from = newProposal(cells, func(k int) float64 {
			return linearLoss(s, p, w, sigmaData, c.at((float64(k)+0.5)/cells))
		})
	}
	return c
}

func (c *uniformTimes) at(f float64) float64 { return c.s.Tmin()*(1-f) + c.s.Tmax()*f }

func (c *uniformTimes) draw(u float64) example {
	if c.from == nil {
		return newExample(c.p.Train(c.s, c.w, c.at(u)), 1)
	}
	k, rest := kernels.Cell(c.from.cumulative, u)
	return newExample(c.p.Train(c.s, c.w, c.at((float64(k)+rest)/cells)), c.from.ratio(k))
}

func (c *uniformTimes) table() kernels.TimeTable {
	t := c.from.table(cells)
	t.Curves = kernels.NewCurves(func(f float64) [kernels.Coefs]float64 { return coefficients(c.p.Train(c.s, c.w, c.at(f))) })
	return t
}

// logNormalTimes draws log(σ/α) from N(−1.2, 1.2²), EDM's choice (arXiv:2206.00364, table 1), cut to the schedule's times.
type logNormalTimes struct {
	s        solver.Schedule
	p        solver.Prediction
	w        solver.Weighting
	low, top float64 // the normal distribution function at the ends
}

const logNormalMean, logNormalStd = -1.2, 1.2

func newLogNormalTimes(s solver.Schedule, p solver.Prediction, w solver.Weighting) *logNormalTimes {
	cdf := func(t float64) float64 {
		return 0.5 * math.Erfc((s.Lambda(t)+logNormalMean)/logNormalStd/math.Sqrt2) // log(σ/α) = −λ
	}
	return &logNormalTimes{s, p, w, cdf(s.Tmin()), cdf(s.Tmax())}
}

func (l *logNormalTimes) at(u float64) float64 {
	z := math.Sqrt2 * math.Erfinv(2*(l.low+u*(l.top-l.low))-1)
	t := l.s.TimeOfLambda(-(logNormalMean + logNormalStd*z))
	return math.Max(l.s.Tmin(), math.Min(l.s.Tmax(), t)) // also where u rounds to an infinite z
}

func (l *logNormalTimes) draw(u float64) example { return newExample(l.p.Train(l.s, l.w, l.at(u)), 1) }

func (l *logNormalTimes) table() kernels.TimeTable {
	return kernels.TimeTable{Cells: 1, Curves: kernels.NewCurves(func(u float64) [kernels.Coefs]float64 {
		return coefficients(l.p.Train(l.s, l.w, l.at(u)))
	})}
}

// linearLoss is the loss of one coordinate at time t that the best linear score has on data of standard deviation sd,
//
//	w E (s + z/σ)² = (w/σ²) · α² sd²/(α² sd² + σ²),
//
// since z given x_t has that share of variance left. It is the final loss on Gaussian data, and an upper bound on any other
// data of the same variance. So it shows which times contribute to the loss.
func linearLoss(s solver.Schedule, p solver.Prediction, w solver.Weighting, sd, t float64) float64 {
	signal, noise := s.Alpha(t)*sd, s.Sigma2(t)
	signal *= signal
	return w.Weight(s, p, t) / noise * signal / (signal + noise)
}

// zeroLoss is the loss of a network whose output is zero, on data of the given mean square: the mean of weight·target² over times,
// data and noise.
func zeroLoss(t times, square float64) float64 {
	const n = 1 << 12
	sum := 0.0
	for k := range n {
		e := t.draw((float64(k) + 0.5) / n)
		a, b := float64(e.targetX0), float64(e.targetZ)
		sum += float64(e.weight) * (a*a*square + b*b) / n
	}
	return sum
}

// proposal draws cells with probabilities other than uniform, for importance sampling: with E over uniform cells k of
// f_k = E over the proposal of ratio(k)·f_k for any f, the mean is kept; the variance is least if the probabilities follow
// the size of f. A tenth of the probability stays uniform, so no ratio exceeds 10.
type proposal struct {
	cumulative []float64 // probability of cells 0 … k
	ratios     []float64 // uniform probability over the proposal's
}

func newProposal(n int, size func(k int) float64) *proposal {
	p := &proposal{make([]float64, n), make([]float64, n)}
	total := 0.0
	for k := range n {
		p.ratios[k] = size(k)
		total += p.ratios[k]
	}
	sum := 0.0
	for k := range n {
		q := 0.9*p.ratios[k]/total + 0.1/float64(n)
		sum += q
		p.cumulative[k] = sum
		p.ratios[k] = 1 / (q * float64(n))
	}
	return p
}

// ratio is the weight of a draw of cell k; 1 without a proposal.
func (p *proposal) ratio(k int) float64 {
	if p == nil {
		return 1
	}
	return p.ratios[k]
}

// table has the proposal's cells; n cells alike without a proposal.
func (p *proposal) table(n int) kernels.TimeTable {
	if p == nil {
		return kernels.TimeTable{Cells: n}
	}
	return kernels.TimeTable{Cells: n, Cumulative: p.cumulative, Ratios: p.ratios}
}
