package sweepcmd

import (
	"slices"
	"strings"

	"hbar/cmd/internal/ui"
)

// The measures of --metric.
const (
	metricW2      = "w2"
	metricSliced  = "sliced"
	metricFrechet = "fd"
	metricKernel  = "kd"
	metricNLL     = "nll"
)

// The same in results.
var metricNames = map[string]string{metricW2: "w2_squared", metricSliced: "sliced_w2_squared", metricFrechet: "frechet", metricKernel: "kernel"}

// measures are the parsed --metric.
type measures struct {
	names []string          // in the order given
	files map[string]string // of reference features, for fd and kd
}

func (m measures) has(name string) bool { return slices.Contains(m.names, name) }

// resampled are the measures whose error comes from leaving out groups of samples.
func (m measures) resampled() []string {
	return slices.DeleteFunc(slices.Clone(m.names), func(n string) bool { return n == metricW2 || n == metricNLL })
}

// features reports whether samples have to be looked at by a classifier.
func (m measures) features() bool { return m.has(metricFrechet) || m.has(metricKernel) }

// auto is what --metric auto stands for.
func (o *options) auto(images bool, d int) string {
	const pixels = 100 // from so many on the exact W2 between samples says little, and costs much
	switch {
	case images && d > pixels && o.classifier != "":
		return "sliced,fd,kd,nll"
	case images && d > pixels:
		return "sliced,nll"
	}
	return "w2,nll"
}

// parseMeasures reads a list like fd:features.npz,sliced,nll.
func parseMeasures(list string) (measures, error) {
	m := measures{files: map[string]string{}}
	for part := range strings.SplitSeq(list, ",") {
		name, file, given := strings.Cut(strings.TrimSpace(part), ":")
		switch {
		case name != metricNLL && metricNames[name] == "":
			return m, ui.Usagef("--metric %q unknown; have w2, sliced, fd, kd, nll, auto", name)
		case m.has(name):
			return m, ui.Usagef("--metric names %s twice", name)
		case given && (name != metricFrechet && name != metricKernel || file == ""):
			return m, ui.Usagef("--metric %s: a file of features goes with fd or kd, as in fd:features.npz", part)
		}
		m.names = append(m.names, name)
		if given {
			m.files[name] = file
		}
	}
	return m, nil
}
