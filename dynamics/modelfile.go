package dynamics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/gonum/mat"

	"hbar/data/npz"
	"hbar/internal/atomicfile"
)

// Model is the result of a fit: a state space, or lifted dynamics.
type Model struct {
	Space  *StateSpace
	Lifted *Lifted
	Names  []string // of the outputs, or nil
	Note   string   // how it was fitted
}

// modelFormat names the file's form.
const modelFormat = "hbar dynamics 1"

// rows is a matrix as JSON holds it.
type rows [][]float64

type modelJSON struct {
	Format  string   `json:"format"`
	Note    string   `json:"note"`
	Outputs []string `json:"outputs,omitempty"`
	Dt      float64  `json:"dt,omitempty"` // of a chain's step

	A      rows      `json:"A,omitempty"` // continuous time
	Q      rows      `json:"Q,omitempty"`
	F      rows      `json:"F,omitempty"` // a chain
	P      rows      `json:"P,omitempty"`
	Drift  []float64 `json:"drift,omitempty"`
	C      rows      `json:"C,omitempty"`
	Offset []float64 `json:"offset,omitempty"`
	R      rows      `json:"R,omitempty"`
	M0     []float64 `json:"m0,omitempty"`
	P0     rows      `json:"P0,omitempty"`

	Lift  *Lift     `json:"lift,omitempty"`
	K     rows      `json:"K,omitempty"`
	Mean  []float64 `json:"mean,omitempty"`
	Next  []float64 `json:"next,omitempty"`
	Noise rows      `json:"noise,omitempty"`
	Start rows      `json:"start,omitempty"`
}

func toRows(m *mat.Dense) rows {
	r, _ := m.Dims()
	out := make(rows, r)
	for i := range r {
		out[i] = m.RawRowView(i)
	}
	return out
}

func (r rows) dense(name string) (*mat.Dense, error) {
	if len(r) == 0 || len(r[0]) == 0 {
		return nil, fmt.Errorf("%s is missing or empty", name)
	}
	m := mat.NewDense(len(r), len(r[0]), nil)
	for i, row := range r {
		if len(row) != len(r[0]) {
			return nil, fmt.Errorf("row %d of %s has %d numbers, the first has %d", i, name, len(row), len(r[0]))
		}
		m.SetRow(i, row)
	}
	return m, nil
}

// Save writes the model as JSON, whole or not at all.
func (m *Model) Save(path string) error {
	j := modelJSON{Format: modelFormat, Note: m.Note, Outputs: m.Names}
	if s := m.Space; s != nil {
		j.C, j.Offset, j.R, j.M0, j.P0 = toRows(s.C), s.Offset, toRows(s.R), s.M0, toRows(s.P0)
		if s.System != nil {
			j.A, j.Q, j.Drift = toRows(s.System.A), toRows(s.System.Q), s.System.Drift
		} else {
			j.Dt, j.F, j.P, j.Drift = s.Dt, toRows(s.Chain.F), toRows(s.Chain.P), s.Chain.B
		}
	} else {
		l := m.Lifted
		j.Dt, j.Lift, j.K, j.Mean, j.Next, j.Noise, j.Start = l.Dt, l.Lift, toRows(l.K), l.Mean, l.Next, toRows(l.Noise), toRows(l.Start)
	}
	b, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, append(b, '\n'))
}

// LoadModel reads what Save wrote, or an .npz archive of A, Q, C, R, m0 and P0, with drift and offset if there are any; F, P
// and dt in place of A and Q are a chain of steps.
func LoadModel(path string) (*Model, error) {
	var j modelJSON
	if strings.EqualFold(filepath.Ext(path), ".npz") {
		arrays, err := npz.Read(path)
		if err != nil {
			return nil, err
		}
		if err := j.fromArrays(arrays); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	} else {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&j); err != nil || j.Format != modelFormat {
			if err == nil {
				err = fmt.Errorf("its format is %q, not %q", j.Format, modelFormat)
			}
			return nil, fmt.Errorf("%s is not a model that fit wrote, nor an .npz of A, Q, C, R, m0, P0: %w", path, err)
		}
	}
	m, err := j.model()
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "dynamics: "))
	}
	return m, nil
}

// fromArrays takes matrices of an archive; one row or one number may stand for a matrix.
func (j *modelJSON) fromArrays(arrays map[string]*npz.Array) error {
	matrix := func(name string, columns int) rows {
		a := arrays[name]
		if a == nil || len(a.X) == 0 {
			return nil
		}
		shape := a.Shape
		if len(shape) < 2 {
			shape = []int{1, len(a.X)}
			if columns == 1 {
				shape = []int{len(a.X), 1}
			}
		}
		if len(shape) > 2 {
			return rows{{}} // which is refused
		}
		var out rows
		for i := range shape[0] {
			out = append(out, a.X[i*shape[1]:(i+1)*shape[1]])
		}
		return out
	}
	vector := func(name string) []float64 {
		if a := arrays[name]; a != nil {
			return a.X
		}
		return nil
	}
	j.A, j.Q, j.F, j.P, j.R, j.P0 = matrix("A", 0), matrix("Q", 0), matrix("F", 0), matrix("P", 0), matrix("R", 0), matrix("P0", 0)
	j.Drift, j.Offset, j.M0 = vector("drift"), vector("offset"), vector("m0")
	j.C = matrix("C", len(j.M0))
	if dt := vector("dt"); len(dt) > 0 {
		j.Dt = dt[0]
	}
	if j.A == nil && j.F == nil {
		return fmt.Errorf("the archive has arrays %s; want A, Q, C, R, m0 and P0", strings.Join(npz.Names(arrays), ", "))
	}
	return nil
}

// model checks and assembles.
func (j *modelJSON) model() (*Model, error) {
	out := &Model{Names: j.Outputs, Note: j.Note}
	var err error
	take := func(name string, r rows) *mat.Dense {
		m, e := r.dense(name)
		if err == nil {
			err = e
		}
		return m
	}
	if j.Lift != nil {
		l := &Lifted{Lift: j.Lift, Dt: j.Dt, K: take("K", j.K), Mean: j.Mean, Next: j.Next, Noise: take("noise", j.Noise), Start: take("start", j.Start)}
		if err != nil {
			return nil, err
		}
		out.Lifted = l
		return out, l.validate()
	}
	s := &StateSpace{C: take("C", j.C), R: take("R", j.R), P0: take("P0", j.P0), M0: j.M0, Offset: j.Offset, Dt: j.Dt}
	if j.A != nil {
		s.System = &System{A: take("A", j.A), Q: take("Q", j.Q), Drift: j.Drift}
	} else {
		s.Chain = &Propagator{F: take("F", j.F), P: take("P", j.P), B: j.Drift}
		if s.Chain.B == nil && s.Chain.F != nil {
			n, _ := s.Chain.F.Dims()
			s.Chain.B = make([]float64, n)
		}
	}
	if err != nil {
		return nil, err
	}
	out.Space = s
	return out, s.Validate()
}

func (m *Lifted) validate() error {
	if err := m.Lift.Prepare(); err != nil {
		return err
	}
	p, d, w := m.Lift.Outputs, m.Lift.Dim(), m.Lift.window()
	r, c := m.K.Dims()
	if r != p || c != d || len(m.Mean) != d || len(m.Next) != p || !(m.Dt > 0) || math.IsInf(m.Dt, 1) {
		return errors.New("dynamics: the lifted model's arrays do not fit its lift")
	}
	for name, x := range map[string][]float64{"K": flat(m.K), "mean": m.Mean, "next": m.Next} {
		if err := checkFinite(name, x); err != nil {
			return err
		}
	}
	if err := checkCovariance("noise", m.Noise, p); err != nil {
		return err
	}
	return checkCovariance("start", m.Start, w)
}

// LogLik is the exact log density of data under the model.
func (m *Model) LogLik(data *Data) (Likelihood, error) {
	if p := m.Outputs(); data.P != p {
		return Likelihood{}, fmt.Errorf("dynamics: the data have %d outputs, the model has %d", data.P, p)
	}
	if err := data.CheckNames(m.Names); err != nil {
		return Likelihood{}, err
	}
	if m.Lifted != nil {
		return m.Lifted.LogLik(data)
	}
	return m.Space.LogLik(data)
}

// Outputs is p.
func (m *Model) Outputs() int {
	if m.Lifted != nil {
		return m.Lifted.Lift.Outputs
	}
	return m.Space.Outputs()
}
