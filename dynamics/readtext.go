package dynamics

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText bounds a text in memory: each character takes a row of indicators.
const maxText = 2 << 20

// isText reports whether a file is read as a text.
func isText(path string) bool {
	return slices.Contains([]string{".txt", ".text", ".md"}, strings.ToLower(filepath.Ext(path)))
}

// readTexts makes a trajectory of indicators of each UTF-8 text: one output for each of their most frequent characters, which is 1 where
// the character occurs. All other characters share one output, if there are any. Time counts characters.
func readTexts(paths []string, o ReadOptions) (*Data, error) {
	texts := make([][]rune, len(paths))
	for i, path := range paths {
		if !isText(path) {
			return nil, fmt.Errorf("%s is no text; texts and numbers do not go together", path)
		}
		var err error
		if texts[i], err = readText(path); err != nil {
			return nil, named(path, err)
		}
	}
	d, err := textData(texts, o)
	return d, named(strings.Join(paths, ", "), err)
}

func readText(path string) ([]rune, error) {
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
	text, err := Characters(b)
	if err == nil && len(text) == 0 {
		err = errors.New("a text without a character")
	}
	return text, err
}

// rare is the name of the indicator that rare characters share.
const rare = "others"

func textData(texts [][]rune, o ReadOptions) (*Data, error) {
	names := o.Alphabet
	if names == nil {
		var err error
		if names, err = alphabet(texts, o.Tokens); err != nil {
			return nil, err
		}
	}
	index := map[string]int{}
	for j, name := range names {
		index[name] = j
	}
	d := &Data{P: len(names), Names: names}
	for _, text := range texts {
		r := Record{X: make([]float64, len(text)*d.P), Times: make([]float64, len(text))}
		for i, c := range text {
			j, ok := index[strconv.QuoteRune(c)]
			if !ok {
				if j, ok = index[rare]; !ok {
					return nil, fmt.Errorf("the text has %q, which no text of the fit had", c)
				}
			}
			r.Times[i] = o.Dt * float64(i)
			r.X[i*d.P+j] = 1
		}
		d.Records = append(d.Records, r)
	}
	return d, nil
}

// alphabet names the indicators of texts: the most frequent characters, and others for the rest.
func alphabet(texts [][]rune, tokens int) ([]string, error) {
	count, total := map[rune]int{}, 0
	for _, text := range texts {
		for _, c := range text {
			count[c]++
		}
		total += len(text)
	}
	characters := slices.SortedFunc(maps.Keys(count), func(a, b rune) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return int(a) - int(b)
	})
	if len(characters) < 2 {
		return nil, fmt.Errorf("a text of %d characters with %d different ones has no dynamics", total, len(characters))
	}
	if tokens <= 0 {
		tokens = 64
	}
	rest := len(characters) > tokens
	if rest {
		characters = characters[:tokens-1]
	}
	var names []string
	for _, c := range characters {
		names = append(names, strconv.QuoteRune(c))
	}
	if rest {
		names = append(names, rare)
	}
	return names, nil
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
