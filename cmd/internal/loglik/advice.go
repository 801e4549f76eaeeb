package loglik

import (
	"strings"

	"hbar/solver/fokkerplanck"
	"hbar/solver/likelihood"
	"hbar/solver/likelihood/ode"
)

// advice says what to do about points with a status other than OK.
var advice = map[string]string{
	string(likelihood.Diverged): "the probability flow carries them off, further than 1000 standard deviations at Tmax. Points far from the training data do that, " +
		"and so does a network that was trained too briefly; --method pathintegral or fokkerplanck with h > 0 may still have a value",
	string(ode.StepTooSmall):         "raise --tol, or take --precision fp64",
	string(ode.TooManySteps):         "raise --tol, or take --precision fp64",
	string(ode.NotFinite):            "the network overflows on the way: are the points in the units of the training data?",
	string(likelihood.BadPoint):      "the data hold NaN or an infinity there",
	string(likelihood.LowESS):        "few paths carry all the weight: raise --paths or h, or lower --min-ess to see the value nevertheless",
	string(likelihood.Rounded):       "the points lie too far outside: are they in the units of the training data?",
	fokkerplanck.Outside.String():    "too far outside for the grid to hold any density there",
	fokkerplanck.Unresolved.String(): "raise --cells, or use --method pathintegral",
	fokkerplanck.Invalid.String():    "the data hold NaN or an infinity there",
	Interrupted:                      "the same command, given the time, computes them",
	"the score is not finite":        "the network overflows on the grid: train it for longer, or use --method pathintegral",
}

// Advice is "" or what to do about points with that status, to be put behind it.
func Advice(status string) string {
	for s, a := range advice {
		if strings.HasPrefix(status, s) {
			return "; " + a
		}
	}
	return ""
}
