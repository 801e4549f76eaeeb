package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loadTable reads a text as a.csv.
func loadTable(t *testing.T, text string, o Options) (*Dataset, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadWith(path, o)
}

// notes joins the notes of one label.
func notes(s *Dataset, label string) string {
	var out []string
	for _, n := range s.Notes {
		if n.Label == label {
			out = append(out, n.Text)
		}
	}
	return strings.Join(out, "; ")
}

// One table, as many programs write it: values, names of columns and the notes are those of a person who looks at it.
func TestTables(t *testing.T) {
	values := []float64{2.5, -1.25, 4.5, -1.5, 0.081, 0.5, 3.25, 7}
	for _, c := range []struct {
		name, text string
		columns    []string
		header     string
	}{
		{"plain", "2.5,-1.25\n4.5,-1.5\n0.081,0.5\n3.25,7\n", nil, "none"},
		{"pandas without index", "x,y\n2.5,-1.25\n4.5,-1.5\n0.081,0.5\n3.25,7\n", []string{"x", "y"}, "x, y"},
		{"pandas", ",x,y\n0,2.5,-1.25\n1,4.5,-1.5\n2,0.081,0.5\n3,3.25,7\n", []string{"x", "y"}, `"", x, y`},
		{"pandas, shuffled", ",x,y\n7,2.5,-1.25\n3,4.5,-1.5\n9,0.081,0.5\n1,3.25,7.0\n", []string{"x", "y"}, `"", x, y`},
		{"pandas, columns without names", "0,1\n2.5,-1.25\n4.5,-1.5\n0.081,0.5\n3.25,7.0\n", []string{"0", "1"}, "0, 1"},
		{"pandas, neither names nor index title", ",0,1\n0,2.5,-1.25\n1,4.5,-1.5\n2,0.081,0.5\n3,3.25,7\n", []string{"0", "1"}, `"", 0, 1`},
		{"pandas, columns without names, one of them whole", "0,1\n2.5,-1.25\n4.5,-1.5\n0.081,0.5\n3.25,7\n", []string{"0", "1"}, "0, 1"},
		{"pandas twice", "Unnamed: 0,x,y\n0,2.5,-1.25\n1,4.5,-1.5\n2,0.081,0.5\n3,3.25,7\n", []string{"x", "y"}, "Unnamed: 0, x, y"},
		{"reset_index", "index,x,y\n4,2.5,-1.25\n5,4.5,-1.5\n8,0.081,0.5\n9,3.25,7\n", []string{"x", "y"}, "index, x, y"},
		{"pandas without header", "0,2.5,-1.25\n1,4.5,-1.5\n2,0.081,0.5\n3,3.25,7\n", nil, "none"},
		{"pandas, rows with names", ",x,y\na,2.5,-1.25\nb,4.5,-1.5\nc,0.081,0.5\nd,3.25,7\n", []string{"x", "y"}, `"", x, y`},
		{"R write.csv", "\"\",\"x\",\"y\"\n\"1\",2.5,-1.25\n\"2\",4.5,-1.5\n\"3\",0.081,0.5\n\"4\",3.25,7\n", []string{"x", "y"}, `"", x, y`},
		{"R write.table", "\"x\" \"y\"\n\"1\" 2.5 -1.25\n\"2\" 4.5 -1.5\n\"3\" 0.081 0.5\n\"4\" 3.25 7\n", []string{"x", "y"}, `"", x, y`},
		{"R write.csv2", "\"x\";\"y\"\n2,5;-1,25\n4,5;-1,5\n0,081;0,5\n3,25;7\n", []string{"x", "y"}, "x, y"},
		{"semicolons", "x;y\n2.5;-1.25\n4.5;-1.5\n0.081;0.5\n3.25;7\n", []string{"x", "y"}, "x, y"},
		{"semicolons without header", "2,5;-1,25\n4,5;-1,5\n0,081;0,5\n3,25;7\n", nil, "none"},
		{"tabs", "x\ty\n2.5\t-1.25\n4.5\t-1.5\n0.081\t0.5\n3.25\t7\n", []string{"x", "y"}, "x, y"},
		{"tabs, decimal commas", "x\ty\n2,5\t-1,25\n4,5\t-1,5\n0,081\t0,5\n3,25\t7\n", []string{"x", "y"}, "x, y"},
		{"blanks", "x y\n2.5 -1.25\n4.5 -1.5\n 0.081  0.5\n3.25 7\n", []string{"x", "y"}, "x, y"},
		{"blanks, decimal commas", "2,5 -1,25\n4,5 -1,5\n0,081 0,5\n3,25 7\n", nil, "none"},
		{"bars", "x|y\n2.5|-1.25\n4.5|-1.5\n0.081|0.5\n3.25|7\n", []string{"x", "y"}, "x, y"},
		{"numpy.savetxt", "# x y\n2.5e+00 -1.25e+00\n4.5e+00 -1.5e+00\n8.1e-02 5.0e-01\n3.25e+00 7e+00\n", []string{"x", "y"}, "x, y, from the comment above"},
		{"quotes", "\"x\",\"y\"\n\"2.5\",\"-1.25\"\n\"4.5\",\"-1.5\"\n\"0.081\",\"0.5\"\n\"3.25\",\"7\"\n", []string{"x", "y"}, "x, y"},
		{"single quotes", "'x','y'\n'2.5','-1.25'\n'4.5','-1.5'\n'0.081','0.5'\n'3.25','7'\n", []string{"x", "y"}, "x, y"},
		{"quotes, decimal commas", "\"x, m\",\"y\"\n\"2,5\",\"-1,25\"\n\"4,5\",\"-1,5\"\n\"0,081\",\"0,5\"\n\"3,25\",\"7\"\n", []string{"x, m", "y"}, "x, m, y"},
		{"old Mac", "x,y\r2.5,-1.25\r4.5,-1.5\r0.081,0.5\r3.25,7", []string{"x", "y"}, "x, y"},
		{"separators at the ends", "x,y,\n2.5,-1.25,\n4.5,-1.5,\n0.081,0.5,\n3.25,7,\n", []string{"x", "y"}, `x, y, ""`},
		{"separators at the ends but in the header", "x,y\n2.5,-1.25,\n4.5,-1.5,\n0.081,0.5,\n3.25,7,\n", []string{"x", "y"}, `x, y, ""`},
		{"years above numbers and a name", "x,2020\n2.5,-1.25\n4.5,-1.5\n0.081,0.5\n3.25,7\n", []string{"x", "2020"}, "x, 2020"},
		{"typeset minus", "x,y\n2.5,−1.25\n4.5,−1.5\n0.081,0.5\n3.25,7\n", []string{"x", "y"}, "x, y"},
	} {
		s, err := loadTable(t, c.text, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(s.X, values) || s.D != 2 || !slices.Equal(s.Columns, c.columns) || notes(s, "header") != c.header {
			t.Errorf("%s: values %v, columns %q, header %q", c.name, s.X, s.Columns, notes(s, "header"))
		}
	}
}

// What may be read in two ways, and what is no table of numbers, is refused with what was found and what to do.
func TestTablesRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"missing first", "NA,NA\n1.5,2\n2,3\n", "row 0, coordinate 0 (line 1, column 1) is NA, a missing value; 1 row of 3"},
		{"missing under a header", "x,y\n1.5,2\n,3\n4,NULL\n", "row 1, coordinate 0 (line 3, column 1 (x)) is empty; 2 rows of 3"},
		{"R's missing values", "\"x\",\"y\"\n1,NA\n2,3\n", "column 2 (y)) is NA"},
		{"decimal commas under a header", "x,y\n2,339,-1,429\n4,501,-1,313\n", "the header has 2 names (x, y), the line below has 4 fields: decimal commas?"},
		{"decimal commas, one column", "x\n2,339\n4,501\n", "the header has 1 name (x), the line below has 2 fields: decimal commas?"},
		{"decimal commas without header", "2,339,-1,429\n4,081,-0,313\n", "decimal commas"},
		{"decimals or thousands", "\"x\",\"y\"\n\"76,189\",\"12,500\"\n\"40,610\",\"13,100\"\n", "thousands"},
		{"thousands", "x;y\n1.234,5;2,5\n1.100,5;3,5\n", "the header has 1 name (x;y), the line below has 3 fields"},
		{"whole numbers under whole numbers", "0,1\n5,3\n2,8\n", "may be the names of columns or a sample"},
		{"whole numbers, some of them counting", "0,1\n5,6\n2,8\n", "may be the names of columns or a sample"},
		{"counted names of many columns", "5,6,7\n1,9,3\n2,2,8\n", "may be the names of columns or a sample"},
		{"years", "2019,2020\n1.5,2.5\n2.5,3.5\n", "may be the names of columns or a sample"},
		{"words", "x,y,kind\n1,2,setosa\n3,4,setosa\n", `line 2, column 3 (kind): "setosa" is not a number (fields separated by commas); --columns x,y`},
		{"two header lines", "x,y\nm,s\n1,2\n", `line 2, column 1 (x): "m" is not a number`},
		{"dates", "t,x\n2020-01-01,2.5\n2020-01-02,3.5\n", `"2020-01-01" is not a number`},
		{"percent", "1%,2\n3%,4\n", `"1%" is not a number`},
		{"open quote", "x,y\n\"1,2\n", "a quote is not closed"},
		{"UTF-16", "\xff\xfex\x00,\x00", "UTF-16"},
		{"too large", "x\n1\n2\n1e400\n", "row 2, coordinate 0 (line 4, column 1 (x)) is 1e400"},
	} {
		if s, err := loadTable(t, c.text, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want an error with %q", c.name, s, err, c.want)
		}
	}
}

func TestColumnsAndHeader(t *testing.T) {
	const index = ",x,y\n0,2.5,-1.25\n1,4.5,-1.5\n2,0.5,9\n"
	for _, c := range []struct {
		text  string
		o     Options
		want  []float64
		names []string
	}{
		{index, Options{Columns: "y,x"}, []float64{-1.25, 2.5, -1.5, 4.5, 9, 0.5}, []string{"y", "x"}},
		{index, Options{Columns: "1-2"}, []float64{0, 2.5, 1, 4.5, 2, 0.5}, []string{"", "x"}},
		{index, Options{Columns: "3"}, []float64{-1.25, -1.5, 9}, []string{"y"}},
		{"0,1\n5,3\n2,8\n", Options{Header: HeaderYes}, []float64{5, 3, 2, 8}, []string{"0", "1"}},
		{"0,1\n5,3\n2,8\n", Options{Header: HeaderNo}, []float64{0, 1, 5, 3, 2, 8}, nil},
		{"0,1\n2.5,3.5\n2.5,8.5\n", Options{Header: HeaderNo}, []float64{0, 1, 2.5, 3.5, 2.5, 8.5}, nil},
		{"0,1\n1,0\n0,1\n1,1\n", Options{}, []float64{0, 1, 1, 0, 0, 1, 1, 1}, nil},
		{"0,0\n2.5,3.5\n2.5,8.5\n", Options{}, []float64{0, 0, 2.5, 3.5, 2.5, 8.5}, nil}, // a path that begins at the origin
		{"2,081\n3,310\n", Options{Columns: "1-2"}, []float64{2, 81, 3, 310}, nil},
		{"x,y,kind\n1,2,setosa\n3,4,setosa\n", Options{Columns: "x,y"}, []float64{1, 2, 3, 4}, []string{"x", "y"}},
		{"x,y\n1,NA\n3,4\n", Options{Columns: "x"}, []float64{1, 3}, []string{"x"}},
	} {
		s, err := loadTable(t, c.text, c.o)
		if err != nil || !slices.Equal(s.X, c.want) || !slices.Equal(s.Columns, c.names) {
			t.Errorf("%q with %+v: %+v, %v; want %v, %q", c.text, c.o, s, err, c.want, c.names)
		}
	}
	for columns, want := range map[string]string{"z": `no column "z"; have "", x, y`, "4": "no column 4", "0": "numbered from 1", "x,x": "named twice", "3-2": "no column 3-2", "": ""} {
		if _, err := loadTable(t, index, Options{Columns: columns}); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("--columns %q: %v; want %q", columns, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "a.npy")
	if err := WriteNpy(path, Float64, []float64{1, 2, 3, 4, 5, 6}, 3); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadWith(path, Options{Columns: "3,1"}); err != nil || !slices.Equal(s.X, []float64{3, 1, 6, 4}) || s.D != 2 {
		t.Errorf("columns of an array: %+v, %v", s, err)
	}
	if _, err := LoadWith("swissroll", Options{Columns: "1"}); err == nil {
		t.Error("columns of a built-in set")
	}
}

// The files of the kinds that were misread.
func TestTableFiles(t *testing.T) {
	for name, first := range map[string]float64{"numeric-header.csv": 2.339, "index-column.csv": 2.339, "semicolon.csv": 2.339, "people.csv": 49, "large-offset.csv": 1000000002.7441} {
		s, err := byPath(filepath.Join("testdata", name), Options{})
		if err != nil || s.D != 2 || s.X[0] != first || len(s.Columns) != 2 {
			t.Errorf("%s: %v, %v", name, s, err)
			continue
		}
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); s.N() != lines-1 {
			t.Errorf("%s: %d samples of %d lines", name, s.N(), lines)
		}
	}
	s, err := byPath(filepath.Join("testdata", "index-column.csv"), Options{})
	if err != nil || !strings.Contains(notes(s, "columns"), "x, y; column 1, which counts the rows, is left out") {
		t.Errorf("index column: %v, %v", s.Notes, err)
	}
}

// A column with a name that counts the rows stays, with a warning.
func TestCountingColumn(t *testing.T) {
	s, err := loadTable(t, "year,x\n1,2.5\n2,3.5\n3,1.5\n", Options{})
	if err != nil || s.D != 2 || !strings.Contains(notes(s, "warning"), "column 1 (year) counts the rows") {
		t.Errorf("%+v, %v", s, err)
	}
}

// A table of one line that is longer than the preview.
func TestLongLines(t *testing.T) {
	const d = 300_000
	var b strings.Builder
	for range 2 {
		for j := range d {
			fmt.Fprintf(&b, "%d.5 ", j%7)
		}
		b.WriteByte('\n')
	}
	s, err := loadTable(t, b.String(), Options{})
	if err != nil || s.D != d || s.N() != 2 {
		t.Errorf("%v", err)
	}
}

// Names of columns are shown on terminals: what would control one, and bytes of another encoding, are replaced.
func TestPrintableNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(path, []byte("a\x1b[31m,gr\xf6\xdfe\n1,2\n3,5\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := byPath(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a�[31m", "gr��e"}; !slices.Equal(s.Columns, want) {
		t.Errorf("columns %q, want %q", s.Columns, want)
	}
}
