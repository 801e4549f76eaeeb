package runs

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"
)

// mostSweep is the largest file that is read as the result of a sweep.
const mostSweep = 16 << 20

// Curve is a figure against h, with standard errors.
type Curve struct {
	Name string `json:"name"` // method and steps
	// Quantity is "w2", "w2_squared" or "nll".
	Quantity string    `json:"quantity"`
	H        []float64 `json:"h"`
	Value    []float64 `json:"value"`
	StdErr   []float64 `json:"stderr"`
	// Change and ChangeErr are NLL(h) − NLL(0) over the same points, null where it is not known. It has a smaller error than
	// the difference of the values, because the points are the same.
	Change    []*float64 `json:"change,omitempty"`
	ChangeErr []*float64 `json:"change_stderr,omitempty"`
}

// Sweep is what cmd/sweep found, as curves.
type Sweep struct {
	File       string   `json:"file"`
	Curves     []Curve  `json:"curves"`
	Floor      *float64 `json:"w2_squared_floor"` // of data against data, null if unknown
	Text       string   `json:"text"`             // the recommendation
	Data       string   `json:"data"`
	N          int      `json:"n"`          // points of a distance
	NLLN       int      `json:"nll_n"`      // points of a likelihood
	Units      string   `json:"units"`      // of distances: "data" or "network"
	Checkpoint string   `json:"checkpoint"` // its file
}

type sweepEntry struct {
	size int64
	at   time.Time
	is   bool
}

// estimate is a number with its standard error, null if unknown.
type estimate struct {
	Value  *float64 `json:"value"`
	StdErr *float64 `json:"stderr"`
}

// sweepResult is the JSON file of cmd/sweep, as far as it is shown.
type sweepResult struct {
	Options struct {
		Checkpoint string `json:"checkpoint"`
	} `json:"options"`
	Data struct {
		Name  string `json:"name"`
		N     int    `json:"n"`
		NLLN  int    `json:"nll_n"`
		Units string `json:"distance_units"`
	} `json:"data"`
	Cells []struct {
		H     *float64  `json:"h"`
		Steps int       `json:"steps"`
		W2    *estimate `json:"w2"`
		W2Sq  *estimate `json:"w2_squared"`
	} `json:"cells"`
	Floor *struct {
		Mean estimate `json:"mean"`
	} `json:"w2_squared_floor"`
	NLL []struct {
		Method string   `json:"method"`
		H      *float64 `json:"h"`
		Steps  *int     `json:"steps"`
		Change *struct {
			Mean estimate `json:"mean"`
		} `json:"change_from_h0"`
		DataUnits *struct {
			NLL estimate `json:"nll_nats"`
		} `json:"data_units"`
	} `json:"nll"`
	Recommendations []json.RawMessage `json:"recommendations"`
	Text            string            `json:"text"`
}

// isSweep reports whether a file is the result of a sweep. It is read again only when it has changed.
func (s *Store) isSweep(name string, e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil || info.Size() > mostSweep || path.Base(name) == optionsFile {
		return false
	}
	s.mu.Lock()
	known, ok := s.sweeps[name]
	s.mu.Unlock()
	if ok && known.size == info.Size() && known.at.Equal(info.ModTime()) {
		return known.is
	}
	_, err = s.Sweep(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sweeps) > mostOpened {
		clear(s.sweeps)
	}
	s.sweeps[name] = sweepEntry{info.Size(), info.ModTime(), err == nil}
	return err == nil
}

// Sweep reads the result of a sweep.
func (s *Store) Sweep(name string) (*Sweep, error) {
	b, err := s.readFile(name, mostSweep)
	if err != nil {
		return nil, err
	}
	var r sweepResult
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(r.Cells)+len(r.NLL) == 0 || r.Recommendations == nil {
		return nil, fmt.Errorf("%s is no result of cmd/sweep", name)
	}
	out := &Sweep{File: path.Base(name), Curves: []Curve{}, Text: r.Text, Data: r.Data.Name, N: r.Data.N, NLLN: r.Data.NLLN, Units: r.Data.Units,
		Checkpoint: path.Base(r.Options.Checkpoint)}
	if r.Floor != nil {
		out.Floor = r.Floor.Mean.Value
	}
	for _, c := range r.Cells {
		label := fmt.Sprintf("%d steps", c.Steps)
		out.add("w2", label, c.H, c.W2, nil)
		out.add("w2_squared", label, c.H, c.W2Sq, nil)
	}
	for _, l := range r.NLL {
		label := l.Method
		if l.Steps != nil {
			label = fmt.Sprintf("%s, %d steps", label, *l.Steps)
		}
		if l.DataUnits == nil {
			continue
		}
		change := &estimate{}
		if l.Change != nil {
			change = &l.Change.Mean
		}
		out.add("nll", label, l.H, &l.DataUnits.NLL, change)
	}
	return out, nil
}

// add appends a point to the curve of that name. What has no value is left out.
func (s *Sweep) add(quantity, name string, h *float64, e, change *estimate) {
	if h == nil || e == nil || e.Value == nil {
		return
	}
	k := slices.IndexFunc(s.Curves, func(c Curve) bool { return c.Quantity == quantity && c.Name == name })
	if k < 0 {
		k = len(s.Curves)
		s.Curves = append(s.Curves, Curve{Name: name, Quantity: quantity})
	}
	c := &s.Curves[k]
	stderr := 0.0
	if e.StdErr != nil {
		stderr = *e.StdErr
	}
	c.H, c.Value, c.StdErr = append(c.H, *h), append(c.Value, *e.Value), append(c.StdErr, stderr)
	if change != nil {
		c.Change, c.ChangeErr = append(c.Change, change.Value), append(c.ChangeErr, change.StdErr)
	}
}
