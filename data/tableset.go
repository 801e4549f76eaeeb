package data

import (
	"fmt"
	"slices"
	"strings"
)

// dataset is the set of a table that has been read, without a column that only numbers the rows, and with notes of what was
// taken for what.
func (t *table) dataset() (*Dataset, error) {
	d := len(t.parse)
	keep, index := t.parse, ""
	if t.rowName {
		index = "column 1, names of the rows, is left out"
	} else if !t.chosen && d > 1 {
		switch named := t.names != nil; {
		case counting(t.x, 0, d) && (!named || t.isIndexName()), named && t.isIndexName() && (t.names[0] == "" || distinctIntegers(t.x, 0, d)):
			index = columnName(t.names, 0) + ", numbers of the rows, is left out"
			if counting(t.x, 0, d) {
				index = columnName(t.names, 0) + ", which counts the rows, is left out"
			}
			t.x = keepColumns(t.x, d, consecutive(1, d))
			keep, d = keep[1:], d-1
		}
	}
	s, err := newDataset(t.x, []int{d})
	if err != nil {
		return nil, err
	}
	s.Columns = keepNames(t.names, keep)
	if !slices.ContainsFunc(s.Columns, func(n string) bool { return n != "" }) {
		s.Columns = nil
	}
	if t.nfields > 1 || t.comma {
		s.note("table", "%s", t.dialect)
	}
	switch {
	case t.first:
		s.note("header", "%s", shortList(shown(t.names), 12))
	case t.names != nil:
		s.note("header", "%s, from the comment above", shortList(t.names, 12))
	default:
		s.note("header", "none")
	}
	if index != "" {
		taken := describeColumns(s.Columns, d)
		if s.Columns == nil {
			taken = fmt.Sprintf("%d to %d", keep[0]+1, keep[len(keep)-1]+1)
		}
		s.note("columns", "%s; %s (--columns 1-%d would take it in)", taken, index, keep[len(keep)-1]+1)
	} else if t.chosen {
		var list []string
		for _, j := range keep {
			list = append(list, strings.TrimPrefix(columnName(t.names, j), "column "))
		}
		s.note("columns", "%s", shortList(list, 12))
	}
	if index == "" && d > 1 && counting(s.X, 0, d) {
		s.warn("%s counts the rows; if it is an index and no coordinate, leave it out with --columns", columnName(s.Columns, 0))
	}
	return s, nil
}

// shown are names for messages, "" for one that is empty.
func shown(names []string) []string {
	out := slices.Clone(names)
	for i, n := range out {
		if n == "" {
			out[i] = `""`
		}
	}
	return out
}

func (t *table) isIndexName() bool {
	return slices.Contains(indexNames, strings.ToLower(strings.TrimSpace(t.names[0])))
}

// consecutive is lo, lo+1, …, hi−1.
func consecutive(lo, hi int) []int {
	var out []int
	for j := lo; j < hi; j++ {
		out = append(out, j)
	}
	return out
}
