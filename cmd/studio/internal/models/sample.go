package models

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/solver"
)

// Bounds of a request for samples.
const (
	mostNumbers = 1 << 22 // of all frames
	mostSteps   = 10_000
	mostFrames  = 101
)

// SampleOptions say what to sample, as the flags of cmd/sample do.
type SampleOptions struct {
	N         int     `json:"n"`
	Seed      uint64  `json:"seed"`
	H         float64 `json:"h"`
	Steps     int     `json:"steps"`
	Sampler   string  `json:"sampler"`
	Grid      string  `json:"grid"`
	LastNoise string  `json:"last_noise"`
	Denoise   bool    `json:"denoise"`
	Class     string  `json:"class"` // a number, "all" in turn, "none"; "" is all where there are classes
	Guidance  float64 `json:"guidance"`
	// Frames is the number of states of each sample that are returned: from Tmax to the last; 1 is the last alone.
	Frames int `json:"frames"`
}

// Samples are what was drawn.
type Samples struct {
	Options SampleOptions `json:"options"`
	ID      string        `json:"id"` // of the checkpoint
	Kind    string        `json:"kind"`
	N       int           `json:"n"`
	D       int           `json:"d"`
	Shape   []int         `json:"shape"`
	// Times are those of the frames, falling. The last frame is the sample at Tmin, denoised if that was asked for.
	Times []float64 `json:"times"`
	// Bytes holds images, frames × n × height × width × channels, 0 black and 255 white. Float32 holds all others, frames × n × D
	// numbers in data units, little-endian; Float64 does where float32 has too few digits for the spread of the data. They are base64 in JSON.
	Bytes       []byte  `json:"bytes,omitempty"`
	Float32     []byte  `json:"float32,omitempty"`
	Float64     []byte  `json:"float64,omitempty"`
	Labels      []int   `json:"labels,omitempty"` // the class of each sample; the number of classes stands for none
	NonFinite   int     `json:"non_finite"`       // samples
	Evaluations int     `json:"evaluations"`      // of the network, for each sample
	Seconds     float64 `json:"seconds"`
	Command     string  `json:"command"`
}

// table is the sampler that the options name.
func (o SampleOptions) table() (t solver.TableOptions, err error) {
	if t.Sampler, err = solver.ParseSampler(o.Sampler); err != nil {
		return t, err
	}
	if t.Grid, err = solver.ParseGrid(o.Grid); err != nil {
		return t, err
	}
	if t.LastNoise, err = solver.ParseLastNoise(o.LastNoise); err != nil {
		return t, err
	}
	t.Steps, t.H, t.Denoise = o.Steps, o.H, o.Denoise
	return t, nil
}

// check reports what is out of range, for samples of d numbers.
func (o SampleOptions) check(d int) error {
	switch {
	case o.N < 1 || o.Frames < 1 || o.Frames > mostFrames || o.N > mostNumbers/d/o.Frames:
		return fmt.Errorf("n = %d samples of %d numbers in frames = %d; want 1 to %d frames, and at most %d numbers in all", o.N, d, o.Frames, mostFrames, mostNumbers)
	case o.Steps < 1 || o.Steps > mostSteps:
		return fmt.Errorf("steps = %d; want 1 to %d", o.Steps, mostSteps)
	case !(o.H >= 0) || o.H > 1e6:
		return fmt.Errorf("h = %g; want 0 or more", o.H)
	case !(math.Abs(o.Guidance) <= 1e4):
		return fmt.Errorf("guidance = %g; want a number of at most 10⁴", o.Guidance)
	}
	return nil
}

// Sample draws samples. progress, unless nil, hears how many are done.
func (c *Checkpoint) Sample(ctx context.Context, o SampleOptions, progress func(done, total int)) (*Samples, error) {
	d := c.Model.D()
	if err := o.check(d); err != nil {
		return nil, err
	}
	table, err := o.table()
	if err != nil {
		return nil, err
	}
	net, done, err := c.under(o.Class, true, o.Guidance)
	if err != nil {
		return nil, err
	}
	defer done()
	batch := o.N
	if o.Guidance != 0 {
		batch = 2 * o.N
	}
	release, err := c.take(net, batch, o.N*d*o.Frames, 1)
	if err != nil {
		return nil, err
	}
	defer release()
	rows, err := solver.NewTableContext(ctx, net.Schedule, net.Prediction, table)
	if err != nil {
		return nil, err
	}
	s := &Samples{Options: o, ID: c.ID, Kind: c.Kind, N: o.N, D: d, Shape: c.Shape, Command: c.sampleCommand(o)}
	for k := range o.Frames - 1 {
		s.Times = append(s.Times, rows.Times[k*o.Steps/(o.Frames-1)])
	}
	record := s.Times
	s.Times = append(s.Times[:len(s.Times):len(s.Times)], net.Schedule.Tmin())
	store := s.allocate(c)
	options := solver.Options{TableOptions: table, N: o.N, Seed: o.Seed, Record: record}
	if progress != nil {
		options.Progress = func(done int) { progress(done, o.N) }
	}
	began := time.Now()
	res, err := solver.Sample(ctx, net.Net, net.Schedule, options, func(k solver.Chunk) error {
		for f, x := range append(k.States, k.X) {
			net.Norm.Invert(x, x, d)
			store((f*o.N+k.Start)*d, x)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.Seconds, s.Evaluations, s.NonFinite = time.Since(began).Seconds(), res.Evaluations, res.NonFinite
	if net.Label != nil {
		for i := range o.N {
			s.Labels = append(s.Labels, int(net.Label(uint64(i))))
		}
	}
	return s, nil
}

// allocate makes room for the frames, and returns what writes numbers in data units from a position on.
func (s *Samples) allocate(c *Checkpoint) func(at int, x []float64) {
	n := len(s.Times) * s.N * s.D
	if c.Kind == KindImage {
		s.Bytes = make([]byte, n)
		return func(at int, x []float64) {
			for i, v := range x {
				s.Bytes[at+i] = c.toByte(v)
			}
		}
	}
	if c.Model.Norm.DType(s.D) == data.Float64 {
		s.Float64 = make([]byte, 8*n)
		return func(at int, x []float64) {
			for i, v := range x {
				binary.LittleEndian.PutUint64(s.Float64[8*(at+i):], math.Float64bits(v))
			}
		}
	}
	s.Float32 = make([]byte, 4*n)
	return func(at int, x []float64) { putFloats(s.Float32[4*at:], x) }
}

// putFloats writes numbers as little-endian float32.
func putFloats(b []byte, x []float64) {
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(float32(v)))
	}
}

// toByte brings the value of a pixel into 0 … 255. What is no number becomes 0.
func (c *Checkpoint) toByte(v float64) byte {
	v = math.Round((v - c.Low) / (c.High - c.Low) * 255)
	if !(v > 0) {
		return 0
	}
	return byte(min(v, 255))
}

// device is the device of the commands: this package computes on the CPU, and a GPU's results differ by rounding.
const device = "cpu"

// sampleCommand is the command line that draws the same samples into a file.
func (c *Checkpoint) sampleCommand(o SampleOptions) string {
	args := []string{ui.Program("sample"), "--checkpoint", ui.Quote(c.Path), "--n", strconv.Itoa(o.N), "--h", number(o.H), "--seed", strconv.FormatUint(o.Seed, 10),
		"--steps", strconv.Itoa(o.Steps), "--sampler", o.Sampler, "--grid", o.Grid, "--device", device}
	if o.LastNoise != "full" {
		args = append(args, "--last-noise", o.LastNoise)
	}
	if o.Denoise {
		args = append(args, "--denoise")
	}
	if o.Class != "" {
		args = append(args, "--class", o.Class)
	}
	if o.Guidance != 0 {
		args = append(args, "--guidance", number(o.Guidance))
	}
	out := "samples.npy"
	if c.Kind == KindImage && c.Ranged {
		out = "samples.npz --sheet sheet.png"
	}
	return strings.Join(append(args, "--out", out), " ")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
