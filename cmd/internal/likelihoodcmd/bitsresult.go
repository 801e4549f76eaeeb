package likelihoodcmd

import (
	"fmt"
	"io"
	"math"

	"hbar/cmd/internal/loglik"
)

// bitsInfo are the figures of the set: those of h = 0 if it is among the strengths, else of the first.
type bitsInfo struct {
	setBits
	// AtH are those of each h, if there are several.
	AtH []setBits `json:"bits_per_dim_at_h,omitempty"`
}

// setBits are the figures of the set at one h.
type setBits struct {
	H      num       `json:"bits_per_dim_h"`
	PerDim num       `json:"bits_per_dim"`
	Tight  num       `json:"bits_per_dim_tight"`
	StdErr num       `json:"bits_per_dim_stderr"`
	Shares bitsShare `json:"bits_per_dim_shares"`
	Kind   string    `json:"bits_per_dim_kind"`
	// PerChar are the same figures for a character of text, where dequantisation makes them those of characters.
	PerChar       *num `json:"bits_per_char,omitempty"`
	PerCharTight  *num `json:"bits_per_char_tight,omitempty"`
	PerCharStdErr *num `json:"bits_per_char_stderr,omitempty"`
	// Halving is the mean over points of what halving the steps changed; null for steps by tolerance and for the path integral.
	Halving num `json:"bits_per_dim_halving"`
	N       int `json:"bits_per_dim_n"`
}

type bitsShare struct {
	Images         num `json:"images"`
	Dequantisation num `json:"dequantisation"`
	Probes         num `json:"probes"`
	Paths          num `json:"paths"`
	Solver         num `json:"solver"`
}

// pointBits are the figures of a point, as those of the set.
type pointBits struct {
	PerDim num `json:"bits_per_dim"`
	Tight  num `json:"bits_per_dim_tight"`
	StdErr num `json:"bits_per_dim_stderr"`
	Draws  int `json:"draws"`
	// AtH are bits per dimension at each h, if there are several.
	AtH numbers `json:"bits_per_dim_at_h,omitempty"`
}

// addBits puts bits per dimension into the result.
func (res *result) addBits(o *options, f *found) {
	if o.dequantise() == loglik.DequantiseTruncNorm {
		for i := range res.Summary {
			res.Summary[i].DataUnits = nil // a density of the noisy state, which is not that of the data in other units
		}
	}
	if res.Model.D > loglik.MostCoordinates {
		for i := range res.Points {
			res.Points[i].X = nil
		}
	}
	if !o.Bits {
		return
	}
	var all []*loglik.Bits // of each of res.H
	at := 0
	for _, h := range res.H {
		switch {
		case h == 0:
			all = append(all, f.flow)
		case at < len(f.paths):
			all = append(all, f.paths[at])
			at++
		default:
			all = append(all, nil)
		}
	}
	main := f.flow
	for _, b := range all {
		if main == nil {
			main = b
		}
	}
	if main == nil {
		return
	}
	several := len(all) > 1
	res.bitsInfo = &bitsInfo{setBits: setBitsOf(main).ofCharacters(res.charBits(o))}
	for i, p := range main.Points {
		q := &pointBits{PerDim: num(p.PerDim), Tight: num(p.Tight), StdErr: num(p.BitsErr), Draws: p.Draws}
		for _, b := range all {
			if !several {
				break
			}
			v := math.NaN()
			if b != nil {
				v = b.Points[i].PerDim
			}
			q.AtH = append(q.AtH, num(v))
		}
		res.Points[i].pointBits = q
		for j, b := range all {
			if k := &res.Points[i].Kind[j]; *k != nil && b != nil && o.dequantise() != loglik.DequantiseNone {
				*k = kind(loglik.KindBound)
			}
		}
	}
	for _, b := range all {
		if several && b != nil {
			res.AtH = append(res.AtH, setBitsOf(b).ofCharacters(res.charBits(o)))
		}
	}
}

func setBitsOf(b *loglik.Bits) setBits {
	halving, n := 0.0, 0.0
	for _, p := range b.Points {
		if p.Status == loglik.OK {
			halving, n = halving+p.Halving, n+1
		}
	}
	if b.H != 0 {
		n = 0
	}
	s := b.Shares
	return setBits{H: num(b.H), PerDim: num(b.PerDim), Tight: num(b.Tight), StdErr: num(b.StdErr), Kind: b.Kind, Halving: num(halving / n), N: b.N,
		Shares: bitsShare{Images: num(s.Images), Dequantisation: num(s.Dequantisation), Probes: num(s.Probes), Paths: num(s.Paths), Solver: num(s.Solver)}}
}

// charBits is the number of dimensions of a character if bits per dimension are those of text, else 0.
func (res *result) charBits(o *options) int {
	if o.dequantise() == loglik.DequantiseNone {
		return 0
	}
	return res.Data.CharBits
}

// ofCharacters adds the figures for characters of n dimensions, if n > 0.
func (s setBits) ofCharacters(n int) setBits {
	if n == 0 {
		return s
	}
	times := func(v num) *num {
		v *= num(n)
		return &v
	}
	s.PerChar, s.PerCharTight, s.PerCharStdErr = times(s.PerDim), times(s.Tight), times(s.StdErr)
	return s
}

// kinds is how a figure is called in the report.
var kinds = map[string]string{loglik.KindValue: "a value", loglik.KindEstimate: "an estimate", loglik.KindBound: "a bound from above"}

// reportBits prints them.
func reportBits(w io.Writer, res *result) {
	if res.bitsInfo == nil {
		return
	}
	list := res.AtH
	if len(list) == 0 {
		list = []setBits{res.setBits}
	}
	for _, b := range list {
		if b.N == 0 {
			continue
		}
		at := ""
		if len(list) > 1 || b.H != 0 {
			at = " at h = " + res.strength(b.H)
		}
		fmt.Fprintf(w, "bits      %s per dimension%s, %s\n", loglik.PlusMinus(float64(b.PerDim), float64(b.StdErr)), at, kinds[b.Kind])
		if b.PerChar != nil {
			fmt.Fprintf(w, "text      %s bits per character%s: of the probability that the signs of the samples spell it\n", loglik.PlusMinus(float64(*b.PerChar), float64(*b.PerCharStdErr)), at)
		}
		if finite(float64(b.Tight)) {
			fmt.Fprintf(w, "tight     %.5f by the logarithm of the mean over draws\n", float64(b.Tight))
		}
		b.Shares.report(w)
		if v := float64(b.Shares.Solver); v > coarseMesh && !(float64(b.StdErr) > 3*v) {
			fmt.Fprintf(w, "solver    halving the steps changed bits per dimension by %.2g, a large part of the error: raise --flow-steps\n", v)
		}
	}
}

// coarseMesh is the change by halving, in bits per dimension, from which on the report advises a finer mesh: half of the last digit that such
// figures are given with.
const coarseMesh = 0.005

func (b bitsShare) report(w io.Writer) {
	fmt.Fprint(w, "shares   ")
	for _, s := range []struct {
		name string
		v    num
	}{{"images", b.Images}, {"dequantisation", b.Dequantisation}, {"probes", b.Probes}, {"paths", b.Paths}, {"solver", b.Solver}} {
		switch v := float64(s.v); {
		case math.IsNaN(v) && s.name == "paths":
		case math.IsNaN(v) && s.name == "probes" && finite(float64(b.Paths)):
		case math.IsNaN(v):
			fmt.Fprintf(w, " %s unknown", s.name)
		default:
			fmt.Fprintf(w, " %s %.2g", s.name, v)
		}
	}
	fmt.Fprintln(w)
}
