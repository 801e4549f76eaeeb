package fokkerplanck

import (
	"math"

	"hbar/solver"
)

// frame is the moving box: x_i = α m_i + W_i y_i with y in [−1, 1) and W_i = α R_i + κσ.
type frame struct {
	schedule solver.Schedule
	d        int
	center   [2]float64 // m
	radius   [2]float64 // R
	kappa    float64
}

// at is the frame at one time.
type at struct {
	lambda, t, alpha, sigma float64
	width                   [2]float64 // W; 1 for a dimension that is not there
}

func (f *frame) at(lambda float64) at {
	t := f.schedule.TimeOfLambda(lambda)
	t = min(max(t, f.schedule.Tmin()), f.schedule.Tmax()) // rounding must not leave the interval of training
	a := at{lambda: lambda, t: t, alpha: f.schedule.Alpha(t), sigma: f.schedule.Sigma(t), width: [2]float64{1, 1}}
	for i := range f.d {
		a.width[i] = a.alpha*f.radius[i] + f.kappa*a.sigma
	}
	return a
}

// x is the point of coordinate y in dimension i.
func (f *frame) x(a at, i int, y float64) float64 { return a.alpha*f.center[i] + a.width[i]*y }

// y is the inverse of x.
func (f *frame) y(a at, i int, x float64) float64 { return (x - a.alpha*f.center[i]) / a.width[i] }

// volume is dx/dy.
func (a at) volume() float64 { return a.width[0] * a.width[1] }

// grid is the number of points in each dimension; n[1] = 1 in 1-D. Point j of dimension i is y = −1 + 2j/n[i].
type grid struct {
	n [2]int
	k [2]int // highest mode kept: exp(iπk(y+1)) with |k| ≤ k[i] < n[i]/3
}

// newGrid has n points in each of d dimensions and keeps modes up to a third of them: products of two such functions
// alias only onto modes that are dropped (the 2/3 rule).
func newGrid(d, n int) grid {
	g := grid{n: [2]int{n, 1}, k: [2]int{(n - 1) / 3, 0}}
	if d == 2 {
		g.n[1], g.k[1] = n, (n-1)/3
	}
	return g
}

func (g grid) points() int { return g.n[0] * g.n[1] }

// modes is the length of a spectrum: k[0]+1 columns (the others follow from q being real) of 2k[1]+1 modes.
func (g grid) modes() int { return (g.k[0] + 1) * g.column() }

// column is the number of modes in a column; mode k2 of column k1 has index k1·column + k2 + k[1].
func (g grid) column() int { return 2*g.k[1] + 1 }

func (g grid) y(i, j int) float64 {
	if g.n[i] == 1 {
		return 0
	}
	return -1 + 2*float64(j)/float64(g.n[i])
}

// taper takes the drift smoothly to zero at the edge of the box, where y = −1 and y = 1 are one point, and the drift
// towards the inside would jump from one side's to the other's: 1 up to |y| = 0.9.
func taper(y float64) float64 {
	u := (math.Abs(y) - 0.9) / 0.1
	if u <= 0 {
		return 1
	}
	if u >= 1 {
		return 0
	}
	// e^{−1/u} and its mirror image: all derivatives vanish at both ends.
	a, b := math.Exp(-1/(1-u)), math.Exp(-1/u)
	return a / (a + b)
}

// lattice writes the points of the grid to x (points×d), x₁ fastest.
func (f *frame) lattice(x []float64, a at, g grid) {
	p := 0
	for j := range g.n[1] {
		for i := range g.n[0] {
			x[p] = f.x(a, 0, g.y(0, i))
			if f.d == 2 {
				x[p+1] = f.x(a, 1, g.y(1, j))
			}
			p += f.d
		}
	}
}

// prior is the density of N(0, std²I) in y on the grid.
func (f *frame) prior(a at, g grid) []float64 {
	std := f.schedule.PriorStd()
	q := make([]float64, g.points())
	line := func(i, j int) float64 {
		if i >= f.d {
			return 1
		}
		z := f.x(a, i, g.y(i, j)) / std
		return a.width[i] / std / math.Sqrt(2*math.Pi) * math.Exp(-z*z/2)
	}
	for j := range g.n[1] {
		b := line(1, j)
		for i := range g.n[0] {
			q[j*g.n[0]+i] = b * line(0, i)
		}
	}
	return q
}
