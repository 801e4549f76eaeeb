// Command sass reads machine code of CUDA kernels, as cuobjdump -sass prints it, and counts instructions:
//
//	cuobjdump -sass kernels/gpu/sampler_f16.fatbin | go run ./scripts/sass
//	cuobjdump -sass -arch sm_90 -fun NAME FILE.fatbin | go run ./scripts/sass -loops
//
// One line a kernel: architecture, name, instructions in all and by kind. With -loops also one line for each loop
// (a branch back) of what one pass takes outside its inner loops, all branches of its ifs counted: docs/cuda.md makes
// bounds of them.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// kinds are the columns: opcodes up to their first dot, those of WARPGROUP up to their second.
var kinds = []struct {
	name    string
	opcodes []string
}{
	{"FP32", []string{"FFMA", "FMUL", "FADD"}},
	{"FP64", []string{"DFMA", "DMUL", "DADD"}},
	{"MUFU", []string{"MUFU"}},
	{"HMMA", []string{"HMMA"}},
	{"HGMMA", []string{"HGMMA"}},             // products of warpgroups
	{"WGWAIT", []string{"WARPGROUP.DEPBAR"}}, // waits for them
	{"DMMA", []string{"DMMA"}},
	{"LDS", []string{"LDS"}},
	{"STS", []string{"STS"}},
	{"LDG", []string{"LDG"}},
	{"SHFL", []string{"SHFL"}},
	{"LOCAL", []string{"LDL", "STL"}}, // local memory: spilled registers
}

type instruction struct {
	at     int
	opcode string
	target int // of a branch, −1 otherwise
}

type kernel struct {
	arch, name string
	code       []instruction
}

var (
	archLine     = regexp.MustCompile(`^\s*code for (sm_\w+)`)
	functionLine = regexp.MustCompile(`^\s*Function : (\S+)`)
	codeLine     = regexp.MustCompile(`^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);`)
	branchTarget = regexp.MustCompile(`0x[0-9a-f]+\s*$`)
)

func read(r io.Reader) ([]*kernel, error) {
	var kernels []*kernel
	arch := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if m := archLine.FindStringSubmatch(line); m != nil {
			arch = m[1]
		} else if m := functionLine.FindStringSubmatch(line); m != nil {
			kernels = append(kernels, &kernel{arch: arch, name: m[1]})
		} else if m := codeLine.FindStringSubmatch(line); m != nil && len(kernels) > 0 {
			at, err := strconv.ParseInt(m[1], 16, 64)
			if err != nil {
				return nil, err
			}
			op, rest, _ := strings.Cut(m[2], ".")
			if op == "WARPGROUP" {
				what, _, _ := strings.Cut(rest, ".")
				op += "." + what
			}
			ins := instruction{at: int(at), opcode: op, target: -1}
			if t := branchTarget.FindString(m[3]); op == "BRA" && t != "" {
				v, err := strconv.ParseInt(strings.TrimSpace(t), 0, 64)
				if err != nil {
					return nil, err
				}
				ins.target = int(v)
			}
			k := kernels[len(kernels)-1]
			k.code = append(k.code, ins)
		}
	}
	return kernels, lines.Err()
}

// loop is the code from the target of a branch back to the branch.
type loop struct{ from, to int }

// loops are outermost first. The out-of-line ends of a kernel branch back too: those land inside a loop that does not
// reach them, and are none.
func (k *kernel) loops() []loop {
	end := 0
	for _, i := range k.code {
		if i.opcode == "EXIT" {
			end = i.at
		}
	}
	far := map[int]int{}
	for _, i := range k.code {
		if i.target >= 0 && i.target < i.at && i.at < end {
			far[i.target] = max(far[i.target], i.at)
		}
	}
	var ls []loop
	for from, to := range far {
		ls = append(ls, loop{from, to})
	}
	slices.SortFunc(ls, func(a, b loop) int { return a.from - b.from })
	return ls
}

// counts counts the instructions that in accepts, in all and by kind.
func (k *kernel) counts(in func(at int) bool) []int {
	c := make([]int, 1+len(kinds))
	for _, i := range k.code {
		if i.opcode == "NOP" || !in(i.at) {
			continue
		}
		c[0]++
		for j, kind := range kinds {
			if slices.Contains(kind.opcodes, i.opcode) {
				c[1+j]++
			}
		}
	}
	return c
}

func row(w io.Writer, a, b string, counts []int) {
	fmt.Fprintf(w, "%s\t%s\t", a, b)
	for _, c := range counts {
		fmt.Fprintf(w, "%d\t", c)
	}
	fmt.Fprintln(w)
}

func report(out io.Writer, kernels []*kernel, loops bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "arch\tkernel\tALL\t")
	for _, kind := range kinds {
		fmt.Fprintf(w, "%s\t", kind.name)
	}
	fmt.Fprintln(w)
	for _, k := range kernels {
		row(w, k.arch, k.name, k.counts(func(int) bool { return true }))
		if !loops {
			continue
		}
		all := k.loops()
		for _, l := range all {
			inside := func(m loop, at int) bool { return m.from <= at && at <= m.to }
			own := k.counts(func(at int) bool {
				return inside(l, at) && !slices.ContainsFunc(all, func(m loop) bool {
					return m != l && inside(l, m.from) && inside(l, m.to) && inside(m, at)
				})
			})
			row(w, "", fmt.Sprintf("loop %#x–%#x", l.from, l.to), own)
		}
	}
	return w.Flush()
}

func main() {
	loops := flag.Bool("loops", false, "also count each loop's own instructions")
	flag.Parse()
	kernels, err := read(os.Stdin)
	if err == nil && len(kernels) == 0 {
		err = fmt.Errorf("no kernels: want the output of cuobjdump -sass")
	}
	if err == nil {
		err = report(os.Stdout, kernels, *loops)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sass:", err)
		os.Exit(1)
	}
}
