package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

// logName is the log of cmd/train in the directory of a run.
const logName = "train.jsonl"

// record is a line of the log.
type record struct {
	Step int64   `json:"step"`
	Loss float64 `json:"loss"`
}

// historyLines is the most records of a log that are kept, evenly spaced.
const historyLines = 100

// history reads the log of the training run that a checkpoint lies in, if it lies in one. Lines that are no records, such as one
// that is being written, and losses that are not finite are left out.
func history(checkpoint string) []record {
	dir := checkpoint
	if st, err := os.Stat(checkpoint); err == nil && !st.IsDir() {
		dir = filepath.Dir(checkpoint)
	}
	f, err := os.Open(filepath.Join(dir, logName))
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []record
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Step > 0 {
			all = append(all, r)
		}
	}
	return thin(all, historyLines)
}

// thin keeps n records or fewer, evenly spaced, the last among them.
func thin(all []record, n int) []record {
	if len(all) <= n {
		return all
	}
	kept := make([]record, 0, n)
	for i := range n {
		kept = append(kept, all[(i+1)*len(all)/n-1])
	}
	return slices.Clip(kept)
}
