package samples

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"hbar/internal/atomicfile"
)

// wavHeader is the header of a .wav file of 16-bit PCM.
func wavHeader(bytes int64, channels, rate int) []byte {
	o := binary.LittleEndian
	b := o.AppendUint32([]byte("RIFF"), uint32(bytes+36))
	b = append(b, "WAVEfmt "...)
	b = o.AppendUint32(b, 16)
	b = o.AppendUint16(o.AppendUint16(b, 1), uint16(channels))
	b = o.AppendUint32(o.AppendUint32(b, uint32(rate)), uint32(2*channels*rate))
	b = o.AppendUint16(o.AppendUint16(b, uint16(2*channels)), 16)
	return o.AppendUint32(append(b, "data"...), uint32(bytes))
}

// appendPCM appends samples; what lies outside −1 … 1 is cut, and what is no number becomes 0.
func appendPCM(b []byte, x []float64) []byte {
	for _, v := range x {
		v = math.Round(v * 32768)
		switch {
		case v != v:
			v = 0
		case v < -32768:
			v = -32768
		case v > 32767:
			v = 32767
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(v)))
	}
	return b
}

func (o Options) checkSound(n int) (bytes int64, err error) {
	switch {
	case o.Alphabet != nil:
		return 0, errors.New("these samples are text; write them as .txt")
	case len(o.Shape) != 2 || o.Shape[1] > 64:
		return 0, fmt.Errorf("samples of shape %v are no sounds; want length × at most 64 channels", o.Shape)
	case o.SampleRate < 1 || o.SampleRate > 1<<24:
		return 0, fmt.Errorf("a rate of %d samples/s; want 1 to 2²⁴", o.SampleRate)
	case n > (math.MaxUint32-36)/2/o.d():
		return 0, fmt.Errorf("%d sounds of %d samples; a .wav file takes 4 GiB at most", n, o.d())
	}
	return 2 * int64(n) * int64(o.d()), nil
}

// wav writes one sound after the other into one file.
type wav struct {
	rows
	f    *atomicfile.File
	buf  *bufio.Writer
	line []byte
}

func createWav(path string, o Options) (*wav, error) {
	bytes, err := o.checkSound(o.N)
	if err != nil {
		return nil, err
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	w := &wav{f: f, buf: bufio.NewWriterSize(f, 1<<18)}
	w.rows = rows{o: o, take: w.sample}
	if _, err := w.buf.Write(wavHeader(bytes, o.Shape[1], o.SampleRate)); err != nil {
		f.Abort()
		return nil, err
	}
	return w, nil
}

func (w *wav) sample(_ int, x []float64) error {
	w.line = appendPCM(w.line[:0], x)
	_, err := w.buf.Write(w.line)
	return err
}

// Commit gives the file its name.
func (w *wav) Commit() error {
	err := w.complete()
	return commit(w.f, w.buf, err)
}

// Abort discards the file.
func (w *wav) Abort() { w.f.Abort() }

// sounds writes a folder of .wav files, with their labels in dataset.json.
type sounds struct {
	rows
	dir *atomicfile.Dir
}

func createSounds(path string, o Options) (*sounds, error) {
	if _, err := o.checkSound(1); err != nil {
		return nil, err
	}
	dir, err := atomicfile.CreateDir(path)
	if err != nil {
		return nil, err
	}
	w := &sounds{dir: dir}
	w.rows = rows{o: o, take: w.sample}
	return w, nil
}

func (w *sounds) sample(i int, x []float64) error {
	b := appendPCM(wavHeader(2*int64(len(x)), w.o.Shape[1], w.o.SampleRate), x)
	return w.dir.WriteFile(fileName(i, w.o.N, ".wav"), b)
}

// Commit writes the labels and gives the folder its name.
func (w *sounds) Commit() error {
	err := w.complete()
	if err == nil {
		err = writeLabels(w.dir, w.o, ".wav")
	}
	if err == nil {
		err = w.dir.Commit()
	}
	if err != nil {
		w.Abort()
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

// Abort discards the folder.
func (w *sounds) Abort() { w.dir.Abort() }
