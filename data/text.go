package data

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// Alphabet are the characters of a text, each once, in the order of their code points. Character k is written as the binary digits of k,
// the highest first: analog bits (Chen 2022, arXiv:2208.04202), which are 0 and 1 in data units and −1 and 1 to a network.
type Alphabet []rune

// mostCharacters bounds an alphabet: 16 bits a character.
const mostCharacters = 1 << 16

// NewAlphabet lists the characters of a text.
func NewAlphabet(text string) (Alphabet, error) {
	var a Alphabet
	seen := map[rune]bool{}
	for _, c := range text {
		if !seen[c] {
			seen[c] = true
			a = append(a, c)
		}
	}
	slices.Sort(a)
	return a, a.Validate()
}

// Validate reports what makes the list no alphabet.
func (a Alphabet) Validate() error {
	switch {
	case len(a) < 2:
		return fmt.Errorf("%d different characters; a text to be learnt has 2 or more", len(a))
	case len(a) > mostCharacters:
		return fmt.Errorf("%d different characters; at most %d are taken", len(a), mostCharacters)
	}
	for k, c := range a {
		if !utf8.ValidRune(c) || k > 0 && c <= a[k-1] {
			return fmt.Errorf("character %d of the alphabet, U+%04X, is not one of Unicode or out of order", k, c)
		}
	}
	return nil
}

// Bits is the number of binary digits of a character.
func (a Alphabet) Bits() int { return bits.Len(uint(len(a) - 1)) }

// Code is the number of a character.
func (a Alphabet) Code(c rune) (k int, ok bool) { return slices.BinarySearch(a, c) }

// appendBits appends the digits of code k.
func (a Alphabet) appendBits(b []byte, k int) []byte {
	for i := a.Bits() - 1; i >= 0; i-- {
		b = append(b, byte(k>>i&1))
	}
	return b
}

// Text reads analog bits, in data units, as characters: each is the one whose digits are nearest. That is the one that the signs of x − ½ spell,
// if there is a character of this code. What is no number counts as 0.
func (a Alphabet) Text(x []float64) string {
	n := a.Bits()
	out := make([]rune, len(x)/n)
	for i := range out {
		out[i] = a[a.nearest(x[i*n:(i+1)*n])]
	}
	return string(out)
}

// far bounds the numbers that are read as bits: infinite ones would make a NaN of a sum.
const far = 1e6

// nearest is the code with the digits b that are nearest to x: with the largest Σ (2b − 1)(x − ½).
func (a Alphabet) nearest(x []float64) int {
	code := 0
	for _, v := range x {
		code <<= 1
		if v > 0.5 {
			code |= 1
		}
	}
	if code < len(a) {
		return code
	}
	best, most := 0, math.Inf(-1)
	for k := range a {
		sum := 0.0
		for j, v := range x {
			if math.IsNaN(v) {
				v = 0
			}
			v = min(max(v, -far), far) - 0.5
			if k>>(len(x)-1-j)&1 == 0 {
				v = -v
			}
			sum += v
		}
		if sum > most {
			best, most = k, sum
		}
	}
	return best
}

// readText reads a text in UTF-8 as windows of o.Length characters, one every o.Stride characters (0: one after the other), as analog bits. The
// characters are those of o.Alphabet, or of the text where it is nil.
func readText(r io.Reader, size int64, o Options) (*Dataset, error) {
	if o.Length == 0 {
		return nil, errors.New("say by --length how many characters make a window")
	}
	if size > maxImageBytes/8 {
		return nil, fmt.Errorf("%d bytes of text; at most 2³⁰ are read", size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, truncated(err, 0, size)
	}
	text, err := decodeText(b)
	if err != nil {
		return nil, err
	}
	alphabet := o.Alphabet
	if alphabet == nil {
		if alphabet, err = NewAlphabet(string(text)); err != nil {
			return nil, err
		}
	}
	codes := make([]int, len(text))
	counts := make([]int, len(alphabet))
	line := 1
	for i, c := range text {
		k, ok := alphabet.Code(c)
		if !ok {
			return nil, fmt.Errorf("line %d has the character %q (U+%04X), which is not among the %d that the network was trained on", line, c, c, len(alphabet))
		}
		codes[i] = k
		counts[k]++
		if c == '\n' {
			line++
		}
	}
	return windows(codes, counts, alphabet, o)
}

// decodeText is a text without the mark of its byte order at its beginning.
func decodeText(b []byte) ([]rune, error) {
	if len(b) > 2 && string(b[:3]) == "\ufeff" {
		b = b[3:]
	}
	text := make([]rune, 0, len(b))
	line, lineAt := 1, 0
	for at := 0; at < len(b); {
		c, n := utf8.DecodeRune(b[at:])
		if c == utf8.RuneError && n < 2 {
			return nil, fmt.Errorf("byte %d of line %d, 0x%02x, is not UTF-8; want a text in UTF-8 (iconv -f latin1 -t utf-8 in.txt >out.txt)", at-lineAt+1, line, b[at])
		}
		if at += n; c == '\n' {
			line, lineAt = line+1, at
		}
		text = append(text, c)
	}
	return text, nil
}

// windows cuts codes, whose characters occur so often, into windows.
func windows(codes, counts []int, a Alphabet, o Options) (*Dataset, error) {
	length, stride := o.Length, o.Stride
	if stride == 0 {
		stride = length
	}
	if len(codes) < length {
		return nil, fmt.Errorf("%d characters, shorter than a window of %d (--length)", len(codes), length)
	}
	n := (len(codes)-length)/stride + 1
	d := length * a.Bits()
	if n > maxImageBytes/d {
		return nil, fmt.Errorf("%d windows of %d characters, one every %d, are more than 2³³ bits; take a larger --stride", n, length, stride)
	}
	s := &Dataset{D: d, Shape: []int{length, a.Bits()}, Bytes: make([]byte, 0, n*d), Alphabet: a}
	for i := range n {
		for _, k := range codes[i*stride : i*stride+length] {
			s.Bytes = a.appendBits(s.Bytes, k)
		}
	}
	entropy := 0.0
	for _, k := range counts {
		if k > 0 {
			p := float64(k) / float64(len(codes))
			entropy -= p * math.Log2(p)
		}
	}
	s.note("text", "%d characters, of %d different ones, %d bits each; %.3f bits a character by their frequencies alone", len(codes), len(a), a.Bits(), entropy)
	s.note("windows", "%d of %d characters, one every %d; the last %d characters are in none", n, length, stride, len(codes)-(n-1)*stride-length)
	return s, nil
}
