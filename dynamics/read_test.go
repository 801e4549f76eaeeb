package dynamics

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"hbar/data/npz"
)

// describe writes data in a line: each trajectory's times and rows.
func describe(d *Data) string {
	s := fmt.Sprintf("p=%d", d.P)
	for _, r := range d.Records {
		s += fmt.Sprintf(" %v%v", r.Times, r.X)
	}
	return s
}

func TestReadArrays(t *testing.T) {
	nan := math.NaN()
	arr := func(shape []int, x ...float64) *npz.Array { return &npz.Array{Shape: shape, X: x} }
	dir := t.TempDir()
	for want, arrays := range map[string]map[string]*npz.Array{
		"p=1 [0 0.5 1][1 2 3]":            {"x": arr([]int{3}, 1, 2, 3)},
		"p=2 [0 0.5][1 2 NaN 4]":          {"x": arr([]int{2, 2}, 1, 2, nan, 4)},
		"p=1 [0 3][1 2] [0 3 4][5 6 7]":   {"x": arr([]int{2, 3, 1}, 1, 2, nan, 5, 6, 7), "times": arr([]int{3}, 0, 3, 4)},
		"p=1 [0 3][1 2] [1 5 9][5 6 7]":   {"x": arr([]int{2, 3}, 1, 2, nan, 5, 6, 7), "times": arr([]int{2, 3}, 0, 3, nan, 1, 5, 9)},
		"p=1 [0][1] [7 8][2 3]":           {"x": arr([]int{3}, 1, 2, 3), "times": arr([]int{3}, 0, 7, 8), "lengths": arr([]int{2}, 1, 2)},
		"p=1 [0 0.5][1 2] [1 4 5][3 4 5]": {"x0": arr([]int{2}, 1, 2), "times0": arr([]int{2}, 0, 0.5), "x1": arr([]int{3, 1}, 3, 4, 5), "times1": arr([]int{3}, 1, 4, 5)},
		"p=1 [0 7][1 2]":                  {"x": arr([]int{2}, 1, 2), "t": arr([]int{2}, 0, 7), "loglik": arr([]int{1}, -3)},
		"p=1 [0 8][1 2] [9][3]":           {"x0": arr([]int{2}, 1, 2), "time0": arr([]int{2}, 0, 8), "x1": arr([]int{1}, 3), "t1": arr([]int{1}, 9)},
	} {
		path := filepath.Join(dir, "a.npz")
		if err := npz.Write(path, arrays); err != nil {
			t.Fatal(err)
		}
		d, err := Load([]string{path}, ReadOptions{Dt: 0.5})
		if err != nil || describe(d) != want {
			t.Errorf("read %v, %v; want %s", d, err, want)
		}
	}
	for want, arrays := range map[string]map[string]*npz.Array{
		"times should increase, and time 2, 1, follows 2": {"x": arr([]int{3}, 1, 2, 3), "times": arr([]int{3}, 0, 2, 1)},
		"time 1 is NaN":                             {"x": arr([]int{3}, 1, 2, 3), "times": arr([]int{3}, 0, nan, 1)},
		"times have shape [2]":                      {"x": arr([]int{3}, 1, 2, 3), "times": arr([]int{2}, 0, 1)},
		"x has shape [1 1 1 1]":                     {"x": arr([]int{1, 1, 1, 1}, 1)},
		"x is NaN throughout":                       {"x": arr([]int{2}, nan, nan)},
		"is infinite":                               {"x": arr([]int{2}, 1, math.Inf(1))},
		"the archive has arrays data":               {"data": arr([]int{2}, 1, 2)},
		"lengths add up to 5":                       {"x": arr([]int{3}, 1, 2, 3), "lengths": arr([]int{1}, 5)},
		"arrays of no use: labels":                  {"x": arr([]int{2}, 1, 2), "labels": arr([]int{2}, 0, 1)},
		"arrays of no use: time;":                   {"x": arr([]int{2}, 1, 2), "times": arr([]int{2}, 0, 1), "time": arr([]int{2}, 0, 1)},
		"arrays of no use: x3":                      {"x0": arr([]int{2}, 1, 2), "x1": arr([]int{2}, 1, 2), "x3": arr([]int{2}, 1, 2)},
		"x0 has times and x1 has none; give times1": {"x0": arr([]int{2}, 1, 2), "times0": arr([]int{2}, 0, 1), "x1": arr([]int{2}, 1, 2)},
		"x1 has times and x0 has none; give times0": {"x0": arr([]int{2}, 1, 2), "times1": arr([]int{2}, 0, 1), "x1": arr([]int{2}, 1, 2)},
		"x1 has 2 outputs, x0 has 1":                {"x0": arr([]int{2}, 1, 2), "x1": arr([]int{1, 2}, 1, 2)},
	} {
		path := filepath.Join(dir, "a.npz")
		if err := npz.Write(path, arrays); err != nil {
			t.Fatal(err)
		}
		if d, err := Load([]string{path}, ReadOptions{}); err == nil || !contains(err.Error(), want) {
			t.Errorf("read %v, error %v; want %s", d, err, want)
		}
	}
}

// Texts share one alphabet: a character has the same indicator in each, whichever of them it is frequent in, and with a given alphabet the
// one that it has there.
func TestTextsShareAnAlphabet(t *testing.T) {
	texts := [][]rune{[]rune("aab"), []rune("bbbbca")}
	for _, c := range []struct {
		o    ReadOptions
		want string
	}{
		{ReadOptions{Dt: 1}, `['b' 'a' 'c'] p=3 [0 1 2][0 1 0 0 1 0 1 0 0] [0 1 2 3 4 5][1 0 0 1 0 0 1 0 0 1 0 0 0 0 1 0 1 0]`},
		{ReadOptions{Dt: 1, Tokens: 2}, `['b' others] p=2 [0 1 2][0 1 0 1 1 0] [0 1 2 3 4 5][1 0 1 0 1 0 1 0 0 1 0 1]`},
		{ReadOptions{Dt: 1, Tokens: 2, Alphabet: []string{"'x'", "'c'", "others"}}, `['x' 'c' others] p=3 [0 1 2][0 0 1 0 0 1 0 0 1] [0 1 2 3 4 5][0 0 1 0 0 1 0 0 1 0 0 1 0 1 0 0 0 1]`},
	} {
		d, err := textData(texts, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(d.Names, " ", describe(d)); got != c.want {
			t.Errorf("read %s; want %s", got, c.want)
		}
	}
	if _, err := textData(texts, ReadOptions{Alphabet: []string{"'a'", "'b'"}}); err == nil || !contains(err.Error(), "the text has 'c', which no text of the fit had") {
		t.Errorf("a character outside of the alphabet: error %v", err)
	}
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "1,2\n3,\n\n# note\n5,6\n", "p=2 [0 1 2][1 2 3 NaN 5 6]"},
		{"b.csv", "t,left,right\n0,1,2\n0.5,3,nan\n", "p=2 [0 0.5][1 2 3 NaN]"},
		{"c.csv", "id,time,x\na,0,1\na,1,2\nb,0,3\n", "p=1 [0 1][1 2] [0][3]"},
		{"mixed.csv", "time,id,x\n0,A,1\n0,B,2\n1,A,3\n1,B,4\n", "p=1 [0 1][1 3] [0 1][2 4]"},
		{"uncounted.csv", "id,x\nA,1\nB,2\nA,3\n", "p=1 [0 1][1 3] [0][2]"},
		{"d.txt", "aba", "p=2 [0 1 2][1 0 0 1 1 0]"},
	} {
		d, err := Load([]string{write(c.name, c.text)}, ReadOptions{})
		if err != nil || describe(d) != c.want {
			t.Errorf("%s: read %v, %v; want %s", c.name, d, err, c.want)
		}
	}
	if d, err := Load([]string{filepath.Join(dir, "b.csv")}, ReadOptions{}); err != nil || d.Name(1) != "right" || !d.Timed {
		t.Errorf("names %v", d)
	}
	if d, err := textData([][]rune{[]rune("abcabcabd")}, ReadOptions{Tokens: 3}); err != nil || d.P != 3 || d.Name(2) != "others" || d.Records[0].X[2*3+2] != 1 || d.Records[0].X[8*3+2] != 1 {
		t.Errorf("a text of four characters with three indicators: %v, %v", d, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"e.csv", "1,2\n3\n", "line 2 has 1 fields, the first has 2"},
		{"f.csv", "1,2\n3,x\n", `line 2, field 2: "x" is not a number`},
		{"g.csv", "t,x\n0,1\n0,2\n", "times should increase"},
		{"back.csv", "t,id,x\n0,A,1\n0,B,2\n1,A,3\n0,B,4\n", `line 5: times should increase, and 0 follows 0 in trajectory "B"`},
		{"h.csv", "t\n0\n", "no column of outputs"},
		{"i.csv", "", "no line of 0 has numbers"},
		{"j.txt", "ab\xff", "not UTF-8 text: byte 2 is 0xff"},
		{"k.txt", "aaaa", "has no dynamics"},
		{"l.bin", "aaaa", `files ending in ".bin" are not read`},
		{"m.npz", "aaaa", "not an .npz archive"},
	} {
		if d, err := Load([]string{write(c.name, c.text)}, ReadOptions{}); err == nil || !contains(err.Error(), c.want) {
			t.Errorf("%s: read %v, error %v; want %s", c.name, d, err, c.want)
		}
	}
	if _, err := Load([]string{filepath.Join(dir, "a.csv"), filepath.Join(dir, "c.csv")}, ReadOptions{}); err == nil || !contains(err.Error(), "has 1 outputs") {
		t.Errorf("files of 2 and 1 outputs: error %v", err)
	}
	b := filepath.Join(dir, "b.csv")
	for _, c := range []struct{ name, text, want string }{
		{"swapped.csv", "t,right,left\n0,1,2\n", `output 1 of ` + filepath.Join(dir, "swapped.csv") + ` is "right", and of ` + b + ` it is "left"`},
		{"bare.csv", "1,2\n", ""},
		{"two.txt", "abab", b + " is no text"},
	} {
		_, err := Load([]string{b, write(c.name, c.text)}, ReadOptions{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !contains(err.Error(), c.want)) {
			t.Errorf("%s after b.csv: error %v; want %q", c.name, err, c.want)
		}
	}
	if _, err := Load([]string{filepath.Join(dir, "none.npy")}, ReadOptions{}); err == nil || !contains(err.Error(), "no such file") {
		t.Errorf("no file: error %v", err)
	}
}
