package main

import (
	"context"
	"math"

	"hbar/cmd/internal/plots"
	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood"
)

// gaussian is section 5.1: data N(0, 1) and the score of a Gaussian that is wrong by a factor 1+ε. The closed form is a
// line, the solvers are dots: the path integral's NLL and the distance of samples.
func (p *page) gaussian(ctx context.Context) error {
	p.progress("section 5.1: Gaussians")
	schedule, err := solver.ParseSchedule("simple")
	if err != nil {
		return err
	}
	const variance = 1.0
	var lines []float64 // closer near 0, where the curves bend
	for i := range 101 {
		lines = append(lines, math.Pow(float64(i)/100, 2))
	}
	dots := []float64{0.05, 0.2, 0.5, 1}
	points := quantiles(64, math.Sqrt(variance))
	var nll, w2 []plots.Series
	worst := 0.0 // deviation of a path integral from the exact value of its chain in standard errors
	for _, epsilon := range []float64{-0.1, 0.1, 0.2} {
		g, err := exact.NewGaussian(schedule, []float64{0}, []float64{variance}, epsilon)
		if err != nil {
			return err
		}
		data := exact.Moments{Mean: []float64{0}, Var: []float64{variance}}
		name := "ε = " + number(epsilon, 0)
		line, line2 := plots.Series{Name: name}, plots.Series{Name: name}
		for _, h := range lines {
			q := g.At(h, schedule.Tmin())
			line.X, line.Y = append(line.X, h), append(line.Y, q.CrossEntropy(data))
			line2.X, line2.Y = append(line2.X, h), append(line2.Y, math.Sqrt(q.W2Squared(data)))
		}
		values, err := likelihood.PathIntegral(ctx, g, schedule, points, dots, likelihood.PathOptions{Grid: solver.GridLambda, Steps: p.pathSteps, Paths: p.paths})
		if err != nil {
			return err
		}
		dot, dot2 := plots.Series{Name: name + ", path integral", Scatter: true}, plots.Series{Name: name + ", samples", Scatter: true}
		for j, h := range dots {
			q := g.At(h, schedule.Tmin())
			table, err := solver.NewTable(schedule, solver.Prediction{}, solver.TableOptions{Grid: solver.GridLambda, Steps: p.pathSteps, H: h})
			if err != nil {
				return err
			}
			chain, err := g.Chain(table.Rows)
			if err != nil {
				return err
			}
			sum, discrete, truth, se := 0.0, 0.0, 0.0, 0.0
			for i, v := range values {
				sum -= v[j].LogQ / float64(len(values))
				discrete -= chain.LogDensity(points[i:i+1]) / float64(len(values))
				truth -= q.LogDensity(points[i:i+1]) / float64(len(values))
				se += v[j].StdErr * v[j].StdErr
			}
			se = math.Sqrt(se) / float64(len(values))
			worst = max(worst, math.Abs(sum-discrete)/se)
			// on the line's scale: the points are quantiles, not the whole distribution
			dot.X, dot.Y, dot.Err = append(dot.X, h), append(dot.Y, sum-truth+q.CrossEntropy(data)), append(dot.Err, se)
			x, err := draw(ctx, g, schedule, 10*p.samples, p.steps, solver.Constant(h), 0)
			if err != nil {
				return err
			}
			d, se2 := distance1(x, math.Sqrt(variance))
			dot2.X, dot2.Y, dot2.Err = append(dot2.X, h), append(dot2.Y, d), append(dot2.Err, se2)
		}
		nll, w2 = append(nll, line, dot), append(w2, line2, dot2)
	}
	if err := plots.Lines(p.image("gauss-nll"), plots.Axes{Title: "N(0, 1), score wrong by 1+ε", X: "h", Y: "NLL in nats"}, nll...); err != nil {
		return err
	}
	if err := plots.Lines(p.image("gauss-w2"), plots.Axes{Title: "N(0, 1), score wrong by 1+ε", X: "h", Y: "W₂"}, w2...); err != nil {
		return err
	}
	p.printf("## Section 5.1: one dimension, a score that is wrong by 1 + ε\n\n")
	p.printf("Data N(0, 1), schedule simple, s = −(1+ε) x/v_t. Lines: closed form, of the continuous process. Dots: the path integral of\n")
	p.printf("the Euler–Maruyama chain with %d steps uniform in λ and %d paths, and W₂ of %d samples (%d steps) to the data. The\n", p.pathSteps, p.paths, 10*p.samples, p.steps)
	p.printf("path integral is exact for its chain, whose moments are known here too: the largest difference is %.1f standard errors. What is left\n", worst)
	p.printf("between dots and lines is the chain's finite steps.\n\n")
	p.figure("gauss-nll", "NLL against h for several ε")
	p.figure("gauss-w2", "W2 against h for several ε")
	return nil
}

// quantiles are the (i+½)/n quantiles of N(0, sd²).
func quantiles(n int, sd float64) []float64 {
	q := make([]float64, n)
	for i := range q {
		q[i] = sd * math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/float64(n)-1)
	}
	return q
}

// distance1 is W₂ of a 1-D sample to N(0, sd²) by quantiles, with a standard error from ten parts of the sample.
func distance1(x []float64, sd float64) (w, se float64) {
	const parts = 10
	var v []float64
	for k := range parts {
		v = append(v, quantileDistance(x[k*len(x)/parts:(k+1)*len(x)/parts], sd))
	}
	_, se, _ = mean(v)
	return quantileDistance(x, sd), se
}
