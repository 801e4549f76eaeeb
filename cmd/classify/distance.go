package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"hbar/classify"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/data/npz"
	"hbar/metrics"
)

// distanceOptions are the settings of classify distance.
type distanceOptions struct {
	classifier, samples, reference string
	images                         flags.Images
	n, groups, workers             int
	seed                           uint64
	json                           string
}

// distanceFile is what --json writes.
type distanceFile struct {
	Samples   string             `json:"samples"`
	Reference string             `json:"reference"`
	N         int                `json:"n"`
	Frechet   *metrics.Resampled `json:"frechet"`
	Kernel    *metrics.Resampled `json:"kernel"` // null against moments alone
}

func runDistance(ctx context.Context, args []string, io ui.Streams) error {
	o := distanceOptions{groups: metrics.DefaultGroups}
	s := flags.New("classify distance", "Fréchet and kernel distance of samples to data, in features of a classifier or of any other extractor, with standard errors.")
	g := s.Group("Samples")
	g.String(&o.samples, "samples", "FILE", "samples or other data, or an .npz of their features (required)")
	g.String(&o.reference, "reference", "FILE", "data, an .npz of their features, or one of mu and sigma (required)")
	g.String(&o.classifier, "classifier", "FILE", "what classify train wrote, for files that do not hold features")
	o.images.Define(g)
	g.Int(&o.n, "n", "COUNT", flags.Between(0, 1<<30), "the first so many of both; 0 means all")
	g.Int(&o.groups, "groups", "G", flags.Between(4, 10_000), "groups that are left out in turn, for the errors and the bias")
	g.Uint64(&o.seed, "seed", "SEED", "of the order of the rows, in which groups follow each other")
	g = s.Group("Output")
	g.String(&o.json, "json", "FILE.json", "the same, with pseudo-values")
	g = s.Group("Run")
	g.Int(&o.workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores")
	s.Note("An .npz with an array features [n, F], or with mu [F] and sigma [F, F], is taken as features; features of another extractor, an Inception network's say, make the distances FID and KID. " +
		"The bias of order 1/n, which is taken off the Fréchet distance, is that of independent samples: samples that go through classes in turn are spread more evenly than that.")
	s.Example("go run ./cmd/classify distance --classifier digits.safetensors --samples drawn.npz --reference datasets/mnist/t10k-images-idx3-ubyte.gz", "")
	if err := s.Parse(args, io.Out); err != nil {
		return err
	}
	if o.samples == "" || o.reference == "" {
		return ui.Usagef("--samples FILE and --reference FILE are needed: what is compared, and with what")
	}
	if err := flags.CheckOutputs([]flags.File{{Name: "json", Path: o.json, Endings: []string{".json"}}}, []flags.File{{Name: "samples", Path: o.samples}, {Name: "reference", Path: o.reference}, {Name: "classifier", Path: o.classifier}}); err != nil {
		return err
	}
	x, err := o.features(ctx, io, o.samples)
	if err != nil {
		return err
	}
	y, err := o.features(ctx, io, o.reference)
	if err != nil {
		return err
	}
	switch {
	case x.X == nil:
		return fmt.Errorf("%s has moments only; the samples need features, a row for each", o.samples)
	case x.D != y.D:
		return fmt.Errorf("%s has %d features and %s has %d; want one number", o.samples, x.D, o.reference, y.D)
	}
	f := distanceFile{Samples: o.samples, Reference: o.reference, N: len(x.X) / x.D}
	if f.Frechet, err = y.Frechet(ctx, x.X, o.groups); err != nil {
		return interrupted(err)
	}
	if y.X != nil {
		if f.Kernel, err = y.Kernel(ctx, x.X, o.groups); err != nil {
			return interrupted(err)
		}
	}
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "distance\tvalue\t± s.e.\t95 % from\tto\tbias taken off\t")
	for _, r := range []struct {
		name string
		*metrics.Resampled
	}{{"frechet", f.Frechet}, {"kernel", f.Kernel}} {
		if e := r.Resampled; e != nil {
			fmt.Fprintf(t, "%s\t%.5g\t%.2g\t%.5g\t%.5g\t%.2g\t\n", r.name, e.Estimate.Value, e.Estimate.StdErr, e.Estimate.Lo, e.Estimate.Hi, e.Bias)
		}
	}
	t.Flush()
	if o.json == "" {
		return nil
	}
	if err := rundir.WriteJSON(o.json, f); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.json)
	return nil
}

// features are those of a file, or those that the classifier sees in its samples.
func (o *distanceOptions) features(ctx context.Context, io ui.Streams, path string) (*classify.Features, error) {
	if strings.EqualFold(filepath.Ext(path), ".npz") {
		switch arrays, err := npz.Read(path); {
		case err != nil && o.classifier == "": // with a classifier the reader of samples has its say, which reads more kinds of arrays
			return nil, err
		case err == nil && (arrays["features"] != nil || arrays["mu"] != nil):
			return classify.ReadFeatures(path, o.n, o.seed)
		}
	}
	if o.classifier == "" {
		return nil, ui.Usagef("%s holds no features; --classifier FILE looks at its samples", path)
	}
	m, err := classify.Load(o.classifier)
	if err != nil {
		return nil, err
	}
	set, err := data.LoadWith(path, o.images.AddTo(data.Options{N: o.n}))
	if err != nil {
		return nil, err
	}
	introduce(io, set)
	j, err := judge(ctx, io, m, set, o.workers)
	if err != nil {
		return nil, err
	}
	f := &classify.Features{D: m.Config.Features, X: j.Features}
	f.Shuffle(o.seed)
	return f, nil
}
