package samples

import (
	"image"
	"image/color"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// The spectrogram of a sound on a sheet: the power of Hann-windowed pieces, in decibels relative to the largest power of the sound.
// Time runs to the right. Frequency runs from 0 at the bottom to half the sample rate at the top.
const (
	spectrumHeight = 64
	spectrumWindow = 2 * spectrumHeight // samples of a piece
	spectrumRange  = 60                 // decibels from the darkest to the lightest shade
)

// spectrogram returns the power of each column's piece at each frequency, spectrumHeight of them from 0 on, of the mean of a
// sound's channels.
func spectrogram(x []float64, channels, columns int) [][]float64 {
	length := len(x) / channels
	fft := fourier.NewFFT(spectrumWindow)
	piece, out := make([]float64, spectrumWindow), make([][]float64, columns)
	var coefficients []complex128
	for px := range out {
		centre := (2*px + 1) * length / (2 * columns)
		for i := range piece {
			piece[i] = 0
			at := centre - spectrumWindow/2 + i
			if at < 0 || at >= length {
				continue
			}
			for _, v := range x[at*channels : (at+1)*channels] {
				piece[i] += v / float64(channels)
			}
			piece[i] *= 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/spectrumWindow)
		}
		coefficients = fft.Coefficients(coefficients, piece)
		out[px] = make([]float64, spectrumHeight)
		for k := range out[px] {
			c := coefficients[k]
			out[px][k] = real(c)*real(c) + imag(c)*imag(c)
		}
	}
	return out
}

// spectrum draws the spectrogram of a sound. Powers that are not finite count as silence.
func (s *Sheet) spectrum(m *image.NRGBA, at image.Point, x []float64) {
	power := spectrogram(x, s.o.Shape[1], waveWidth)
	top := 0.0
	for _, column := range power {
		for _, p := range column {
			if !math.IsInf(p, 1) && p > top { // which NaN is not
				top = p
			}
		}
	}
	for px, column := range power {
		for k, p := range column {
			level := 0.0 // 0: spectrumRange below the loudest, or silence; 1: the loudest
			if p > 0 && p <= top {
				level = min(max(1+10*math.Log10(p/top)/spectrumRange, 0), 1)
			}
			m.SetNRGBA(at.X+px, at.Y+spectrumHeight-1-k, shade(level))
		}
	}
}

// shade goes from near white over blue to near black, ever darker.
func shade(level float64) color.NRGBA {
	stops := [...][3]float64{{0xf1, 0xf1, 0xf1}, {0x8f, 0xb4, 0xd6}, {0x1f, 0x4e, 0x79}, {0x06, 0x10, 0x1c}}
	f := level * float64(len(stops)-1)
	i := min(int(f), len(stops)-2)
	mix := func(c int) uint8 { return uint8(math.Round(stops[i][c] + (f-float64(i))*(stops[i+1][c]-stops[i][c]))) }
	return color.NRGBA{mix(0), mix(1), mix(2), 0xff}
}
