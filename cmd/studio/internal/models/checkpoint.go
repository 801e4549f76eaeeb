package models

import (
	"slices"
	"sync"

	"hbar/checkpoint"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/samples"
)

// The kinds of samples, which are shown in different ways.
const (
	KindPoints   = "points"
	KindImage    = "image"
	KindSequence = "sequence"
)

// keptIdle is how many engines of a checkpoint wait for work.
const keptIdle = 3

// Checkpoint is a network that is open.
type Checkpoint struct {
	ID    string // the first 16 hexadecimal digits of the file's SHA-256
	Path  string // for a command line
	Model *checkpoint.Model
	Shape []int
	Kind  string
	// Low and High are the values of an image that are black and white, if Ranged.
	Low, High float64
	Ranged    bool

	workers int
	budget  *budget
	mu      sync.Mutex
	refs    int
	idle    []*loglik.Network
}

// Info describes a checkpoint to the page.
type Info struct {
	ID         string   `json:"id"`
	Path       string   `json:"path"`
	Kind       string   `json:"kind"`
	D          int      `json:"d"`
	Shape      []int    `json:"shape"`
	Columns    []string `json:"columns"`
	Net        string   `json:"net"`
	Schedule   string   `json:"schedule"`
	Prediction string   `json:"prediction"`
	Tmin       float64  `json:"tmin"`
	Tmax       float64  `json:"tmax"`
	Classes    int      `json:"classes"`
	NoLabel    bool     `json:"no_label"` // knows the label none, and so guidance
	Parameters int      `json:"parameters"`
	Ranged     bool     `json:"ranged"` // images: black and white are known, Low and High
	Low        float64  `json:"low"`
	High       float64  `json:"high"`
	Bytes      bool     `json:"bytes"` // images of bytes, 0 to 255
}

func (c *Checkpoint) describe() {
	c.Shape = model.SampleShape(c.Model)
	switch len(c.Shape) {
	case 3:
		c.Kind = KindImage
		if ch := c.Shape[2]; ch != 1 && ch != 3 {
			c.Kind = KindPoints
		}
	case 2:
		c.Kind = KindSequence
	default:
		c.Kind = KindPoints
	}
	c.Low, c.High, c.Ranged = samples.FromNormalisation(c.Model.Norm)
	if !c.Ranged {
		c.Low, c.High = 0, 255
	}
}

// Info describes the checkpoint.
func (c *Checkpoint) Info() (Info, error) {
	m := c.Model
	s, p, err := m.Process("")
	if err != nil {
		return Info{}, err
	}
	i := Info{ID: c.ID, Path: c.Path, Kind: c.Kind, D: m.D(), Shape: c.Shape, Columns: m.Columns, Net: m.Config().Kind(), Schedule: s.Name(), Prediction: p.String(),
		Tmin: s.Tmin(), Tmax: s.Tmax(), Classes: m.Config().Classes(), NoLabel: m.Config().NoLabel(), Ranged: c.Ranged, Low: c.Low, High: c.High, Bytes: c.bytes()}
	if m.Net != nil {
		for _, w := range m.Net.Weights {
			i.Parameters += len(w)
		}
	}
	for _, p := range m.Params {
		i.Parameters += len(p.Data)
	}
	return i, nil
}

// bytes reports whether the samples are images of bytes.
func (c *Checkpoint) bytes() bool {
	return c.Kind == KindImage && c.Ranged && c.Low == 0 && c.High == 255
}

func (c *Checkpoint) refer() {
	c.mu.Lock()
	c.refs++
	c.mu.Unlock()
}

// Release ends a use. After the last one the engines end.
func (c *Checkpoint) Release() {
	c.mu.Lock()
	c.refs--
	var end []*loglik.Network
	if c.refs == 0 {
		end, c.idle = c.idle, nil
	}
	c.mu.Unlock()
	for _, n := range end {
		n.Close()
	}
}

// borrow is an engine that nobody else uses until done is called: those of networks other than MLPs do one thing after the other.
func (c *Checkpoint) borrow() (n *loglik.Network, done func(), err error) {
	c.mu.Lock()
	if k := len(c.idle); k > 0 {
		n = c.idle[k-1]
		c.idle = slices.Delete(c.idle, k-1, k)
	}
	c.mu.Unlock()
	if n == nil {
		m, err := model.New(c.Model, model.Options{Workers: c.workers, InTurn: true})
		if err != nil {
			return nil, nil, err
		}
		if n, err = loglik.NewNetwork(m); err != nil {
			m.Close()
			return nil, nil, err
		}
	}
	return n, func() {
		c.mu.Lock()
		keep := len(c.idle) < keptIdle && c.refs > 0
		if keep {
			c.idle = append(c.idle, n)
		}
		c.mu.Unlock()
		if !keep {
			n.Close()
		}
	}, nil
}

// under is an engine with a class and a strength of guidance.
func (c *Checkpoint) under(class string, inTurn bool, guidance float64) (*loglik.Network, func(), error) {
	n, done, err := c.borrow()
	if err != nil {
		return nil, nil, err
	}
	m, err := n.With(class, inTurn, guidance)
	if err == nil {
		if n, err = loglik.NewNetwork(m); err == nil {
			return n, done, nil
		}
	}
	done()
	return nil, nil, err
}
