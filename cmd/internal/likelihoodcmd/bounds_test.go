package likelihoodcmd

import (
	"math"
	"strings"
	"testing"
)

// boundsResult is what readers of bounds see.
type boundsResult struct {
	PerDim *float64 `json:"bits_per_dim"`
	Kind   string   `json:"bits_per_dim_kind"`
	AtH    []struct {
		H      *float64            `json:"bits_per_dim_h"`
		PerDim *float64            `json:"bits_per_dim"`
		StdErr *float64            `json:"bits_per_dim_stderr"`
		Tight  *float64            `json:"bits_per_dim_tight"`
		Shares map[string]*float64 `json:"bits_per_dim_shares"`
	} `json:"bits_per_dim_at_h"`
	Summary []struct {
		Method   string
		H        float64
		N        int
		Bounds   int
		Enclosed *struct {
			Lower, Upper, Width float64
			WidthErr            *float64 `json:"width_stderr"`
			N                   int
		}
	}
	Points []struct {
		LogQ     []*float64 `json:"log_q"`
		ESS      []*float64
		Kind     []*string
		Lower    []*float64
		LowerErr []*float64 `json:"lower_stderr"`
		Upper    []*float64
		UpperErr []*float64 `json:"upper_stderr"`
		OwnFlow  []*float64 `json:"own_flow"`
		Status   string
	}
}

func bounds(t *testing.T, args string) (r boundsResult, out string) {
	t.Helper()
	return read[boundsResult](t, args)
}

// Of generated points log q is between the bounds, which are given whatever the effective sample size; at h = 0 there are none.
func TestGeneratedBounds(t *testing.T) {
	r, out := bounds(t, "--checkpoint "+swissRoll+" --generated 30 --h 0,1 --method flow,pathintegral --steps 60 --paths 20")
	for i, p := range r.Points {
		if p.Status != "ok" || p.Lower[0] != nil || p.Upper[0] != nil || p.ESS[0] != nil || *p.Kind[0] != "value" {
			t.Fatalf("point %d at h = 0: %+v", i, p)
		}
		if p.Lower[1] == nil || p.LowerErr[1] == nil || p.Upper[1] == nil || p.UpperErr[1] == nil || p.ESS[1] == nil || p.Kind[1] == nil || p.OwnFlow[1] != nil {
			t.Fatalf("point %d at h = 1: %+v", i, p)
		}
		if *p.LogQ[1] != *p.Lower[1] {
			t.Errorf("point %d: log q %g, lower %g", i, *p.LogQ[1], *p.Lower[1])
		}
	}
	e := r.Summary[1].Enclosed
	if e == nil || e.N != 30 || math.Abs(e.Upper-e.Lower-e.Width) > 1e-9 || !(e.Width > -4.5**e.WidthErr) || !strings.Contains(out, "30 generated points is between") { // roundings of means; a width below 0 by chance alone
		t.Errorf("%+v\n%s", e, out)
	}
}

// Where few paths carry the weight the bound is presented, and called one: a network with random weights in 64 dimensions.
func TestBoundIsPresented(t *testing.T) {
	net := golden(t, "unet_center", "UNet2DModel")
	r, out := bounds(t, "--checkpoint "+net+" --generated 2 --h 1 --steps 10 --paths 24 --bits")
	if r.Kind != "bound" || r.PerDim == nil || r.Summary[0].Bounds != 2 || r.Summary[0].N != 2 || !strings.Contains(out, "for 2 of 2 points the value is a lower bound") {
		t.Errorf("%+v\n%s", r, out)
	}
	for _, p := range r.Points {
		if p.Status != "ok" || *p.Kind[0] != "bound" || *p.LogQ[0] != *p.Lower[0] || p.Upper[0] == nil {
			t.Errorf("%+v", p)
		}
	}
}

// Bits at several strengths: flow and path integral of the same dequantised images, with the tight bound for both.
func TestBitsAtH(t *testing.T) {
	r, out := bounds(t, "--checkpoint "+saved(t, 2, nil)+" --data "+npy(t, 2, 0, 1, 1, 0, -1, 1)+" --dequantise uniform --draws 4 --h 0,0.5,1 --flow-steps 64 --paths 100 --steps 100")
	if len(r.AtH) != 3 || *r.AtH[0].PerDim != *r.PerDim || *r.AtH[1].H != 0.5 {
		t.Fatalf("%+v", r)
	}
	for _, b := range r.AtH {
		if b.Tight == nil || !(*b.Tight < *b.PerDim) || math.Abs(*b.PerDim-*r.PerDim) > 1 {
			t.Errorf("h = %g: %+v", *b.H, b)
		}
		if probes, paths := b.Shares["probes"], b.Shares["paths"]; (probes == nil) == (*b.H == 0) || (paths == nil) != (*b.H == 0) {
			t.Errorf("h = %g: %v", *b.H, b.Shares)
		}
	}
	if strings.Count(out, "per dimension at h = ") != 3 {
		t.Error(out)
	}
}
