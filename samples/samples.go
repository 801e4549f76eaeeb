// Package samples writes samples as files that people and evaluators read: images as .npz, as a folder of PNGs, or on a contact
// sheet, sounds as .wav, text as .txt. (Arrays of numbers, .npy and .csv, are written by package data.)
//
// Samples come in data units, row-major, in order, in calls that need not end at the end of a sample. Files appear under their
// names at Commit, whole or not at all.
package samples

import (
	"bufio"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"hbar/data"
	"hbar/internal/atomicfile"
)

// Options describe the samples that will come.
type Options struct {
	N     int   // how many
	Shape []int // of one: [D], [length, channels] or [height, width, channels]
	// Low and High are the values that become black and white, bytes 0 and 255; values outside are cut. Both 0 mean 0 and 255.
	Low, High float64
	// Label is the class of sample i; nil: there are none.
	Label func(i int) int
	// Alphabet are the characters of text; nil: the samples are no text.
	Alphabet data.Alphabet
	// SampleRate is that of sounds, samples a second; 0 means 16000.
	SampleRate int
	DType      data.DType // of arrays that are not bytes; empty means Float32
}

// DefaultRate is the sample rate of sounds whose rate is not known.
const DefaultRate = 16000

// IsImage reports whether the samples are images that a PNG can hold.
func (o Options) IsImage() bool {
	return len(o.Shape) == 3 && (o.Shape[2] == 1 || o.Shape[2] == 3)
}

func (o Options) withDefaults() Options {
	if o.Low == 0 && o.High == 0 {
		o.High = 255
	}
	if o.SampleRate == 0 {
		o.SampleRate = DefaultRate
	}
	if o.DType == "" {
		o.DType = data.Float32
	}
	return o
}

func (o Options) d() int {
	d := 1
	for _, v := range o.Shape {
		d *= v
	}
	return d
}

func (o Options) validate() error {
	if o.N < 1 || len(o.Shape) == 0 || o.d() < 1 {
		return fmt.Errorf("%d samples of shape %v; want at least one of each", o.N, o.Shape)
	}
	if !(o.High > o.Low) || math.IsInf(o.High-o.Low, 0) {
		return fmt.Errorf("range %g … %g of values; want the lower one first", o.Low, o.High)
	}
	return nil
}

// FromNormalisation is the range of values that is −1 … 1 to a network, if it is one for all coordinates.
func FromNormalisation(n data.Normalisation) (low, high float64, ok bool) {
	if len(n.Mean) != 1 || len(n.Scale) != 1 {
		return 0, 0, false
	}
	return n.Mean[0] - n.Scale[0], n.Mean[0] + n.Scale[0], true
}

// toByte brings a value into 0 … 255. What is no number becomes 0.
func (o Options) toByte(v float64) byte {
	v = math.Round((v - o.Low) / (o.High - o.Low) * 255)
	if !(v > 0) {
		return 0
	}
	return byte(min(v, 255))
}

// Endings are those of the file names that Create takes; a folder's name ends in a slash.
func Endings() []string { return []string{".npz", ".wav", ".txt", "/"} }

// IsFolder reports whether an output's name is that of a folder.
func IsFolder(path string) bool {
	return strings.HasSuffix(path, "/") || strings.HasSuffix(path, string(filepath.Separator))
}

// Create starts the output that its name asks for:
//
//	x.npz   arr_0 with the samples, N×H×W×C of uint8 for images, else floats; arr_1 with the labels, int64, if there are any
//	x.wav   16-bit PCM, one sound after the other
//	x.txt   text in UTF-8: the characters of each window, and the end of a line after them
//	x/      a folder of PNG files, numbered, with their labels in dataset.json; or of .wav files
func Create(path string, o Options) (data.RowWriter, error) {
	o = o.withDefaults()
	err := o.validate()
	var w data.RowWriter
	if err == nil {
		switch {
		case IsFolder(path) && len(o.Shape) == 2:
			w, err = createSounds(path, o)
		case IsFolder(path):
			w, err = createPictures(path, o)
		case strings.EqualFold(filepath.Ext(path), ".npz"):
			w, err = createNpz(path, o)
		case strings.EqualFold(filepath.Ext(path), ".wav"):
			w, err = createWav(path, o)
		case strings.EqualFold(filepath.Ext(path), ".txt"):
			w, err = createText(path, o)
		default:
			err = fmt.Errorf("ending %q; have %s", filepath.Ext(path), strings.Join(Endings(), ", "))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("samples: %s: %w", path, err)
	}
	return w, nil
}

// rows cuts what comes into whole samples.
type rows struct {
	o    Options
	n    int       // whole samples so far
	part []float64 // the begun one
	take func(i int, x []float64) error
}

func (r *rows) WriteFloat64(x []float64) error {
	d := r.o.d()
	for len(x) > 0 {
		if r.n == r.o.N {
			return fmt.Errorf("samples: more than the %d samples that were to come", r.o.N)
		}
		row := x
		if len(r.part) > 0 || len(x) < d {
			k := min(d-len(r.part), len(x))
			r.part = append(r.part, x[:k]...)
			x = x[k:]
			if len(r.part) < d {
				return nil
			}
			row = r.part
		} else {
			row, x = x[:d], x[d:]
		}
		if err := r.take(r.n, row); err != nil {
			return fmt.Errorf("samples: %w", err)
		}
		r.part = r.part[:0]
		r.n++
	}
	return nil
}

// Rows is the number of whole samples so far.
func (r *rows) Rows() int64 { return int64(r.n) }

// complete fails unless all samples have come.
func (r *rows) complete() error {
	if r.n != r.o.N || len(r.part) > 0 {
		return fmt.Errorf("%d of %d samples have come", r.n, r.o.N)
	}
	return nil
}

// commit writes what is buffered and gives a file its name, unless err, that of the work before it, is there. A file that fails is discarded.
func commit(f *atomicfile.File, buf *bufio.Writer, err error) error {
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Commit()
	}
	if err != nil {
		f.Abort()
		return fmt.Errorf("samples: %s: %w", f.Path(), err)
	}
	return nil
}
