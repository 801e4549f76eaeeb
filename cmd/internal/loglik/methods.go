package loglik

import (
	"fmt"
	"slices"
	"strings"
)

// Method is a way to log q^h.
type Method string

const (
	Flow         Method = "flow"
	WKB          Method = "wkb"
	PathIntegral Method = "pathintegral"
	FokkerPlanck Method = "fokkerplanck"
)

var methods = []Method{Flow, WKB, PathIntegral, FokkerPlanck}

// Names lists the methods.
func Names() []string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = string(m)
	}
	return names
}

// JoinMethods lists methods as Parse reads them.
func JoinMethods(list []Method) string {
	names := make([]string, len(list))
	for i, m := range list {
		names[i] = string(m)
	}
	return strings.Join(names, ",")
}

// Parse reads a comma-separated list of methods; "all" is all that work in d dimensions.
func Parse(list string, d int) ([]Method, error) {
	var out []Method
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "all" {
			for _, m := range methods {
				if m != FokkerPlanck || d <= 2 {
					out = append(out, m)
				}
			}
			continue
		}
		m := Method(name)
		if !slices.Contains(methods, m) {
			return nil, fmt.Errorf("method %q unknown; have %s, all", name, strings.Join(Names(), ", "))
		}
		if m == FokkerPlanck && d > 2 {
			return nil, fmt.Errorf("method fokkerplanck needs a grid over all dimensions: D = 1 or 2, and the network has %d; use pathintegral", d)
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Method) int { return slices.Index(methods, a) - slices.Index(methods, b) })
	return slices.Compact(out), nil
}

// Has reports whether the method has a value at h.
func (m Method) Has(h float64) bool {
	switch m {
	case Flow:
		return h == 0
	case WKB:
		return true
	}
	return h != 0 // NaN stands for a profile
}
