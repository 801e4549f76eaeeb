package data

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// dialect is how the lines of a table are written.
type dialect struct {
	sep   byte // between fields: ',', ';', '\t', '|', or ' ' for any number of blanks
	comma bool // decimal commas: 1,5 is one and a half
}

// dialects are those that are tried, the likelier first.
var dialects = []dialect{{',', false}, {'\t', false}, {';', false}, {'|', false}, {' ', false}, {'\t', true}, {';', true}, {'|', true}, {' ', true}, {',', true}}

var separatorNames = map[byte]string{',': "commas", ';': "semicolons", '\t': "tabs", '|': "bars", ' ': "blanks"}

func (d dialect) String() string {
	s := "fields separated by " + separatorNames[d.sep]
	if d.comma {
		s += ", decimal commas"
	}
	return s
}

// field is one field of a line without blanks and quotes around it.
type field struct {
	text   []byte
	quoted bool
}

var errQuote = errors.New("a quote is not closed")

// split cuts a line into fields and appends them to dst. A field may be in double or single quotes; a doubled quote within them
// stands for itself.
func (d dialect) split(dst []field, line []byte) ([]field, error) {
	rest := bytes.TrimSpace(line)
	if d.sep != ' ' {
		rest = bytes.Trim(line, " ") // a tab at the end separates an empty field
	}
	for {
		rest = bytes.TrimLeft(rest, " ")
		f, after, err := d.next(rest)
		if err != nil {
			return dst, err
		}
		dst = append(dst, f)
		if after == nil {
			return dst, nil
		}
		rest = after
	}
}

// next takes one field off a line; after is nil at the end of it.
func (d dialect) next(s []byte) (f field, after []byte, err error) {
	if len(s) > 0 && (s[0] == '"' || s[0] == '\'') {
		quote := s[0]
		var text []byte
		for i := 1; i < len(s); i++ {
			if s[i] != quote {
				text = append(text, s[i])
				continue
			}
			if i+1 < len(s) && s[i+1] == quote {
				text = append(text, quote)
				i++
				continue
			}
			f = field{bytes.TrimSpace(text), true}
			rest := bytes.TrimLeft(s[i+1:], " ")
			switch {
			case len(rest) == 0:
				return f, nil, nil
			case rest[0] == d.sep:
				return f, rest[1:], nil
			case d.sep == ' ' && (s[i+1] == ' ' || s[i+1] == '\t'):
				return f, bytes.TrimLeft(rest, " \t"), nil
			}
			return f, nil, fmt.Errorf("%s follows a closing quote", quoteText(rest))
		}
		return f, nil, errQuote
	}
	var end int
	if d.sep == ' ' {
		end = bytes.IndexAny(s, " \t")
	} else {
		end = bytes.IndexByte(s, d.sep)
	}
	if end < 0 {
		return field{bytes.TrimSpace(s), false}, nil, nil
	}
	after = s[end+1:]
	if d.sep == ' ' {
		after = bytes.TrimLeft(after, " \t")
	}
	return field{bytes.TrimSpace(s[:end]), false}, after, nil
}

// kind is what a field holds.
type kind uint8

const (
	kindText kind = iota
	kindMissing
	kindNumber
)

// missing are the marks, in lower case, that programs write where there is no value.
var missing = map[string]bool{"": true, "na": true, "n/a": true, "#n/a": true, "<na>": true, "nan": true, "null": true, "none": true, "nil": true, "nat": true,
	"-": true, "?": true, ".": true, "missing": true}

// value is the number of a field. Infinities, and what is beyond float64, are numbers here.
func (d dialect) value(f field) (float64, kind) {
	if len(f.text) < 8 && missing[strings.ToLower(string(f.text))] {
		return math.NaN(), kindMissing
	}
	text := string(f.text)
	if strings.HasPrefix(text, "−") { // a minus sign as typesetters write it
		text = "-" + strings.TrimPrefix(text, "−")
	}
	if d.comma {
		if strings.Contains(text, ".") || strings.Count(text, ",") > 1 {
			return 0, kindText
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(text, "_xXpP") {
		return 0, kindText
	}
	if math.IsNaN(v) {
		return v, kindMissing
	}
	return v, kindNumber
}

// written reports how a number is written: as a plain integer, or with decimals or an exponent.
func integerText(text []byte) bool {
	text = bytes.TrimLeft(text, "+-")
	if len(text) == 0 {
		return false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// findDialect looks for the dialect in which most fields of the lines are numbers, with as many fields in every line. first is
// the first line, which may be a header.
func findDialect(first []byte, lines [][]byte) dialect {
	if len(lines) == 0 {
		lines = [][]byte{first}
	}
	best, bestShare, bestNumbers := dialects[0], -1.0, 0
	for _, d := range dialects {
		numbers, cells, ok := d.score(lines)
		if !ok || cells == 0 {
			continue
		}
		share := float64(numbers) / float64(cells)
		if share > bestShare+1e-9 || share > bestShare-1e-9 && numbers > bestNumbers {
			best, bestShare, bestNumbers = d, share, numbers
		}
	}
	return best
}

// score counts the fields of the lines, and among those of lines with the most frequent number of fields the numbers.
func (d dialect) score(lines [][]byte) (numbers, cells int, ok bool) {
	byCount := map[int]int{} // numbers in lines of so many fields
	var fields []field
	commas := false
	for _, line := range lines {
		var err error
		if fields, err = d.split(fields[:0], line); err != nil {
			return 0, 0, false
		}
		cells += len(fields)
		for _, f := range fields {
			hasComma := bytes.IndexByte(f.text, ',') >= 0
			commas = commas || hasComma
			if d.comma && len(fields) == 1 && !(f.quoted && hasComma) {
				return 0, 0, false // one column of 1,5 may as well be two
			}
			if _, k := d.value(f); k == kindNumber {
				byCount[len(fields)]++
			}
		}
	}
	for _, n := range byCount {
		numbers = max(numbers, n)
	}
	return numbers, cells, !d.comma || commas
}

// quoteText shows at most 40 bytes of a file in a message.
func quoteText(b []byte) string {
	if len(b) > 40 {
		return strconv.Quote(string(b[:40])) + "…"
	}
	return strconv.Quote(string(b))
}
