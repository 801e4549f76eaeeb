package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// tableMaxLine bounds one line, and tablePreview the text from which dialect and header are found.
const (
	tableMaxLine  = 16 << 20
	tablePreview  = 1 << 20
	previewedRows = 1000
)

// table reads a text of one sample a line.
type table struct {
	dialect
	first   bool     // whether the first line is a header
	names   []string // of all columns; nil: none
	nfields int      // in a line
	parse   []int    // the columns to read
	rowName bool     // column 0 has no name in the header and is not a number
	chosen  bool     // parse are the columns that the user named

	x       []float64
	rows    int
	line    int
	missing missingValues
}

// missingValues counts the rows with a missing value, and remembers the first.
type missingValues struct {
	rows, row, line, column int
	text                    string
}

// tableReader is the reader of tables under the options.
func tableReader(o Options) reader {
	return func(r io.Reader, _ int64) (*Dataset, error) { return readTable(r, o) }
}

// readTable reads one sample a line. Fields are separated by commas, semicolons, tabs, bars or blanks, and may be in quotes;
// decimals have a point, or a comma where that is no separator. All of it is found by looking at the first lines, and the notes
// of the set say what was found. Empty lines and lines that start with # are skipped. A number takes at least two bytes of the
// file, so the result is at most four times its size.
func readTable(r io.Reader, o Options) (*Dataset, error) {
	br := bufio.NewReaderSize(r, tablePreview)
	head, err := br.Peek(tablePreview)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if err == nil && !bytes.ContainsAny(head, "\r\n") { // a long line
		br = bufio.NewReaderSize(br, tableMaxLine)
		if head, err = br.Peek(tableMaxLine); err != nil && err != io.EOF {
			return nil, err
		}
	}
	if err := checkEncoding(head); err != nil {
		return nil, err
	}
	t := &table{}
	if err := t.look(head, err == io.EOF, o); err != nil {
		return nil, err
	}
	if err := t.read(br); err != nil {
		return nil, err
	}
	return t.dataset()
}

func checkEncoding(head []byte) error {
	for _, bom := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(head, []byte(bom)) {
			return errors.New("the text is UTF-16; save it as UTF-8")
		}
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return errors.New("not a text: it holds zero bytes")
	}
	return nil
}

// look finds dialect, header and columns from the beginning of the text.
func (t *table) look(head []byte, whole bool, o Options) error {
	lines, comment := previewLines(head, whole)
	if len(lines) == 0 {
		return nil // read says so
	}
	t.dialect = findDialect(lines[0], lines[1:])
	first, err := t.split(nil, lines[0])
	if err != nil {
		return fmt.Errorf("the first line: %w", err)
	}
	rows := make([][]field, 0, len(lines)-1)
	for _, line := range lines[1:] {
		fields, err := t.split(nil, line)
		if err != nil {
			break // read says where
		}
		rows = append(rows, fields)
	}
	switch o.Header {
	case HeaderYes:
		t.first = true
	case HeaderNo:
	case "", HeaderAuto:
		if t.first, err = t.isHeader(first, rows); err != nil {
			return err
		}
	default:
		return fmt.Errorf("header %q unknown; have %s", o.Header, strings.Join(HeaderKinds(), ", "))
	}
	if !t.first {
		rows = append([][]field{first}, rows...)
	}
	t.nfields = len(first)
	if err := t.nameColumns(first, rows, comment); err != nil {
		return err
	}
	if o.Columns == "" {
		if err := t.commas(rows); err != nil {
			return err
		}
	}
	return t.chooseColumns(rows, o.Columns, o.Prefer)
}

// previewLines are the lines of a beginning that hold fields, and the last comment above them.
func previewLines(head []byte, whole bool) (lines [][]byte, comment []byte) {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for len(head) > 0 && len(lines) <= previewedRows {
		n, line, _ := splitLine(head, whole)
		if n == 0 {
			break
		}
		head = head[n:]
		switch text := bytes.TrimSpace(line); {
		case len(text) == 0:
		case text[0] == '#':
			if len(lines) == 0 {
				comment = text
			}
		default:
			lines = append(lines, line)
		}
	}
	return lines, comment
}

// splitLine is a bufio.SplitFunc for lines that end with \n, \r\n or \r.
func splitLine(data []byte, atEOF bool) (advance int, line []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && !atEOF || len(data) == 0:
		return 0, nil, nil
	case i < 0:
		return len(data), data, nil
	case data[i] == '\n':
		return i + 1, data[:i], nil
	case i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	case i+1 == len(data) && !atEOF:
		return 0, nil, nil // perhaps \r\n
	}
	return i + 1, data[:i], nil
}

func (d dialect) isNumber(f field) bool {
	_, k := d.value(f)
	return k == kindNumber
}

// commas refuses tables whose commas can be read in two ways.
func (t *table) commas(rows [][]field) error {
	if t.comma && t.sep != ';' {
		var sample []byte
		for _, r := range rows {
			for _, f := range r {
				whole, decimals, ok := bytes.Cut(f.text, []byte(","))
				if !ok {
					continue
				}
				whole = bytes.TrimLeft(whole, "+-")
				if len(decimals) != 3 || len(whole) == 0 || len(whole) > 3 || whole[0] == '0' {
					return nil
				}
				sample = f.text
			}
		}
		return fmt.Errorf("%s may have a decimal comma or thousands set apart by one; write numbers with a decimal point and without marks of thousands", quoteText(sample))
	}
	if t.sep != ',' || t.nfields%2 != 0 || t.first {
		return nil
	}
	zeros := false
	for _, r := range rows {
		for j := 0; j+1 < len(r); j += 2 {
			if r[j].quoted || !integerText(r[j].text) || r[j+1].quoted || !integerText(r[j+1].text) || r[j+1].text[0] == '-' || r[j+1].text[0] == '+' {
				return nil
			}
			zeros = zeros || string(r[j].text) == "-0" || len(r[j+1].text) > 1 && r[j+1].text[0] == '0'
		}
	}
	if !zeros {
		return nil
	}
	return fmt.Errorf("the first line, %s,%s,…, looks like numbers with decimal commas; write decimal points, or separate fields by semicolons (if these are whole numbers, --columns 1-%d takes them so)",
		rows[0][0].text, rows[0][1].text, t.nfields)
}

// chooseColumns settles which columns are read.
func (t *table) chooseColumns(rows [][]field, list string, prefer []string) (err error) {
	if list != "" {
		t.chosen = true
		t.parse, err = pick(list, t.names, t.nfields)
		return err
	}
	if t.parse = t.named(prefer); t.parse != nil {
		t.chosen = true
		return nil
	}
	for j := range t.nfields {
		t.parse = append(t.parse, j)
	}
	empty := func(j int) bool {
		return !slices.ContainsFunc(rows, func(r []field) bool { return j >= len(r) || len(r[j].text) > 0 })
	}
	if j := t.nfields - 1; j > 0 && len(rows) > 0 && empty(j) && (t.names == nil || t.names[j] == "") {
		t.parse = t.parse[:j] // every line ends with a separator
	}
	if len(t.parse) > 1 && t.names != nil && t.names[0] == "" && len(rows) > 0 && !t.isNumber(rows[0][0]) {
		t.rowName, t.parse = true, t.parse[1:]
	}
	return nil
}

// named are the columns of these names; nil unless each name is that of one column.
func (t *table) named(names []string) (columns []int) {
	for _, name := range names {
		j := slices.Index(t.names, name)
		if j < 0 || name == "" || slices.Contains(t.names[j+1:], name) {
			return nil
		}
		columns = append(columns, j)
	}
	return columns
}

// read takes the numbers of all lines.
func (t *table) read(r io.Reader) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 1<<16), tableMaxLine)
	sc.Split(splitLine)
	var fields []field
	header := t.first
	for sc.Scan() {
		t.line++
		line := sc.Bytes()
		if t.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if text := bytes.TrimSpace(line); len(text) == 0 || text[0] == '#' {
			continue
		}
		if header {
			header = false
			continue
		}
		var err error
		if fields, err = t.split(fields[:0], line); err != nil {
			return fmt.Errorf("line %d: %w", t.line, err)
		}
		if err := t.row(fields); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return fmt.Errorf("line %d is longer than %d MiB", t.line+1, tableMaxLine>>20)
		}
		return err
	}
	if t.rows == 0 {
		return fmt.Errorf("no line of %d has numbers", t.line)
	}
	return t.missing.err(t)
}

// row takes the numbers of one line.
func (t *table) row(fields []field) error {
	if len(fields) != t.nfields {
		return fmt.Errorf("line %d has %s, the first has %d", t.line, count(len(fields), "field"), t.nfields)
	}
	gap := false
	for _, j := range t.parse {
		v, k := t.value(fields[j])
		switch {
		case k == kindText:
			return t.notANumber(fields, j)
		case k == kindMissing && !gap:
			gap = true
			t.missing.add(t, j, string(fields[j].text))
		case math.IsInf(v, 0):
			return fmt.Errorf("row %d, coordinate %d (line %d, %s) is %s; values must be finite, up to 1.8e308", t.rows, slices.Index(t.parse, j), t.line, columnName(t.names, j), fields[j].text)
		}
		t.x = append(t.x, v)
	}
	t.rows++
	return nil
}

// notANumber is the error of a field, with the columns that hold numbers in this line.
func (t *table) notANumber(fields []field, j int) error {
	var good []string
	for i, f := range fields {
		if t.isNumber(f) {
			good = append(good, strconv.Itoa(i+1))
			if t.names != nil && t.names[i] != "" {
				good[len(good)-1] = t.names[i]
			}
		}
	}
	hint := ""
	if len(good) > 0 && !t.chosen {
		hint = "; --columns " + strings.Join(good[:min(len(good), 8)], ",") + " takes the numbers of this line alone"
	} else if d := bytes.IndexByte(fields[j].text, ','); d >= 0 {
		hint = "; write it with a decimal point and without marks of thousands"
	}
	return fmt.Errorf("line %d, %s: %s is not a number (%s)%s", t.line, columnName(t.names, j), quoteText(fields[j].text), t.dialect, hint)
}

func (m *missingValues) add(t *table, column int, text string) {
	if m.rows == 0 {
		m.row, m.line, m.column, m.text = t.rows, t.line, column, text
	}
	m.rows++
}

func (m *missingValues) err(t *table) error {
	if m.rows == 0 {
		return nil
	}
	what := "empty"
	if m.text != "" {
		what = m.text + ", a missing value"
	}
	return fmt.Errorf("row %d, coordinate %d (line %d, %s) is %s; %s of %d with missing values: take them out, fill them in, or choose other columns with --columns",
		m.row, slices.Index(t.parse, m.column), m.line, columnName(t.names, m.column), what, count(m.rows, "row"), t.rows)
}

// count writes a number of things: 1 row, 2 rows.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
