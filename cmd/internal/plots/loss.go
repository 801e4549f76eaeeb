package plots

import (
	"errors"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Loss draws a training loss against the step: the logged values in the background, a smoothed curve over them, on a
// logarithmic axis if the values span more than a factor of ten. Values that are not finite are left out.
func Loss(path, title string, steps, loss []float64) error {
	if len(steps) != len(loss) {
		return errors.New("plots: Loss: as many steps as values needed")
	}
	var raw plotter.XYs
	y, positive := newExtent(), true
	for i, v := range loss {
		if !finite(v) {
			continue
		}
		raw = append(raw, plotter.XY{X: steps[i], Y: v})
		y.add(v)
		positive = positive && v > 0
	}
	if len(raw) == 0 {
		return errors.New("plots: Loss: no finite value")
	}
	p := newPlot(title, "step", "loss")
	addGrid(p)
	p.X.Min = 0
	log := positive && y.hi/y.lo > 10
	if log {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
	}
	p.Y.Min, p.Y.Max = y.padded(0.05, log)
	p.X.Max = math.Max(raw[len(raw)-1].X, 1)
	rawLine := line(raw, faded(dataInk, 0.45), vg.Points(0.8), false)
	p.Add(rawLine)
	p.Legend.Add("logged", rawLine)
	if len(raw) >= 10 {
		mean := line(smooth(raw, len(raw)/15+1), modelInk, vg.Points(1.8), false)
		p.Add(mean)
		p.Legend.Add("smoothed", mean)
	}
	return page{width: 18 * vg.Centimeter, height: 10 * vg.Centimeter, panels: []panel{{Plot: p}}}.save(path)
}

// smooth is the mean over at most half values to either side. At the start it takes far fewer, so that the first
// steep descent is not flattened; at the end it takes what there is, the latest level being what one looks for.
func smooth(xy plotter.XYs, half int) plotter.XYs {
	sum := make([]float64, len(xy)+1)
	for i, v := range xy {
		sum[i+1] = sum[i] + v.Y
	}
	out := make(plotter.XYs, len(xy))
	for i := range xy {
		w := min(half, i/4)
		lo, hi := i-w, min(i+w+1, len(xy))
		out[i] = plotter.XY{X: xy[i].X, Y: (sum[hi] - sum[lo]) / float64(hi-lo)}
	}
	return out
}
