package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Count writes an integer with its thousands apart: 80,000.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Plural writes so many of what a noun names: 1 sample, 2,000 samples, 3 classes.
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return Count(n) + " " + noun + "s"
}

// Rate writes a number of things in three digits: 812, 3410, 34.1 k, 2.45 M.
func Rate(v float64) string {
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%.3g G", v/1e9)
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3g k", v/1e3)
	case v >= 1e3:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// longest is the longest span of time that there is, 292 years.
const longest = time.Duration(math.MaxInt64)

// seconds is a span of s seconds, or the longest there is.
func seconds(s float64) time.Duration {
	if s *= float64(time.Second); s < float64(longest) {
		return time.Duration(s)
	}
	return longest
}

// Span writes a duration the way one says it: 0.3 s, 42 s, 3 min 05 s, 2 h 10 min.
func Span(d time.Duration) string {
	switch s := d.Seconds(); {
	case s < 9.95:
		return fmt.Sprintf("%.1f s", s)
	case s < 99.5:
		return fmt.Sprintf("%.0f s", s)
	case s < 5400:
		n := int(s + 0.5)
		return fmt.Sprintf("%d min %02d s", n/60, n%60)
	case d == longest:
		return "centuries"
	default:
		n := int(s/60 + 0.5)
		return fmt.Sprintf("%d h %02d min", n/60, n%60)
	}
}
