package likelihoodcmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/solver"
	"hbar/solver/likelihood"
	"hbar/solver/ownscore"
)

// The values of --own-score beside a file.
const (
	ownOff = "off"
	ownFit = "fit"
)

// ownOptions are the settings of the sampler's own score.
type ownOptions struct {
	OwnScore string
	OwnPaths int

	own []*ownscore.Score // of each h > 0; nil where there is none or it does not help
}

func (o *ownOptions) define(g *flags.Group) {
	g.String(&o.OwnScore, "own-score", "off|fit|FILE", "the score of the sampler's own density, which brings the bounds of pathintegral together. fit: learnt from paths of the chain at each h > 0, kept beside the checkpoint if on held-out paths it lowers the upper bound and raises the lower one. FILE: what a fit has kept.")
	g.Int(&o.OwnPaths, "own-paths", "N", flags.Between(8, 100_000_000), "paths of the chain that the fit sees, each at the price of three gradients a step")
}

// ownInfo is a fit in the result.
type ownInfo struct {
	H        num    `json:"h"`
	File     string `json:"file,omitempty"`
	Used     bool   `json:"used"`
	Chosen   string `json:"chosen,omitempty"`
	Lower    num    `json:"lower_change"`
	LowerErr num    `json:"lower_change_stderr"`
	Upper    num    `json:"upper_change"`
	UpperErr num    `json:"upper_change_stderr"`
	N        int    `json:"held_out"`
}

// checkOwn refuses what the own score does not go with.
func (o *options) checkOwn(given func(name string) bool) error {
	if o.OwnScore == ownOff {
		if given("own-paths") {
			return ui.Usagef("--own-paths are those of --own-score fit")
		}
		return nil
	}
	switch {
	case o.OwnScore != ownFit && given("own-paths"):
		return ui.Usagef("--own-paths are those of --own-score fit, and --own-score is %s; leave it out", o.OwnScore)
	case o.OwnScore == "":
		return ui.Usagef("--own-score is empty; want off, fit or a file")
	case slices.ContainsFunc(o.H, math.IsNaN):
		return ui.Usagef("--own-score is for strengths that are the same along the way; name plain numbers with --h")
	case o.Richardson:
		return ui.Usagef("--own-score is of one chain; leave --richardson out")
	case !slices.ContainsFunc(o.H, func(h float64) bool { return h > 0 }):
		return ui.Usagef("--own-score is for the path integral, and --h has no strength above 0")
	}
	return nil
}

// ownScores fits or reads the own scores of the strengths, and has the path integral use those that help.
func (o *options) ownScores(ctx context.Context, w io.Writer, net *loglik.Network, s *loglik.Options) ([]ownInfo, error) {
	if o.OwnScore == ownOff {
		return nil, nil
	}
	if !slices.Contains(s.Methods, loglik.PathIntegral) {
		return nil, ui.Usagef("--own-score is for --method pathintegral, and --method is %s", o.Method)
	}
	if classes(net) > 0 && (o.Class == "" || o.Class == classMarginal) {
		return nil, ui.Usagef("--own-score is of one class, and the network has %d: each has a score of its own; name one with --class K, or --class %s", classes(net), model.ClassNone)
	}
	if err := solver.NeedScalars(net.Schedule, "--own-score"); err != nil {
		return nil, ui.UsageError{Err: err}
	}
	var infos []ownInfo
	for _, h := range o.H {
		if h == 0 {
			continue
		}
		c, info, err := o.ownScore(ctx, w, net, h, s)
		if err != nil {
			return nil, err
		}
		infos = append(infos, *info)
		o.own = append(o.own, c)
		var correction likelihood.Correction
		if c != nil {
			correction = c
		}
		s.Path.Corrections = append(s.Path.Corrections, correction)
	}
	return infos, nil
}

func (o *options) ownScore(ctx context.Context, w io.Writer, net *loglik.Network, h float64, s *loglik.Options) (*ownscore.Score, *ownInfo, error) {
	nan := num(math.NaN())
	info := &ownInfo{H: num(h), File: o.OwnScore, Used: true, Lower: nan, LowerErr: nan, Upper: nan, UpperErr: nan}
	if o.OwnScore != ownFit {
		c, err := net.LoadOwn(o.OwnScore, h, ownscore.ChainOf(s.Path), o.ownClass(net))
		if err != nil {
			return nil, nil, fmt.Errorf("--own-score: %w", err)
		}
		fmt.Fprintf(w, "own score h = %g: of %s\n", h, o.OwnScore)
		return c, info, nil
	}
	fit, err := net.FitOwn(ctx, h, o.OwnPaths, *s)
	if err != nil {
		return nil, nil, err
	}
	info.Used, info.Chosen, info.N = fit.Helps, fit.Chosen, fit.N
	info.Lower, info.LowerErr, info.Upper, info.UpperErr = num(fit.Lower), num(fit.LowerErr), num(fit.Upper), num(fit.UpperErr)
	change := fmt.Sprintf("on %d held-out points the lower bound changes by %+.3g ± %.2g nats and the upper by %+.3g ± %.2g", fit.N, fit.Lower, fit.LowerErr, fit.Upper, fit.UpperErr)
	if !fit.Helps {
		info.File = ""
		fmt.Fprintf(w, "own score h = %g: rejected, it does not help: %s; the usual proposal is used\n", h, change)
		return nil, info, nil
	}
	info.File = ownFile(o.Checkpoint, h, o.ownClass(net))
	if err := net.SaveOwn(info.File, fit.Score, o.ownClass(net)); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(w, "own score h = %g: %s; kept in %s\n", h, change, info.File)
	return fit.Score, info, nil
}

// ownClass is the class that an own score is of, "" for a network without classes.
func (o *options) ownClass(net *loglik.Network) string {
	if classes(net) == 0 {
		return ""
	}
	return o.Class
}

// ownFile is the file of a fit beside the checkpoint, or in its directory.
func ownFile(checkpoint string, h float64, class string) string {
	name := fmt.Sprintf("own-h%g.safetensors", h)
	if class != "" {
		name = fmt.Sprintf("own-class-%s-h%g.safetensors", class, h)
	}
	if info, err := os.Stat(checkpoint); err == nil && info.IsDir() {
		return filepath.Join(checkpoint, name)
	}
	return strings.TrimSuffix(checkpoint, filepath.Ext(checkpoint)) + "." + name
}

// ownDigest names the own scores, for what depends on them.
func (o *options) ownDigest() string {
	if len(o.own) == 0 {
		return ""
	}
	h := sha256.New()
	for _, c := range o.own {
		if c == nil {
			h.Write([]byte{0})
			continue
		}
		text, _ := json.Marshal([]any{c.H, c.Knots, c.Features, c.Weights, c.Omega, c.Phase, c.Cap, c.LogRho})
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))
}
