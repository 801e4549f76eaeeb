package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// csvMaxLine bounds one line.
const csvMaxLine = 16 << 20

// readCSV reads one sample a line, numbers separated by commas (spaces around them are ignored). The first line is
// taken for a header if none of its fields is a number. Empty lines and lines that start with # are skipped. A number
// takes at least two bytes of the file, so the result is at most four times its size.
func readCSV(r io.Reader, _ int64) (*Dataset, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 1<<16), csvMaxLine)
	var x []float64
	d, line, first := 0, 0, true
	for sc.Scan() {
		line++
		text := bytes.TrimSpace(sc.Bytes())
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		header := first && !anyNumber(text)
		first = false
		if header {
			continue
		}
		k := 0
		for field := range bytes.SplitSeq(text, []byte(",")) {
			field = bytes.TrimSpace(field)
			v, err := strconv.ParseFloat(string(field), 64)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return nil, fmt.Errorf("line %d, field %d: %s is not a number", line, k+1, quote(field))
			}
			x = append(x, v)
			k++
		}
		if d == 0 {
			d = k
		}
		if k != d {
			return nil, fmt.Errorf("line %d has %d fields, the first has %d", line, k, d)
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("line %d is longer than %d MiB", line+1, csvMaxLine>>20)
		}
		return nil, err
	}
	if len(x) == 0 {
		return nil, fmt.Errorf("no numbers in %d lines", line)
	}
	return newDataset(x, []int{d})
}

func anyNumber(text []byte) bool {
	for field := range bytes.SplitSeq(text, []byte(",")) {
		if _, err := strconv.ParseFloat(string(bytes.TrimSpace(field)), 64); err == nil || errors.Is(err, strconv.ErrRange) {
			return true
		}
	}
	return false
}

// quote shows at most 40 bytes of a file in a message.
func quote(b []byte) string {
	if len(b) > 40 {
		return strconv.Quote(string(b[:40])) + "…"
	}
	return strconv.Quote(string(b))
}
