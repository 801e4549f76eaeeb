package samplecmd

import (
	"fmt"

	"hbar/cmd/internal/model"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/internal/disk"
	"hbar/internal/memory"
)

// rowBytes is the least number of bytes that a file of samples takes for each: those of an array, two characters to a number of a table, and none where pictures or sounds are
// compressed.
func (o options) rowBytes(d int, t data.DType) float64 {
	each := 0.0
	switch {
	case isCSV(o.out):
		each = 2
	case isArray(o.out):
		each = float64(t.Size())
	}
	return float64(d) * (each + float64(len(o.trajectory)*t.Size()))
}

// fitsDisk refuses runs whose files are larger than what is free where they go.
func (o options) fitsDisk(m *model.Model, runs []options) error {
	free, ok := disk.Free(o.out)
	if !ok {
		return nil
	}
	row, d := 0.0, m.D()
	for _, r := range runs {
		row += r.rowBytes(d, m.Norm.DType(d))
	}
	if need := row * float64(o.n); need > free {
		fits := ""
		if n := memory.Round(memory.Largest(free, o.n-1, func(n int) float64 { return row * float64(n) })); n > 0 {
			fits = fmt.Sprintf("; --n %d would fit", n)
		}
		return fmt.Errorf("--out %s: %s take %s, and its disk has %s%s", o.out, ui.Plural(int64(o.n), "sample"), memory.Bytes(need), memory.Bytes(free), fits)
	}
	return nil
}
