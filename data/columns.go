package data

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pick resolves a list of columns, such as "x,y", "2,3" or "2-5", among k columns with these names (nil: no names). A name goes
// before a number; numbers count from 1.
func pick(list string, names []string, k int) ([]int, error) {
	var out []int
	add := func(j int, item string) error {
		if slices.Contains(out, j) {
			return fmt.Errorf("--columns %s: column %s is named twice", list, item)
		}
		out = append(out, j)
		return nil
	}
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if j := slices.Index(names, item); j >= 0 && item != "" {
			if slices.Contains(names[j+1:], item) {
				return nil, fmt.Errorf("--columns %s: several columns are called %q; give their numbers, from 1", list, item)
			}
			if err := add(j, item); err != nil {
				return nil, err
			}
			continue
		}
		lo, hi, isRange := strings.Cut(item, "-")
		if !isRange {
			hi = lo
		}
		a, errA := strconv.Atoi(strings.TrimSpace(lo))
		b, errB := strconv.Atoi(strings.TrimSpace(hi))
		if errA != nil || errB != nil {
			return nil, fmt.Errorf("--columns %s: there is no column %q; have %s", list, item, describeColumns(names, k))
		}
		if a < 1 || b > k || a > b {
			return nil, fmt.Errorf("--columns %s: there is no column %s; have %s, numbered from 1", list, item, describeColumns(names, k))
		}
		for j := a; j <= b; j++ {
			if err := add(j-1, strconv.Itoa(j)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func describeColumns(names []string, k int) string {
	if names != nil {
		return shortList(shown(names), 12)
	}
	return fmt.Sprintf("columns 1 to %d", k)
}

// columnName is what messages call column j: its number from 1, and its name if it has one.
func columnName(names []string, j int) string {
	if names == nil || names[j] == "" {
		return fmt.Sprintf("column %d", j+1)
	}
	return fmt.Sprintf("column %d (%s)", j+1, names[j])
}

// indexNames are what programs call a column that only numbers the rows.
var indexNames = []string{"", "index", "idx", "id", "row", "rowid", "row_id", "rownames", "row_names", "row.names", "unnamed: 0", "level_0", "no", "nr"}

// counting reports whether values go up by one from row to row.
func counting(x []float64, j, d int) bool {
	n := len(x) / d
	for i := 1; i < n; i++ {
		if x[i*d+j] != x[(i-1)*d+j]+1 {
			return false
		}
	}
	return n > 2
}

// distinctIntegers reports whether a column holds whole numbers, each once: the index of rows that were shuffled or filtered.
func distinctIntegers(x []float64, j, d int) bool {
	seen := map[float64]bool{}
	for i := j; i < len(x); i += d {
		if v := x[i]; v != float64(int64(v)) || seen[v] {
			return false
		}
		seen[x[i]] = true
	}
	return len(seen) > 2
}

// keepColumns copies some of d columns.
func keepColumns(x []float64, d int, keep []int) []float64 {
	out := make([]float64, 0, len(x)/d*len(keep))
	for i := 0; i < len(x); i += d {
		for _, j := range keep {
			out = append(out, x[i+j])
		}
	}
	return out
}

func keepNames(names []string, keep []int) []string {
	if names == nil {
		return nil
	}
	out := make([]string, len(keep))
	for i, j := range keep {
		out[i] = names[j]
	}
	return out
}

// selectColumns reduces a table that has no header to the columns of the list, by number.
func (s *Dataset) selectColumns(list string) error {
	if len(s.Shape) != 1 {
		return fmt.Errorf("--columns %s is for tables; the samples here have shape %v", list, s.Shape)
	}
	keep, err := pick(list, s.Columns, s.D)
	if err != nil {
		return err
	}
	s.X, s.Columns = keepColumns(s.Values(), s.D, keep), keepNames(s.Columns, keep)
	s.Bytes = nil
	s.D, s.Shape = len(keep), []int{len(keep)}
	s.note("columns", "%s", list)
	return nil
}
