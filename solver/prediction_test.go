package solver

import (
	"math"
	"strings"
	"testing"
)

func allPredictions(t *testing.T) []Prediction {
	t.Helper()
	var out []Prediction
	for _, n := range PredictionNames() {
		p, err := ParsePrediction(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	out[len(out)-1].SigmaData = 0.7
	return out
}

// What each type predicts, from its definition: a network that says it exactly for one pair (x_0, z) gives the score
// −z/σ of that pair and denoises to x_0; and it is what training aims at.
func TestPredictionDefinitions(t *testing.T) {
	const x0, z = 1.3, -0.8
	for _, s := range all(t) {
		for _, tt := range []float64{s.Tmin(), (s.Tmin() + s.Tmax()) / 2, s.Tmax()} {
			alpha, sigma := s.Alpha(tt), s.Sigma(tt)
			x := alpha*x0 + sigma*z
			for _, p := range allPredictions(t) {
				var n float64
				switch p.Target {
				case PredictScore:
					n = -z / sigma
				case PredictEps:
					n = z
				case PredictX0:
					n = x0
				case PredictV:
					n = alpha*z - sigma*x0
				case PredictEDM: // (x_0 − c_skip x̃)/c_out in x̃ = x/α, σ̃ = σ/α
					xt, st, sd := x/alpha, sigma/alpha, p.SigmaData
					n = (x0 - sd*sd/(st*st+sd*sd)*xt) / (st * sd / math.Sqrt(st*st+sd*sd))
				}
				cin, P, Q, tau := p.Coeffs(s, tt)
				// the terms of s are of size 1/σ² and α/σ²; of x̂0, σ²|s|/α
				if e := math.Abs(P*x + Q*n + z/sigma); !(e < 1e-14*(1+1/(sigma*sigma)+math.Abs(z)/sigma)) {
					t.Errorf("%s %v t=%v: score off by %g", s.Name(), p, tt, e)
				}
				px, qn := p.Denoised(s, tt)
				if e := math.Abs(px*x + qn*n - x0); !(e < 1e-14*(1+(math.Abs(x)+sigma)/alpha)) { // some ten roundings of its terms
					t.Errorf("%s %v t=%v: denoised off by %g", s.Name(), p, tt, e)
				}
				// the two ways to x̂0 agree: α px = 1 + σ² P, α qn = σ² Q
				if e1, e2 := math.Abs(alpha*px-1-sigma*sigma*P), math.Abs(alpha*qn-sigma*sigma*Q); !(e1 < 1e-14) || !(e2 < 1e-14*(1+sigma*sigma)) {
					t.Errorf("%s %v t=%v: denoised coefficients off by %g, %g", s.Name(), p, tt, e1, e2)
				}
				for _, name := range WeightingNames() {
					w, err := ParseWeighting(name)
					if err != nil {
						t.Fatal(err)
					}
					c := p.Train(s, w, tt)
					if c.Alpha != alpha || c.Sigma != sigma || c.Cin != cin || c.Tau != tau {
						t.Errorf("%s %v: inputs %+v", s.Name(), p, c)
					}
					if e := math.Abs(c.TargetX0*x0 + c.TargetZ*z - n); !(e < 1e-14*(1+math.Abs(n))*(1+1/sigma)) { // roundings; terms are up to 1/σ times the target
						t.Errorf("%s %v t=%v: target off by %g of %v", s.Name(), p, tt, e, n)
					}
					// the loss of a wrong network, both ways
					wrong := n + 0.37
					want := w.Weight(s, p, tt) * math.Pow(P*x+Q*wrong+z/sigma, 2)
					got := c.Weight * math.Pow(wrong-(c.TargetX0*x0+c.TargetZ*z), 2)
					if !(math.Abs(got/want-1) < 1e-9) { // the left cancels terms of 1/σ² at Tmin
						t.Errorf("%s %v %s t=%v: loss %v, want %v", s.Name(), p, name, tt, got, want)
					}
				}
			}
		}
	}
}

// What the weightings are named for: the effective weight of their own prediction is 1 at every time.
func TestWeightings(t *testing.T) {
	for _, s := range all(t) {
		for _, tt := range []float64{s.Tmin(), (s.Tmin() + s.Tmax()) / 2, s.Tmax()} {
			if w := (Prediction{Target: PredictEps}).Train(s, WeightSigma2, tt).Weight; !(math.Abs(w-1) < 1e-14) { // roundings of a few products
				t.Errorf("%s t=%v: weight of eps under sigma2 is %v", s.Name(), tt, w)
			}
			p := Prediction{Target: PredictEDM, SigmaData: 0.3}
			if w := p.Train(s, WeightEDM, tt).Weight; !(math.Abs(w-1) < 1e-14) { // the same
				t.Errorf("%s t=%v: weight of edm under edm is %v", s.Name(), tt, w)
			}
			if w := (Prediction{}).Train(s, WeightG2, tt).Weight; w != s.Diffusion2(tt) {
				t.Errorf("%s t=%v: weight of score under g2 is %v, want g² = %v", s.Name(), tt, w, s.Diffusion2(tt))
			}
		}
	}
	// Karras' weight of |x̂0 − x_0|² is (σ² + σ_data²)/(σ σ_data)²; |s + z/σ|² = |x̂0 − x_0|²/σ⁴ for α = 1
	edm := named(t, "edm")
	p := Prediction{Target: PredictX0, SigmaData: 0.5}
	if w, want := p.Train(edm, WeightEDM, 2).Weight, (4+0.25)/(4*0.25); !(math.Abs(w/want-1) < 1e-14) { // roundings of a few products
		t.Errorf("edm weight of x0 at σ = 2 is %v, want %v", w, want)
	}
}

func TestPredictionErrors(t *testing.T) {
	for _, c := range []struct {
		p    Prediction
		want string
	}{
		{Prediction{Target: 7}, "no prediction 7; have score, eps, x0, v, edm"},
		{Prediction{Target: PredictEDM, SigmaData: -1}, `prediction "edm": sigma_data = -1`},
		{Prediction{Target: PredictEDM, SigmaData: math.NaN()}, "sigma_data = NaN"},
	} {
		if _, err := NewTable(named(t, "simple"), c.p, TableOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.p, err, c.want)
		}
	}
}
