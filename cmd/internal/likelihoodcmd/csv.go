package likelihoodcmd

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"

	"hbar/internal/atomicfile"
)

// writeCSV writes the points as a table: one row each, lists over h as one column for each h. What is null in the JSON
// is empty.
func writeCSV(path string, res *result, hs []float64) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for i, p := range res.Points {
		t := tableRow{}
		t.vector("x", p.X)
		t.add("log_q0", p.LogQ0)
		t.vector("score_q0", p.Score0)
		t.add("laplacian_q0", p.Laplacian)
		if b := p.pointBits; b != nil {
			t.add("bits_per_dim", b.PerDim)
			t.add("bits_per_dim_tight", b.Tight)
			t.add("bits_per_dim_stderr", b.StdErr)
		}
		t.add("wkb1", p.WKB1)
		t.add("wkb2", p.WKB2)
		for _, c := range []struct {
			name string
			v    numbers
		}{{"log_q", p.LogQ}, {"stderr", p.StdErr}, {"ess", p.ESS}, {"lower", p.Lower}, {"lower_stderr", p.LowerErr}, {"upper", p.Upper}, {"upper_stderr", p.UpperErr}, {"log_q_wkb1", p.LogQWKB1}, {"log_q_wkb2", p.LogQWKB2},
			{"log_q_pathintegral", p.LogQPath}, {"stderr_pathintegral", p.StdErrPath}, {"log_q_fokkerplanck", p.LogQGrid}, {"error_fokkerplanck", p.ErrGrid}} {
			for j, v := range c.v {
				t.add(fmt.Sprintf("%s[h=%s]", c.name, res.strength(num(hs[j]))), v)
			}
		}
		if i == 0 {
			if err := w.Write(append(t.names, "status")); err != nil {
				return err
			}
		}
		if err := w.Write(append(t.cells, p.Status)); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, b.Bytes())
}

// tableRow is one line with the names of its columns.
type tableRow struct{ names, cells []string }

func (t *tableRow) add(name string, v num) {
	cell := ""
	if f := float64(v); finite(f) {
		cell = strconv.FormatFloat(f, 'g', -1, 64)
	}
	t.names, t.cells = append(t.names, name), append(t.cells, cell)
}

func (t *tableRow) vector(name string, v numbers) {
	for i, c := range v {
		t.add(fmt.Sprintf("%s[%d]", name, i), c)
	}
}
