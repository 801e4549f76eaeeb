package sweepcmd

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/internal/atomicfile"
)

// write makes the files.
func (o options) write(ctx context.Context, io ui.Streams, res *result) error {
	var err error
	if strings.EqualFold(filepath.Ext(o.out), ".csv") {
		err = o.writeCSV(o.out, res)
	} else {
		err = rundir.WriteJSON(o.out, res)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	return ui.WriteFiles(ctx, io,
		ui.File{Path: o.csv, Make: func() error { return o.writeCSV(o.csv, res) }},
		ui.File{Path: o.plot, Make: func() error { return o.drawW2(res) }},
		ui.File{Path: o.sheet, Make: func() error { return res.sheet.write(o.sheet) }},
		ui.File{Path: o.plotNLL, Make: func() error { return o.drawNLL(res) }},
	)
}

// writeCSV writes one line for each h and steps: distances, and the NLL by each method. What was not measured is empty.
func (o options) writeCSV(path string, res *result) error {
	var names []string
	for _, s := range res.NLL {
		if !slices.Contains(names, s.Method) {
			names = append(names, s.Method)
		}
	}
	head := []string{"steps", "h", "w2_squared", "w2_squared_stderr", "w2", "w2_stderr", "non_finite"}
	for _, n := range o.measures.resampled() {
		head = append(head, metricNames[n], metricNames[n]+"_stderr")
	}
	for _, n := range names {
		head = append(head, "nll_"+n, "nll_"+n+"_stderr", "nll_"+n+"_failures")
	}
	var b bytes.Buffer
	c := csv.NewWriter(&b)
	if err := c.Write(head); err != nil {
		return err
	}
	for _, steps := range o.steps {
		for _, h := range o.strengths {
			row := []string{strconv.Itoa(int(steps)), h.String()}
			var q Cell
			nonFinite := ""
			if k := slices.IndexFunc(res.Cells, func(c Cell) bool { return c.Steps == int(steps) && c.H == h }); k >= 0 {
				q = res.Cells[k]
				nonFinite = strconv.Itoa(q.NonFinite)
			}
			if q.W2 != nil {
				row = append(row, cell(q.W2Squared.Value), cell(q.W2Squared.StdErr), cell(q.W2.Value), cell(q.W2.StdErr), nonFinite)
			} else {
				row = append(row, "", "", "", "", nonFinite)
			}
			for _, n := range o.measures.resampled() {
				if v := q.Metrics[metricNames[n]]; v != nil {
					row = append(row, cell(v.Estimate.Value), cell(v.Estimate.StdErr))
				} else {
					row = append(row, "", "")
				}
			}
			for _, n := range names {
				k := slices.IndexFunc(res.NLL, func(s Likelihood) bool {
					return s.Method == n && s.strength() == h && (s.Steps == nil || *s.Steps == int(steps))
				})
				if k < 0 {
					row = append(row, "", "", "")
					continue
				}
				s := res.NLL[k]
				row = append(row, cell(float64(s.Mean)), cell(float64(s.StdErr)), strconv.Itoa(s.Failures))
			}
			if err := c.Write(row); err != nil {
				return err
			}
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, b.Bytes())
}

func cell(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// drawW2 plots W2² against h, a line for each number of steps, and the floor.
func (o options) drawW2(res *result) error {
	var lines []plots.Series
	for _, steps := range o.steps {
		s := plots.Series{Name: ui.Plural(int64(steps), "step"), Markers: true}
		for _, c := range res.Cells {
			if h, ok := c.H.IsConstant(); ok && c.Steps == int(steps) && c.W2Squared != nil {
				s.X, s.Y, s.Err = append(s.X, h), append(s.Y, c.W2Squared.Value), append(s.Err, c.W2Squared.StdErr)
			}
		}
		lines = append(lines, s)
	}
	f, ends := res.Floor.Mean, []float64{o.h[0], o.h[len(o.h)-1]}
	lines = append(lines, plots.Series{Name: "data against data", X: ends, Y: []float64{f.Value, f.Value}, Err: []float64{f.StdErr, f.StdErr}, Dashed: true})
	title := "squared W2 distance to data, " + ui.Plural(int64(res.Data.N), "point") + " each"
	if res.Data.Units == unitsNetwork {
		title += ", columns scaled"
	}
	return plots.Lines(o.plot, plots.Axes{Title: title, X: "h", Y: "W2²"}, lines...)
}

// drawNLL plots the NLL against h, a line for each method and, for the path integral, number of steps.
func (o options) drawNLL(res *result) error {
	axes := plots.Axes{Title: "negative log-likelihood of the sampler with noise h", X: "h", Y: "NLL, nats per point"}
	relative := slices.ContainsFunc(res.NLL, func(s Likelihood) bool { return s.Change != nil })
	if relative {
		axes.Y = "NLL(h) − NLL(0), nats per point"
	}
	var lines []plots.Series
	for _, s := range res.NLL {
		if s.N == 0 || s.Profile != "" || relative && s.Change == nil && s.H != 0 {
			continue
		}
		name := s.Method
		if s.Steps != nil {
			name += ", " + strconv.Itoa(*s.Steps) + " steps"
		}
		k := slices.IndexFunc(lines, func(l plots.Series) bool { return l.Name == name })
		if k < 0 {
			k = len(lines)
			lines = append(lines, plots.Series{Name: name, Markers: true, Dashed: strings.HasPrefix(name, "wkb")})
		}
		y, e := float64(s.Mean), float64(s.StdErr)
		if relative {
			y, e = 0, 0
			if s.Change != nil {
				y, e = s.Change.Mean.Value, s.Change.Mean.StdErr
			}
		}
		l := &lines[k]
		l.X, l.Y, l.Err = append(l.X, float64(s.H)), append(l.Y, y), append(l.Err, e)
	}
	if len(lines) == 0 {
		return errors.New("--plot-nll: nothing to plot: no point has a value")
	}
	return plots.Lines(o.plotNLL, axes, lines...)
}
