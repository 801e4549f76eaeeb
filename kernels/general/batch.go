package general

import (
	"fmt"

	"hbar/program"
)

// Batch is a batch to run. Values are by name: n arrays one after the other for those of rate Sample, one for the others.
type Batch struct {
	N int
	// In are inputs. Scalars (shape [1]) may be given in Wide instead, in float64: times, labels, counters, weights.
	In   map[string][]float32
	Wide map[string][]float64
	// Out receives outputs; those that are not wanted may be missing. WideOut receives losses in float64.
	Out     map[string][]float32
	WideOut map[string][]float64
}

// Rows is the number of arrays of a value of this rate in a batch of n samples.
func Rows(rate program.Rate, n int) int {
	if rate == program.Sample {
		return n
	}
	return 1
}

// Check is an error unless the batch has all inputs of a program and room for the outputs that it names, all labels are rows of their tables, and all
// parameters have values, which has tells. The back end is named in the message.
func (b *Batch) Check(backEnd string, p *program.Program, has func(program.ID) bool) error {
	if b.N < 1 {
		return fmt.Errorf("%s: a batch of %d samples; want at least one", backEnd, b.N)
	}
	for i, v := range p.Values {
		size := program.Size(v.Shape)
		want := size * Rows(v.Rate, b.N)
		if v.Role == program.Param && !has(program.ID(i)) {
			return fmt.Errorf("%s: parameter %s has no value", backEnd, v.Name)
		}
		if v.Role != program.Input {
			continue
		}
		got := len(b.In[v.Name])
		if w, ok := b.Wide[v.Name]; ok && size == 1 {
			got = len(w)
		}
		if got != want {
			return fmt.Errorf("%s: input %s has %d numbers; want %d", backEnd, v.Name, got, want)
		}
	}
	if err := b.checkLabels(backEnd, p); err != nil {
		return err
	}
	for _, o := range p.Outputs {
		v := p.Values[o.ID]
		want := program.Size(v.Shape) * Rows(v.Rate, b.N)
		if d, ok := b.Out[o.Name]; ok && len(d) != want {
			return fmt.Errorf("%s: output %s has room for %d numbers; want %d", backEnd, o.Name, len(d), want)
		}
		if d, ok := b.WideOut[o.Name]; ok && len(d) != want {
			return fmt.Errorf("%s: output %s has room for %d numbers; want %d", backEnd, o.Name, len(d), want)
		}
	}
	return nil
}

func (b *Batch) checkLabels(backEnd string, p *program.Program) error {
	for id, rows := range LabelRows(p) {
		name := p.Values[id].Name
		err := CheckLabels(backEnd, name, rows, b.In[name])
		if wide, ok := b.Wide[name]; ok { // which is read then
			err = CheckLabels(backEnd, name, rows, wide)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
