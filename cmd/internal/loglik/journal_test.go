package loglik

import (
	"os"
	"path/filepath"
	"testing"
)

// A journal that cannot be written leaves no file behind, and goes on with what it has once it can be.
func TestJournalWithoutItsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json.part")
	j, err := OpenJournal(path, "a run", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o777); err != nil { // a folder stands where the file should
		t.Fatal(err)
	}
	if err := j.put("a", 1); err == nil {
		t.Error("a block is written over a folder")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("beside the folder there are %v (%v)", entries, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"b", "c"} {
		if err := j.put(key, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(false); err != nil {
		t.Fatal(err)
	}
	again, err := OpenJournal(path, "a run", true)
	if err != nil || again.Done() != 2 {
		t.Fatalf("%d blocks are kept, %v", again.Done(), err)
	}
	if got, err := Saved(again, "c", func() (int, error) { return 0, nil }); err != nil || got != 2 {
		t.Errorf("block c is %d, %v", got, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("beside the journal there are %v (%v)", entries, err)
	}
}
