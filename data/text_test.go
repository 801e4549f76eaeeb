package data

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// textFile writes a file whose name says nothing.
func textFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "book.md")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// Characters are numbered in the order of their code points, and are written as the digits of their numbers.
func TestText(t *testing.T) {
	path := textFile(t, "\ufeffcäb\na")
	s, err := LoadWith(path, Options{Text: true, Length: 2, Stride: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{ // \n a b c ä are 0 to 4
		0, 1, 1, 1, 0, 0, // c ä
		1, 0, 0, 0, 1, 0, // ä b
		0, 1, 0, 0, 0, 0, // b \n
		0, 0, 0, 0, 0, 1, // \n a
	}
	if string(s.Alphabet) != "\nabcä" || !slices.Equal(s.Shape, []int{2, 3}) || !slices.Equal(s.Bytes, want) || s.Kind() != "windows" {
		t.Fatalf("%q, %v, %v, %s", string(s.Alphabet), s.Shape, s.Bytes, s.Kind())
	}
	var all string
	for i := range s.N() {
		all += s.Alphabet.Text(s.Row(i))
	}
	if all != "cääbb\n\na" {
		t.Errorf("read back: %q", all)
	}
	if kind, err := s.Normalise(NormAuto); err != nil || kind != NormAuto || s.Norm.Mean[0] != 0.5 || s.Norm.Scale[0] != 0.5 {
		t.Errorf("%s, %+v, %v", kind, s.Norm, err)
	}
	// One after the other; of five characters the last is in no window, and the characters are those of another text.
	other, err := LoadWith(path, Options{Text: true, Length: 2, Alphabet: Alphabet("\n abcäß"), First: 1, N: 1})
	if err != nil || other.N() != 1 || other.Alphabet.Text(other.Row(0)) != "b\n" {
		t.Errorf("%+v, %v", other, err)
	}
}

// The nearest character is taken, also where the signs spell none.
func TestTextNearest(t *testing.T) {
	a, err := NewAlphabet("abcde")
	if err != nil || a.Bits() != 3 {
		t.Fatal(a, err)
	}
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		x    []float64
		want string
	}{
		{[]float64{0.4, 0.6, 0.9}, "d"},
		{[]float64{0.9, 0.8, 0.7}, "d"},   // 111 is none: 011 is nearer than 100
		{[]float64{2, 0.55, 0.52}, "e"},   // 111 is none: 100 is nearest
		{[]float64{0.6, 0.3, 0.9}, "b"},   // 101 is none: 001 is nearest
		{[]float64{inf, inf, -inf}, "c"},  // 110 is none; 010 and 100 are alike
		{[]float64{nan, nan, nan}, "a"},   // as zeros
		{[]float64{inf, nan, 0.9}, "e"},   // 101 is none
		{[]float64{0.5, 0.5, 0.501}, "b"}, // the border belongs to 0
	} {
		if got := a.Text(c.x); got != c.want {
			t.Errorf("%v: %q, want %q", c.x, got, c.want)
		}
	}
	for _, n := range []int{2, 3, 4, 5, 128, 129} {
		a := make(Alphabet, n)
		for k := range a {
			a[k] = rune('A' + k)
		}
		for k := range a {
			b := a.appendBits(nil, k)
			if got := a.Text(expand(b)); len(b) != a.Bits() || 1<<len(b) < n || 2*n <= 1<<len(b) && n > 1 || got != string(a[k]) {
				t.Errorf("%d characters: number %d is %v, read as %q", n, k, b, got)
			}
		}
	}
}

func TestTextErrors(t *testing.T) {
	good := textFile(t, "ab\ncd")
	for _, c := range []struct {
		path string
		o    Options
		want string
	}{
		{good, Options{Text: true}, "--length"},
		{good, Options{Text: true, Length: 6}, "5 characters, shorter than a window of 6"},
		{good, Options{Text: true, Length: 2, Alphabet: Alphabet("\nabc")}, `line 2 has the character 'd' (U+0064), which is not among the 4`},
		{good, Options{Text: true, Length: 2, N: 9}, "has 2 samples"},
		{good, Options{Text: true, Length: 2, Stride: -1}, "a window every -1"},
		{good, Options{Text: true, Length: 2, Columns: "1"}, "is read as text"},
		{good, Options{Length: 2, Stride: 1}, "is for text"},
		{"digits", Options{Text: true, Length: 2}, "digits is not a text"},
		{t.TempDir(), Options{Text: true, Length: 2}, "is not a text; name one file"},
		{textFile(t, "ab\nc\xe9d"), Options{Text: true, Length: 2}, "byte 2 of line 2, 0xe9, is not UTF-8"},
		{textFile(t, "ab\nc\xe2\x82"), Options{Text: true, Length: 2}, "byte 2 of line 2, 0xe2, is not UTF-8"},
		{textFile(t, "aaaa"), Options{Text: true, Length: 2}, "1 different characters"},
		{textFile(t, ""), Options{Text: true, Length: 2}, "0 different characters"},
	} {
		if _, err := LoadWith(c.path, c.o); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
	prose := filepath.Join(t.TempDir(), "prose.txt")
	if err := os.WriteFile(prose, []byte("It was a dark\nand stormy night.\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWith(prose, Options{}); err == nil || !strings.Contains(err.Error(), "--text reads it as characters") {
		t.Errorf("prose as a table: %v", err)
	}
	for _, a := range []Alphabet{{'b', 'a'}, {'a', 'a'}, {'a', 0xd800}, {'a', -1}} {
		if err := a.Validate(); err == nil {
			t.Errorf("%v is an alphabet", []rune(a))
		}
	}
}
