package dynamics

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// maxLine bounds a line of a .csv file.
const maxLine = 16 << 20

// csvColumns says which column means what.
type csvColumns struct {
	time, trajectory int // or −1
	outputs          []int
	names            []string
	width            int
}

func readCSV(path string, o ReadOptions) (*Data, error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 1<<16), maxLine)
	var cols *csvColumns
	d := &Data{}
	index := map[string]int{} // of the record of each trajectory
	line := 0
	for sc.Scan() {
		line++
		text := strings.TrimSpace(strings.TrimPrefix(sc.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Split(text, ",")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if cols == nil {
			header := false
			cols, header = columns(fields)
			if len(cols.outputs) == 0 {
				return nil, fmt.Errorf("line %d has no column of outputs", line)
			}
			d.P, d.Names, d.Timed = len(cols.outputs), cols.names, cols.time >= 0
			if header {
				continue
			}
		}
		if len(fields) != cols.width {
			return nil, fmt.Errorf("line %d has %d fields, the first has %d", line, len(fields), cols.width)
		}
		id := ""
		if cols.trajectory >= 0 {
			id = fields[cols.trajectory]
		}
		k, ok := index[id]
		if !ok {
			k, index[id] = len(d.Records), len(d.Records)
			d.Records = append(d.Records, Record{})
		}
		r := &d.Records[k]
		t := o.Dt * float64(r.Len())
		if cols.time >= 0 {
			if t, err = number(fields[cols.time]); err != nil || t != t {
				return nil, fmt.Errorf("line %d: %q is not a time", line, fields[cols.time])
			}
			if n := r.Len(); n > 0 && t <= r.Times[n-1] {
				return nil, fmt.Errorf("line %d: times should increase, and %g follows %g%s", line, t, r.Times[n-1], of(id))
			}
		}
		r.Times = append(r.Times, t)
		for _, j := range cols.outputs {
			v, err := number(fields[j])
			if err != nil {
				return nil, fmt.Errorf("line %d, field %d: %q is not a number", line, j+1, fields[j])
			}
			r.X = append(r.X, v)
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("line %d is longer than %d MiB", line+1, maxLine>>20)
		}
		return nil, err
	}
	if len(d.Records) == 0 {
		return nil, fmt.Errorf("no line of %d has numbers", line)
	}
	return d, nil
}

// of names a trajectory that has a name.
func of(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf(" in trajectory %q", id)
}

// number reads a field; what is empty or says so was not observed.
func number(s string) (float64, error) {
	switch strings.ToLower(s) {
	case "", "na", "nan", "null", "none":
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // infinity, which Validate names
	}
	return v, err
}

// columns takes the first line for a header if some field of it is not a number.
func columns(fields []string) (c *csvColumns, header bool) {
	c = &csvColumns{time: -1, trajectory: -1, width: len(fields)}
	for _, f := range fields {
		if _, err := number(f); err != nil {
			header = true
		}
	}
	for i, f := range fields {
		name := strings.ToLower(strings.Trim(f, `"`))
		switch {
		case header && c.time < 0 && slices.Contains([]string{"t", "time", "times"}, name):
			c.time = i
		case header && c.trajectory < 0 && slices.Contains([]string{"trajectory", "traj", "id", "record", "series"}, name):
			c.trajectory = i
		default:
			c.outputs = append(c.outputs, i)
			if header {
				c.names = append(c.names, strings.Trim(f, `"`))
			}
		}
	}
	return c, header
}
