package memory

import (
	"bufio"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits are the bounds on Linux that can be read.
func limits() []Limit {
	root := os.DirFS("/")
	out := append(system(root), groups(root)...)
	return append(out, resources(root)...)
}

// system is what the kernel says can be had without swapping.
func system(root fs.FS) []Limit {
	if v, ok := field(root, "proc/meminfo", "MemAvailable:"); ok {
		return []Limit{{1024 * v, "available"}}
	}
	return nil
}

// resources are the limits of setrlimit, less what is used of them.
func resources(root fs.FS) (out []Limit) {
	for _, r := range []struct {
		which        int
		used, source string
	}{{unix.RLIMIT_AS, "VmSize:", "ulimit -v"}, {unix.RLIMIT_DATA, "VmData:", "ulimit -d"}} {
		var v unix.Rlimit
		if unix.Getrlimit(r.which, &v) != nil || v.Cur == unix.RLIM_INFINITY {
			continue
		}
		used, _ := field(root, "proc/self/status", r.used)
		out = append(out, Limit{float64(v.Cur) - 1024*used, r.source})
	}
	return out
}

// groups are the limits of the control groups that the process is in, their parents included, less what is used of them and
// cannot be dropped. A container that sees its own group as the root has it at the mount point.
func groups(root fs.FS) (out []Limit) {
	f, err := root.Open("proc/self/cgroup")
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		part := strings.SplitN(lines.Text(), ":", 3) // number:controllers:path
		if len(part) != 3 {
			continue
		}
		base, max, used, cache, source := "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", "cgroup memory.max"
		if part[0] != "0" || part[1] != "" {
			if !strings.Contains(","+part[1]+",", ",memory,") {
				continue
			}
			base, max, used, cache, source = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "cgroup memory.limit_in_bytes"
		}
		for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) {
			at := path.Join(base, dir)
			if limit, ok := number(root, path.Join(at, max)); ok && limit < 1<<60 { // v1 writes 2⁶³ for none
				in, _ := number(root, path.Join(at, used))
				free, _ := field(root, path.Join(at, "memory.stat"), cache)
				out = append(out, Limit{limit - in + free, source})
			}
			if dir == "/" {
				break
			}
		}
	}
	return out
}

// number is the contents of a file that holds one number; "max" is none.
func number(root fs.FS, name string) (float64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// field is the number behind a name in a file of lines.
func field(root fs.FS, name, key string) (float64, bool) {
	f, err := root.Open(name)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) > 1 && w[0] == key {
			v, err := strconv.ParseFloat(w[1], 64)
			return v, err == nil
		}
	}
	return 0, false
}
