package shard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRangesTileTheItems(t *testing.T) {
	for _, n := range []int{1, 2, 6, 7, 8, 100, 10_000} {
		for _, count := range []int{1, 2, 3, 7, 16} {
			at, least, most := 0, n, 0
			for i := range count {
				from, to := Shard{Index: i, Count: count}.Range(n)
				if from != at || to < from {
					t.Fatalf("%d items, shard %d of %d: %d to %d begin not at %d", n, i, count, from, to, at)
				}
				at, least, most = to, min(least, to-from), max(most, to-from)
			}
			if at != n || most-least > 1 {
				t.Fatalf("%d items in %d shards end at %d, of lengths %d to %d", n, count, at, least, most)
			}
		}
	}
	if from, to := (Shard{}).Range(5); from != 0 || to != 5 {
		t.Fatalf("the whole job has items %d to %d of 5", from, to)
	}
}

func TestPaths(t *testing.T) {
	s := Shard{Index: 2, Count: 5}
	for in, want := range map[string]string{"a.npy": "a-shard2of5.npy", "x/a.b.json": "x/a.b-shard2of5.json", "pngs/": "pngs-shard2of5/", "": ""} {
		if got := s.Path(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := (Shard{}).Path("a.npy"); got != "a.npy" {
		t.Errorf("the whole job writes %q", got)
	}
	for in, want := range map[string]string{"a.npy": "a.json", "pngs/": "pngs.json"} {
		if got := Beside(in, ".json"); got != want {
			t.Errorf("beside %q is %q, want %q", in, got, want)
		}
	}
}

func TestLaunchers(t *testing.T) {
	for _, c := range []struct {
		env    string
		count  int
		want   string // the value of --shard, or part of the error
		source string
	}{
		{"SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=7 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=6", 0, "3/7", "a Slurm array"},
		{"SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=7 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 SLURM_PROCID=0 SLURM_NTASKS=1", 0, "2/7", "a Slurm array"},
		{"SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=5", 7, "5/7", "a Slurm array"},
		{"SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=5", 0, "gaps", ""},
		{"SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_COUNT=9", 7, "part 9 of 7", ""},
		{"SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1", 0, "one of several processes", ""},
		{"SLURM_PROCID=1 SLURM_NTASKS=4", 0, "1/4", "srun"},
		{"SLURM_PROCID=1 SLURM_NTASKS=4", 5, "--shards is 5", ""},
		{"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 SLURM_PROCID=0 SLURM_NTASKS=1", 0, "0/2", "OpenMPI"},
		{"PMI_RANK=2 PMI_SIZE=3", 0, "2/3", "PMI"},
		{"JOB_COMPLETION_INDEX=4", 6, "4/6", "Kubernetes"},
		{"JOB_COMPLETION_INDEX=4", 0, "--shards N", ""},
		{"JOB_COMPLETION_INDEX=6", 6, "part 6 of 6", ""},
		{"PMI_RANK=x PMI_SIZE=3", 0, "no number", ""},
		{"PMI_RANK=1", 0, "without PMI_SIZE", ""},
		{"PATH=/bin", 0, "none of the launchers' variables", ""},
	} {
		env := map[string]string{}
		for _, pair := range strings.Fields(c.env) {
			k, v, _ := strings.Cut(pair, "=")
			env[k] = v
		}
		got, err := fromLauncher(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, c.count)
		switch {
		case err != nil && (c.source != "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s, --shards %d: %v; want %s", c.env, c.count, err, c.want)
		case err == nil && (got.Flag() != c.want || c.source == "" || !strings.Contains(got.Source, c.source)):
			t.Errorf("%s, --shards %d: %s by %s; want %s by %s", c.env, c.count, got.Flag(), got.Source, c.want, c.source)
		}
	}
}

func TestFlag(t *testing.T) {
	for _, text := range []string{"", "3", "a/b", "5/5", "-1/5", "1/0", "0/5/2"} {
		if s, err := parse(text); err == nil {
			t.Errorf("--shard %q is %v; want an error", text, s)
		}
	}
	if s, err := parse("4/5"); err != nil || s.Index != 4 || s.Count != 5 {
		t.Errorf("4/5 is %v, %v", s, err)
	}
	f := Flags{count: 3}
	if f.Parse() == nil {
		t.Error("--shards without --shard is not refused")
	}
}

// A file that is replaced while it is read, or before it is read again, is refused; one that is replaced later keeps its first hash.
func TestInputs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	read := func(in *Inputs, during string) error {
		_, err := Input(in, path, HashModel, func() (string, error) {
			if during != "" {
				write(during)
			}
			return during, nil
		})
		return err
	}
	write("a")
	in := &Inputs{sums: map[string]string{}}
	first, _ := Hash(path)
	if err := read(in, ""); err != nil {
		t.Fatal(err)
	}
	write("b")
	if sum, err := in.Sum(path, Hash); err != nil || sum != first {
		t.Errorf("the hash became %.8s, %v; it was %.8s", sum, err, first)
	}
	for name, err := range map[string]error{"read again": read(in, ""), "replaced meanwhile": read(&Inputs{sums: map[string]string{}}, "c")} {
		if err == nil || !strings.Contains(err.Error(), "was replaced while this shard read it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := read(nil, "d"); err != nil {
		t.Errorf("of a job that is not divided: %v", err)
	}
}

// The hash of a folder is that of the model in it, and not of what training and other commands keep there.
func TestHashModelFolder(t *testing.T) {
	dir := t.TempDir()
	sums := map[string]int{}
	for _, name := range []string{"model.safetensors", "config.json", "state.safetensors", "own-h0.5.safetensors"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
		sum, err := HashModel(dir)
		if err != nil {
			t.Fatal(err)
		}
		sums[sum]++
	}
	if len(sums) != 2 {
		t.Errorf("%d hashes of a model, a description and two other files; want 2", len(sums))
	}
}

// One process may claim the folders of several runs, whose names have dots, at one time, but each only once.
func TestClaimFolders(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, ".x-h0.3-shard0of2.json.tmp-1-1") // of a manifest
	if err := os.WriteFile(stale, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x-h0.3-shard0of2/", "x-h0.5-shard0of2/", "out.v1-shard0of2/", "out.v1-shard1of2/", "x-h0.3-shard1of2.npy"} {
		release, err := Claim(dir + "/" + name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer release()
		if _, err := Claim(dir + "/" + name); err == nil || !strings.Contains(err.Error(), "is being written by process") {
			t.Errorf("%s a second time: %v", name, err)
		}
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the temporary file of a manifest is left")
	}
}
