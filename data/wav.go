package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
)

// isWav reports whether a file name is that of a sound.
func isWav(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".wav") }

// sound is a .wav file: frames of one sample for each channel.
type sound struct {
	rate, channels int
	pcm            []byte // 16 bits, little-endian, whole frames
}

func (w sound) frames() int { return len(w.pcm) / (2 * w.channels) }

// The format tags of WAVE.
const (
	wavPCM        = 1
	wavExtensible = 0xfffe
)

// parseWav reads a RIFF WAVE file of 16-bit PCM; the result shares memory with b.
func parseWav(b []byte) (w sound, err error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return w, errors.New("not a .wav file: it does not start with RIFF and WAVE")
	}
	for rest := b[12:]; len(rest) >= 8; {
		id, size := string(rest[:4]), uint64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		body := rest[:min(size, uint64(len(rest)))]
		switch id {
		case "fmt ":
			if err := w.format(body); err != nil {
				return w, err
			}
		case "data":
			if w.channels == 0 {
				return w, errors.New("the data come before their format")
			}
			// A program that writes into a pipe does not know the size, and claims the largest.
			if size > uint64(len(rest)) && size < 0x7fff0000 {
				return w, fmt.Errorf("truncated: %d of %d bytes of sound", len(rest), size)
			}
			w.pcm = body[:len(body)/(2*w.channels)*(2*w.channels)]
			if len(w.pcm) == 0 {
				return w, errors.New("no sound in it")
			}
			return w, nil
		}
		rest = rest[min(size+size%2, uint64(len(rest))):]
	}
	return w, errors.New("truncated: no sound in it")
}

func (w *sound) format(b []byte) error {
	if len(b) < 16 {
		return errors.New("truncated: it ends within its format")
	}
	o := binary.LittleEndian
	tag, bits := o.Uint16(b), o.Uint16(b[14:])
	w.channels, w.rate = int(o.Uint16(b[2:])), int(o.Uint32(b[4:]))
	if tag == wavExtensible && len(b) >= 26 {
		tag = o.Uint16(b[24:])
	}
	switch {
	case tag != wavPCM:
		return fmt.Errorf("not PCM but format %d; want 16-bit PCM (sox in.wav -e signed -b 16 out.wav)", tag)
	case bits != 16:
		return fmt.Errorf("%d bits a sample; want 16-bit PCM (sox in.wav -b 16 out.wav)", bits)
	case w.channels < 1 || w.channels > 64:
		return fmt.Errorf("%d channels; want 1 to 64", w.channels)
	case w.rate < 1:
		return errors.New("a rate of 0 samples/s")
	}
	return nil
}

// pieces is how many pieces of the length a sound has; what is left at its end is dropped. Length 0 takes it whole.
func (w sound) pieces(length int) (int, error) {
	if length == 0 {
		return 1, nil
	}
	if w.frames() < length {
		return 0, fmt.Errorf("%d samples, shorter than a piece of %d (--length)", w.frames(), length)
	}
	return w.frames() / length, nil
}

// values writes the first len(dst) samples, each in −1 … 1.
func (w sound) values(dst []float64) {
	for i := range dst {
		dst[i] = float64(int16(binary.LittleEndian.Uint16(w.pcm[2*i:]))) / 32768
	}
}

// readWav reads one sound and cuts it into pieces.
func readWav(r io.Reader, size int64, length int) (*Dataset, error) {
	if size > 2*maxSamples {
		return nil, fmt.Errorf("%d bytes; at most 2³⁰ samples are read", size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, truncated(err, 0, size)
	}
	w, err := parseWav(b)
	if err != nil {
		return nil, err
	}
	if length == 0 {
		return nil, fmt.Errorf("a single sound of %d samples, %d a second; say by --length how many make a piece", w.frames(), w.rate)
	}
	n, err := w.pieces(length)
	if err != nil {
		return nil, err
	}
	s := &Dataset{D: length * w.channels, Shape: []int{length, w.channels}, SampleRate: w.rate, X: make([]float64, n*length*w.channels)}
	w.values(s.X)
	return s, nil
}

// readSounds reads the sounds of a folder or an archive. Without a length they must be equally long.
func readSounds(l *listing, o Options) (*Dataset, error) {
	n := len(l.sounds)
	parts := make([][]float64, n)
	kinds := make([]sound, n) // without their samples
	frames := make([]int, n)
	var total atomic.Int64 // samples of all
	err := l.Each(l.sounds, runtime.GOMAXPROCS(0), func(_, k int, b []byte) error {
		w, err := parseWav(b)
		if err != nil {
			return err
		}
		pieces, err := w.pieces(o.Length)
		if err != nil {
			return err
		}
		if o.Length > 0 {
			frames[k] = pieces * o.Length
		} else {
			frames[k] = w.frames()
		}
		if total.Add(int64(frames[k]*w.channels)) > maxSamples { // before they take eight bytes each
			return errors.New("more than 2³⁰ samples of sound with those of other files")
		}
		parts[k] = make([]float64, frames[k]*w.channels)
		w.values(parts[k])
		kinds[k] = sound{rate: w.rate, channels: w.channels}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	length := o.Length
	if length == 0 {
		length = frames[0]
	}
	s := &Dataset{D: length * kinds[0].channels, Shape: []int{length, kinds[0].channels}, SampleRate: kinds[0].rate}
	var of []int // the file of each piece
	for k, x := range parts {
		name := l.Files[l.sounds[k]].Path
		switch w := kinds[k]; {
		case w.channels != kinds[0].channels || w.rate != kinds[0].rate:
			return nil, fmt.Errorf("data: %s: %s has %d channels, %d samples/s; %s has %d, %d", l.Name, name, w.channels, w.rate,
				l.Files[l.sounds[0]].Path, kinds[0].channels, kinds[0].rate)
		case o.Length == 0 && frames[k] != length:
			return nil, fmt.Errorf("data: %s: %s has %d samples, %s has %d; say by --length how many make a piece", l.Name, name, frames[k],
				l.Files[l.sounds[0]].Path, length)
		}
		s.X = append(s.X, x...)
		for range len(x) / s.D {
			of = append(of, l.sounds[k])
		}
		parts[k] = nil
	}
	if o.Labels == "" {
		if err := l.label(s, of); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	return s, nil
}
