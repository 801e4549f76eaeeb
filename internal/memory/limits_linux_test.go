package memory

import (
	"testing"
	"testing/fstest"
)

// Each limit is found where the kernel writes it: groups of both versions, with their parents, as a process sees them from within
// and without a container.
func TestLimits(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  []Limit
	}{
		{"v2 in a container", fstest.MapFS{
			"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1000000\n"), "sys/fs/cgroup/memory.current": file("300000\n"),
			"sys/fs/cgroup/memory.stat": file("anon 5\ninactive_file 100000\n"),
		}, []Limit{{800000, "cgroup memory.max"}}},
		{"v2 with a parent", fstest.MapFS{
			"proc/self/cgroup": file("0::/user.slice/job\n"), "sys/fs/cgroup/user.slice/job/memory.max": file("max\n"),
			"sys/fs/cgroup/user.slice/memory.max": file("5000\n"), "sys/fs/cgroup/user.slice/memory.current": file("1000\n"),
		}, []Limit{{4000, "cgroup memory.max"}}},
		{"v1", fstest.MapFS{
			"proc/self/cgroup": file("3:cpu,cpuacct:/x\n4:memory:/docker/1\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("7000\n"),
			"sys/fs/cgroup/memory/memory.usage_in_bytes": file("6000\n"), "sys/fs/cgroup/memory/memory.stat": file("total_inactive_file 500\n"),
		}, []Limit{{1500, "cgroup memory.limit_in_bytes"}}},
		{"v1 without a limit", fstest.MapFS{
			"proc/self/cgroup": file("4:memory:/\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n"),
		}, nil},
		{"neither", fstest.MapFS{}, nil},
	} {
		got := groups(c.files)
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	got := system(fstest.MapFS{"proc/meminfo": file("MemTotal:  100 kB\nMemAvailable:   50 kB\n")})
	if len(got) != 1 || got[0] != (Limit{51200, "available"}) {
		t.Errorf("meminfo: %v", got)
	}
	if l := Available(); !(l.Bytes > 0) {
		t.Errorf("this machine has %v", l)
	}
}
