package data

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The values of Options.Header: whether the first line of a table names its columns.
const (
	HeaderAuto = "auto" // decide by looking
	HeaderYes  = "yes"
	HeaderNo   = "no"
)

// HeaderKinds lists the values of Options.Header.
func HeaderKinds() []string { return []string{HeaderAuto, HeaderYes, HeaderNo} }

// isHeader decides whether the fields of the first line are names. rows are some of the lines below it.
//
// A line without a number is a header, unless all of it are marks of missing values. A line of numbers may be one: pandas
// numbers columns that have no name. It is taken for a header if it counts 0, 1, 2, … in whole numbers, and one of the columns
// has no other whole number. Over whole numbers such a line may be either, unless it occurs again. Where a line may be
// either, the error says how to decide.
func (d dialect) isHeader(first []field, rows [][]field) (bool, error) {
	numbers, texts, gaps := 0, 0, 0
	for _, f := range first {
		switch _, k := d.value(f); k {
		case kindNumber:
			numbers++
		case kindText:
			texts++
		default:
			gaps++
		}
	}
	switch {
	case texts > 0 && numbers == 0:
		return true, nil
	case texts > 0:
		return d.textsAreNames(first, rows)
	case numbers == 0:
		return false, nil // NA, NA: a sample that is missing
	}
	if gaps == 1 && len(first) > 1 && len(first[0].text) == 0 && len(rows) > 0 { // an index column has no name
		first = first[1:]
		below := make([][]field, 0, len(rows))
		for _, r := range rows {
			if len(r) != len(first)+1 || len(r[0].text) == 0 {
				return false, nil
			}
			below = append(below, r[1:])
		}
		if _, ok := counts(first); ok {
			return true, nil
		}
		rows = below
	} else if gaps > 0 {
		return false, nil
	}
	return d.numbersAreNames(first, rows)
}

// textsAreNames decides about a first line of texts and numbers: names, unless the columns with texts go on with texts.
func (d dialect) textsAreNames(first []field, rows [][]field) (bool, error) {
	below, textsBelow := 0, 0
	for _, r := range rows {
		for j := range min(len(r), len(first)) {
			if _, k := d.value(first[j]); k != kindText {
				continue
			}
			below++
			if _, k := d.value(r[j]); k == kindText {
				textsBelow++
			}
		}
	}
	if below > 0 && textsBelow == 0 {
		return true, nil
	}
	if textsBelow == below {
		return false, nil
	}
	return false, ambiguousHeader(first)
}

// numbersAreNames decides about a first line of numbers.
func (d dialect) numbersAreNames(first []field, rows [][]field) (bool, error) {
	for _, f := range first {
		if !integerText(f.text) {
			return false, nil
		}
	}
	seen := map[string]bool{}
	for _, f := range first {
		if seen[string(f.text)] {
			return false, nil // names differ
		}
		seen[string(f.text)] = true
	}
	counting, again := 0, false
	whole, decimal := make([]bool, len(first)), make([]bool, len(first)) // columns with such a number below
	for _, r := range rows {
		if _, ok := counts(r); ok {
			counting++
		}
		again = again || slices.EqualFunc(first, r, func(a, b field) bool { return bytes.Equal(a.text, b.text) })
		for j := range min(len(r), len(whole)) {
			if _, k := d.value(r[j]); k == kindNumber {
				whole[j] = whole[j] || integerText(r[j].text)
				decimal[j] = decimal[j] || !integerText(r[j].text)
			}
		}
	}
	decimals := false // a column of numbers with decimals alone
	for j := range first {
		decimals = decimals || decimal[j] && !whole[j]
	}
	start, count := counts(first)
	switch {
	case decimals && count && start == 0 && len(first) > 1:
		return true, nil
	case decimals && !again:
		return false, ambiguousHeader(first) // years above measurements, for instance
	case count && len(rows) > 0 && !again && (start == 0 && len(first) > 1 || len(first) > 2 && counting == 0):
		return false, ambiguousHeader(first)
	}
	return false, nil
}

// counts reports whether fields are whole numbers each one more than the one before, and the first of them.
func counts(fields []field) (start int64, ok bool) {
	for j, f := range fields {
		if !integerText(f.text) {
			return 0, false
		}
		v, err := strconv.ParseInt(string(f.text), 10, 64)
		if err != nil || j > 0 && v != start+int64(j) {
			return 0, false
		}
		if j == 0 {
			start = v
		}
	}
	return start, len(fields) > 0
}

func ambiguousHeader(first []field) error {
	texts := make([]string, len(first))
	for i, f := range first {
		texts[i] = string(f.text)
	}
	return fmt.Errorf("the first line, %s, may be the names of columns or a sample; say which with --header yes or --header no", shortList(texts, 8))
}

// namesOfComment are the names in a comment above the table, as numpy.savetxt writes them with header=; nil if these are not k
// names.
func (d dialect) namesOfComment(comment []byte, k int) []string {
	comment = bytes.TrimLeft(comment, "#% ")
	for _, as := range []dialect{d, {sep: ','}, {sep: ' '}} {
		fields, err := as.split(nil, comment)
		if err != nil || len(fields) != k {
			continue
		}
		names := make([]string, k)
		for i, f := range fields {
			if _, kind := d.value(f); kind != kindText {
				return nil
			}
			names[i] = printable(string(f.text))
		}
		return names
	}
	return nil
}

// shortList joins at most n texts.
func shortList(texts []string, n int) string {
	if len(texts) > n {
		return strings.Join(texts[:n], ", ") + fmt.Sprintf(", … (%d in all)", len(texts))
	}
	return strings.Join(texts, ", ")
}

// printable is text with marks in place of bytes that are no UTF-8 and of characters that are not to be printed, such as those that control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// nameColumns takes the names off the header, else off the comment above.
func (t *table) nameColumns(first []field, rows [][]field, comment []byte) error {
	if !t.first {
		if comment != nil {
			t.names = t.namesOfComment(comment, t.nfields)
		}
		return nil
	}
	for _, f := range first {
		t.names = append(t.names, printable(string(f.text)))
	}
	if len(rows) == 0 {
		return nil
	}
	have := len(rows[0])
	switch {
	case have == len(first):
		return nil
	case have == len(first)+1 && len(rows[0][have-1].text) == 0: // lines end with a separator, the header does not
		t.names = append(t.names, "")
	case have == len(first)+1 && (rows[0][0].quoted || !t.isNumber(rows[0][0])): // R's write.table: row names without a title
		t.names = append([]string{""}, t.names...)
	default:
		hint := ""
		if have == 2*len(first) && t.sep == ',' {
			hint = ": decimal commas? Write decimal points, or separate fields by semicolons"
		}
		return fmt.Errorf("the header has %s (%s), the line below has %s%s", count(len(first), "name"), shortList(t.names, 8), count(have, "field"), hint)
	}
	t.nfields = have
	return nil
}
