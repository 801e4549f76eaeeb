package dynamics

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxText bounds a text in memory: each character takes a row of indicators.
const maxText = 2 << 20

// readText makes a trajectory of indicators of a UTF-8 text: one output for each of its most frequent characters, which is 1 where the
// character occurs. All other characters share one output, if there are any. Time counts characters.
func readText(path string, o ReadOptions) (*Data, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if st.Size() > maxText {
		return nil, fmt.Errorf("a text of %d bytes; at most %d are read", st.Size(), maxText)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, bare(err)
	}
	return textData(b, o)
}

func textData(b []byte, o ReadOptions) (*Data, error) {
	text, err := Characters(b)
	if err != nil {
		return nil, err
	}
	count := map[rune]int{}
	for _, c := range text {
		count[c]++
	}
	var alphabet []rune
	for c := range count {
		alphabet = append(alphabet, c)
	}
	slices.SortFunc(alphabet, func(a, b rune) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return int(a) - int(b)
	})
	if len(alphabet) < 2 {
		return nil, fmt.Errorf("a text of %d characters with %d different ones has no dynamics", len(text), len(alphabet))
	}
	keep := o.Tokens
	if keep <= 0 {
		keep = 64
	}
	d := &Data{P: min(keep, len(alphabet))}
	index := map[rune]int{}
	for i, c := range alphabet {
		index[c] = min(i, d.P-1)
		switch {
		case i < d.P-1 || len(alphabet) == d.P:
			d.Names = append(d.Names, strconv.QuoteRune(c))
		case i == d.P-1:
			d.Names = append(d.Names, "others")
		}
	}
	r := Record{X: make([]float64, len(text)*d.P), Times: make([]float64, len(text))}
	for i, c := range text {
		r.Times[i] = o.Dt * float64(i)
		r.X[i*d.P+index[c]] = 1
	}
	d.Records = []Record{r}
	return d, nil
}

// Characters are those of a UTF-8 text, without a byte-order mark.
func Characters(b []byte) ([]rune, error) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return nil, fmt.Errorf("not UTF-8 text: byte %d is %#02x", i, b[i])
		}
		i += n
	}
	return bytes.Runes(bytes.TrimPrefix(b, []byte("\ufeff"))), nil
}
