// Command report prints the table at the end of `make gpu-check`'s run.sh from the files that it left: what was tested,
// every benchmark, the jobs beside PyTorch and JAX, and the goals.
//
//	report DIR
//
// Exit status 1 if a test failed, or none ran on a device.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: report DIR")
		os.Exit(2)
	}
	ok, err := report(os.Stdout, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func report(w io.Writer, dir string) (ok bool, err error) {
	machine, err := os.ReadFile(filepath.Join(dir, "machine.txt"))
	if err != nil {
		return false, err
	}
	fmt.Fprintf(w, "%s\n", machine)
	tests, err := parity(w, dir)
	if err != nil {
		return false, err
	}
	bench, err := read(dir, "bench.txt", parseBench)
	if err != nil {
		return false, err
	}
	rates(w, bench)
	peers, err := read(dir, "peers.jsonl", parsePeers)
	if err != nil {
		return false, err
	}
	beside(w, bench, peers)
	results{bench, peers}.judge(w)
	if _, err := os.Stat(filepath.Join(dir, "nodevice.txt")); err == nil {
		fmt.Fprintln(w, "FAIL: no device was used")
		return false, nil
	}
	fmt.Fprintln(w, map[bool]string{true: "PASS", false: "FAIL"}[tests])
	return tests, nil
}

// read parses a file of the run; one that is missing is empty, because a run may end early.
func read[T any](dir, name string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		return parse(strings.NewReader(""))
	}
	if err != nil {
		return *new(T), err
	}
	defer f.Close()
	v, err := parse(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

// parity prints the files tests-*.tsv (name, exit status, seconds, log), with the numbers of tests from the logs.
func parity(w io.Writer, dir string) (ok bool, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "tests-*.tsv"))
	if err != nil {
		return false, err
	}
	var b []byte
	for _, f := range files {
		part, err := os.ReadFile(f)
		if err != nil {
			return false, err
		}
		b = append(b, part...)
	}
	ok = true
	fmt.Fprintf(w, "%-34s %-6s %8s %8s %9s\n", "tests", "", "passed", "skipped", "seconds")
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return false, fmt.Errorf("tests: %q has %d fields; want 4", line, len(f))
		}
		log, _ := os.ReadFile(filepath.Join(dir, filepath.Base(f[3])))
		verdict := "PASS"
		switch f[1] {
		case "0":
		case "124":
			verdict, ok = "TIME", false
		default:
			verdict, ok = "FAIL", false
		}
		passed, skipped := strings.Count(string(log), "--- PASS: "), strings.Count(string(log), "--- SKIP: ")
		fmt.Fprintf(w, "%-34s %-6s %8d %8d %9s\n", f[0], verdict, passed, skipped, f[2])
	}
	fmt.Fprintln(w)
	return ok, nil
}

// benchmark is one benchmark's repeats: values by unit, "ns/op" among them.
type benchmark struct {
	name   string
	values map[string][]float64
}

// median is the middle value, or the mean of the two in the middle; 0 without values.
func (b benchmark) median(unit string) float64 {
	v := slices.Sorted(slices.Values(b.values[unit]))
	if len(v) == 0 {
		return 0
	}
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// parseBench reads the output of Go benchmarks, in order, repeats joined.
func parseBench(r io.Reader) ([]benchmark, error) {
	var all []benchmark
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(f[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i >= 0 { // GOMAXPROCS
			name = name[:i]
		}
		k := slices.IndexFunc(all, func(b benchmark) bool { return b.name == name })
		if k < 0 {
			k, all = len(all), append(all, benchmark{name, map[string][]float64{}})
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", s.Text(), err)
			}
			all[k].values[f[i+1]] = append(all[k].values[f[i+1]], v)
		}
	}
	return all, nil
}

func rates(w io.Writer, bench []benchmark) {
	fmt.Fprintf(w, "%-66s %12s %8s  %s\n", "benchmark, medians", "time", "spread", "rates")
	for _, b := range bench {
		v := b.values["ns/op"]
		if len(v) == 0 {
			continue
		}
		ns := b.median("ns/op")
		fmt.Fprintf(w, "%-66s %12s %7.1f%% ", b.name, duration(ns), 100*(slices.Max(v)-slices.Min(v))/ns)
		for _, unit := range slices.Sorted(maps.Keys(b.values)) {
			if unit != "ns/op" && unit != "B/op" && unit != "allocs/op" {
				fmt.Fprintf(w, " %s", number(b.median(unit), unit))
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// duration writes nanoseconds with four digits.
func duration(ns float64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= u.ns {
			return fmt.Sprintf("%.4g %s", ns/u.ns, u.name)
		}
	}
	return fmt.Sprintf("%.4g ns", ns)
}

func number(v float64, unit string) string {
	if share, ok := strings.CutPrefix(unit, "%"); ok {
		return fmt.Sprintf("%.1f%% %s", v, strings.ReplaceAll(share, "-", " "))
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

// peer is a line of scripts/torch_peer.py or jax_peer.py.
type peer struct {
	Job, How, Unit, Torch, Jax string
	Rate                       float64
	Error                      *float64 // of a result, where it is known; beside it what is accurate enough, and the error of ours
	Enough                     float64
	OurError                   float64 `json:"our_error"`
	missing                    string  // the line, if it is none of numbers
}

func (p peer) name() string {
	if p.Jax != "" {
		return "JAX " + p.Jax + ", " + p.How
	}
	return "PyTorch " + p.Torch + ", " + p.How
}

func parsePeers(r io.Reader) ([]peer, error) {
	var all []peer
	for s := bufio.NewScanner(r); s.Scan(); {
		var p peer
		if err := json.Unmarshal(s.Bytes(), &p); err != nil {
			p = peer{missing: s.Text()}
		}
		all = append(all, p)
	}
	return all, nil
}

// jobs joins a peer's job with the benchmarks that do the same, by the beginnings of their names.
var jobs = []struct{ job, unit, bench string }{
	{"sample", "sample-steps/s", "Sampler/fp32/D=2/width=128/silu/"},
	{"sample", "sample-steps/s", "Sampler/f16/D=2/width=128/silu/"},
	{"train", "steps/s", "TrainStep/2-[128_128_128]-silu/"},
	{"scorediv", "evaluations/s", "Flow/D=2/width=128/warpgroups/"},
	{"sample/unet-cifar10/bf16", "samples/s", "Networks/sample/unet-cifar10/bf16/"},
	{"sample/unet-cifar10/tf32", "samples/s", "Networks/sample/unet-cifar10/tf32/"},
	{"sample/dit-s2/tf32", "samples/s", "Networks/sample/dit-s2/tf32/"},
	{"train/unet-cifar10/tf32", "samples/s", "Networks/train/unet-cifar10/tf32/"},
	{"train/dit-s2/tf32", "samples/s", "Networks/train/dit-s2/tf32/"},
	{"sample/dit-s2/bf16", "samples/s", "Networks/sample/dit-s2/bf16/"},
	{"train/unet-cifar10/bf16", "samples/s", "Networks/train/unet-cifar10/bf16/"},
	{"train/dit-s2/bf16", "samples/s", "Networks/train/dit-s2/bf16/"},
	{"flow", "points/s", "Likelihood/flow"},
	{"wkb", "points/s", "Likelihood/wkb"},
}

func beside(w io.Writer, bench []benchmark, peers []peer) {
	fmt.Fprintf(w, "%-26s %-44s %12s  %-44s %12s %8s\n", "job", "beside", "rate", "ours", "rate", "ratio")
	for _, p := range slices.SortedStableFunc(slices.Values(peers), func(a, b peer) int { return cmp.Compare(a.Job, b.Job) }) {
		if p.missing != "" {
			continue
		}
		for _, j := range jobs {
			i := slices.IndexFunc(bench, func(b benchmark) bool { return strings.HasPrefix(b.name, j.bench) && b.values[j.unit] != nil })
			if j.job != p.Job || i < 0 || !(p.Rate > 0) {
				continue
			}
			rate := bench[i].median(j.unit)
			fmt.Fprintf(w, "%-26s %-44s %12.4g  %-44s %12.4g %8.2f\n", p.Job, p.name(), p.Rate, bench[i].name, rate, rate/p.Rate)
			if p.Error != nil {
				fmt.Fprintf(w, "%-26s error of the result %.2g, of ours %.2g\n", "", *p.Error, p.OurError)
			}
		}
	}
	for _, p := range peers {
		if p.missing != "" {
			fmt.Fprintln(w, p.missing)
		}
	}
	fmt.Fprintln(w)
}
