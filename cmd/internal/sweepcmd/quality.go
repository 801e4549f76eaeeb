package sweepcmd

import (
	"context"
	"fmt"
	"math"
	"slices"

	"hbar/classify"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/metrics"
)

// quality measures samples by features and by slices, each with its error from leaving out groups of samples.
type quality struct {
	o          options
	shape      []int
	d          int
	bytes      bool // samples are rounded to bytes, as files hold them and as the data are
	classifier *classify.Model

	labels    []int32                       // of the data; nil: they have none
	pixels    []float64                     // reference data for slices, o.n points
	reference map[string]*classify.Features // for fd and kd
	floor     map[string]*metrics.Resampled
}

// mostReference is how many reference data are read for features.
const mostReference = 10_000

// newQuality reads the classifier, the reference data and their features.
func newQuality(ctx context.Context, net *loglik.Network, o options) (*quality, error) {
	q := &quality{o: o, shape: net.SampleShape(), d: net.Net.Dim(), reference: map[string]*classify.Features{}, floor: map[string]*metrics.Resampled{}}
	if q.o.measures.features() {
		if o.classifier == "" {
			return nil, ui.Usagef("--metric fd and kd look at samples through a classifier's features: --classifier FILE names one, which classify train makes")
		}
		var err error
		q.classifier, err = shard.Input(o.shard.Inputs, o.classifier, shard.Hash, func() (*classify.Model, error) { return classify.Load(o.classifier) })
		if err != nil {
			return nil, err
		}
	}
	for _, name := range []string{metricFrechet, metricKernel} {
		if path := o.measures.files[name]; path != "" && o.measures.has(name) {
			f, err := shard.Input(o.shard.Inputs, path, shard.Hash, func() (*classify.Features, error) { return classify.ReadFeatures(path, 0, o.Seed) })
			if err != nil {
				return nil, err
			}
			if f.D != q.classifier.Config.Features {
				return nil, fmt.Errorf("%s has %d features; the classifier %s has %d", path, f.D, o.classifier, q.classifier.Config.Features)
			}
			if name == metricKernel && f.X == nil {
				return nil, fmt.Errorf("%s has moments only; the kernel distance needs features, a row for each sample", path)
			}
			q.reference[name] = f
		}
	}
	return q, q.readReference(ctx, net)
}

// readReference reads the data where a measure needs them.
func (q *quality) readReference(ctx context.Context, net *loglik.Network) error {
	sliced := q.o.measures.has(metricSliced)
	own := slices.ContainsFunc([]string{metricFrechet, metricKernel}, func(n string) bool { return q.o.measures.has(n) && q.reference[n] == nil })
	if !sliced && !own {
		q.bytes = len(q.shape) == 3 && len(net.Norm.Scale) == 1 && net.Norm.Scale[0] == 127.5
		return nil
	}
	p, err := net.LoadPoints(q.o.Source, 0, 0, max(q.o.n, mostReference))
	if err != nil {
		return err
	}
	if err := p.CheckRange(); err != nil {
		return err
	}
	q.bytes, q.labels = p.Bytes, p.Labels
	for _, l := range p.Labels {
		if int(l) >= net.Config().Classes() {
			q.labels = nil // classes of another kind
		}
	}
	f := &classify.Features{D: q.d, X: q.ofClass(p)}
	f.Shuffle(q.o.Seed)
	n := len(f.X) / q.d
	if sliced {
		if n < q.o.n {
			return fmt.Errorf("%s has %d points; --n %d samples are compared with as many", p.Name, n, q.o.n)
		}
		if least := 4 * q.o.groups; n < least {
			return fmt.Errorf("%s has %d points; the sliced distance of its halves needs two in each of %d groups of both, %d; lower --groups", p.Name, n, q.o.groups, least)
		}
		q.pixels = f.X[:q.o.n*q.d]
		if q.floor[metricNames[metricSliced]], err = metrics.SlicedW2Squared(ctx, f.X[:n/2*q.d], f.X[n/2*q.d:n/2*2*q.d], q.d, q.o.groups, &metrics.SlicedOptions{Seed: q.o.Seed}); err != nil {
			return err
		}
	}
	if !own {
		return nil
	}
	j, err := q.judge(ctx, p.Name, f.X[:min(n, mostReference)*q.d])
	if err != nil {
		return err
	}
	for _, name := range []string{metricFrechet, metricKernel} {
		if q.o.measures.has(name) && q.reference[name] == nil {
			q.reference[name] = &classify.Features{D: q.classifier.Config.Features, X: j.Features}
		}
	}
	return nil
}

// referenceName says what a measure compares with.
func (q *quality) referenceName(name string) string {
	if path := q.o.measures.files[name]; path != "" {
		return path
	}
	return "the data"
}

// ofClass are the points of the class that is sampled, or all.
func (q *quality) ofClass(p *loglik.Points) []float64 {
	class, one := q.o.oneClass()
	if !one || p.Labels == nil {
		return p.X
	}
	var x []float64
	for i, l := range p.Labels {
		if l == class {
			x = append(x, p.X[i*p.D:(i+1)*p.D]...)
		}
	}
	return x
}

func (q *quality) judge(ctx context.Context, name string, x []float64) (*classify.Judged, error) {
	return q.classifier.Judge(ctx, &data.Dataset{Name: name, D: q.d, Shape: q.shape, X: x}, q.o.Workers, nil)
}

// measure compares samples, in data units, by each measure. Samples that are not finite leave a cell without values.
func (q *quality) measure(ctx context.Context, x []float64) (map[string]*metrics.Resampled, error) {
	x = slices.Clone(x[:q.o.n*q.d])
	for i, v := range x {
		if v-v != 0 {
			return nil, ctx.Err()
		}
		if q.bytes {
			x[i] = math.Round(min(max(v, 0), 255))
		}
	}
	out := map[string]*metrics.Resampled{}
	if q.pixels != nil {
		r, err := metrics.SlicedW2Squared(ctx, x, q.pixels, q.d, q.o.groups, &metrics.SlicedOptions{Seed: q.o.Seed})
		if err != nil {
			return nil, err
		}
		out[metricNames[metricSliced]] = r
	}
	if q.classifier == nil {
		return out, nil
	}
	j, err := q.judge(ctx, "samples", x)
	if err != nil {
		return nil, err
	}
	for name, f := range q.reference {
		run := f.Frechet
		if name == metricKernel {
			run = f.Kernel
		}
		r, err := run(ctx, j.Features, q.o.groups)
		if err != nil {
			return nil, fmt.Errorf("--metric %s, %d samples and %s: %w", name, q.o.n, q.referenceName(name), err)
		}
		out[metricNames[name]] = r
	}
	return out, nil
}
