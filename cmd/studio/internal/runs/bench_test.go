package runs_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hbar/cmd/studio/internal/runs"
)

// BenchmarkLog is a log of a million lines: read for the first time, and looked at again.
func BenchmarkLog(b *testing.B) {
	dir := b.TempDir()
	f, err := os.Create(filepath.Join(dir, "train.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := 1; i <= 1_000_000; i++ {
		fmt.Fprintf(w, `{"step":%d,"loss":%g,"lr":0.001,"grad_norm":%g,"per_second":434.1,"seconds":%g}`+"\n", i, 1/float64(i), 2/float64(i), float64(i)/434.1)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	f.Close()
	look := func(s *runs.Store) {
		info, err := s.Log(b.Context(), ".")
		if err != nil || info.Rows != 1_000_000 {
			b.Fatal(info.Rows, err)
		}
		if _, err := s.Views(b.Context(), ".", info.Columns, 1, 0, 700); err != nil {
			b.Fatal(err)
		}
	}
	open := func() *runs.Store {
		s, err := runs.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			look(open())
		}
	})
	b.Run("again", func(b *testing.B) {
		s := open()
		look(s)
		for b.Loop() {
			look(s)
		}
	})
}
