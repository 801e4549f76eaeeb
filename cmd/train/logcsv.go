package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"

	"hbar/internal/atomicfile"
)

// csvLog is the log as a table: a header, and a row for each line of train.jsonl.
type csvLog struct {
	file    *os.File
	columns []string
}

// openCSV begins the table with rows for the lines of the log that there are.
func openCSV(path string, columns []string, lines []record) (*csvLog, error) {
	rows := [][]string{columns}
	for _, r := range lines {
		row, err := csvRow(columns, r.line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		rows = append(rows, row)
	}
	if err := atomicfile.WriteFile(path, csvText(rows)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return &csvLog{f, columns}, err
}

// Write takes a line of the log.
func (c *csvLog) Write(line []byte) (int, error) {
	row, err := csvRow(c.columns, line)
	if err != nil {
		return 0, err
	}
	if _, err := c.file.Write(csvText([][]string{row})); err != nil {
		return 0, err
	}
	return len(line), nil
}

// csvRow is an object of JSON as a row. What the object lacks is empty.
func csvRow(columns []string, line []byte) ([]string, error) {
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(line, &values); err != nil {
		return nil, err
	}
	row := make([]string, len(columns))
	for i, name := range columns {
		row[i] = string(bytes.Trim(values[name], `"`)) // NaN and infinities are strings in JSON
	}
	return row, nil
}

func csvText(rows [][]string) []byte {
	var b bytes.Buffer
	_ = csv.NewWriter(&b).WriteAll(rows) // a Buffer takes everything
	return b.Bytes()
}
