package flags

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/ui"
)

const (
	pageWidth = 100 // columns of the help
	leftWidth = 30  // columns of the options' names
)

// Help prints the page.
func (s *Set) Help(w io.Writer) {
	var b strings.Builder
	for _, line := range wrap(s.summary, pageWidth) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "\nUsage: %s [options]", s.name)
	if s.operands != "" {
		fmt.Fprintf(&b, " %s", s.operands)
	}
	fmt.Fprintln(&b)
	for _, g := range s.groups {
		fmt.Fprintf(&b, "\n%s\n", g.title)
		for _, f := range g.flags {
			writeFlag(&b, f)
		}
	}
	for _, n := range s.notes {
		fmt.Fprintln(&b)
		for _, line := range wrap(n, pageWidth) {
			fmt.Fprintln(&b, line)
		}
	}
	fmt.Fprint(&b, "\n--help prints this page, --version the version. -n 5 means --n 5.\n")
	if len(s.examples) > 0 {
		fmt.Fprint(&b, "\nExamples\n")
		for _, e := range s.examples {
			fmt.Fprintf(&b, "  %s\n", ui.Commands(e.Line))
			for _, line := range wrap(e.What, pageWidth-6) {
				fmt.Fprintf(&b, "      %s\n", line)
			}
		}
	}
	io.WriteString(w, b.String())
}

// writeFlag prints one option: name and unit at the left, meaning, range and default at the right.
func writeFlag(b *strings.Builder, f *pflag.Flag) {
	left := "  --" + f.Name
	if unit := f.Annotations["unit"][0]; strings.HasPrefix(unit, "[=") {
		left += unit
	} else if unit != "" {
		left += " " + unit
	}
	right := f.Usage
	var more []string
	if r := f.Annotations["range"][0]; r != "" {
		more = append(more, r)
	}
	if f.DefValue != "" {
		more = append(more, "default "+f.DefValue)
	}
	if len(more) > 0 {
		right += " (" + strings.Join(more, "; ") + ")"
	}
	if columns(left) > leftWidth-2 {
		fmt.Fprintln(b, left)
		left = ""
	}
	for _, line := range wrap(right, pageWidth-leftWidth) {
		fmt.Fprintf(b, "%s%s%s\n", left, strings.Repeat(" ", leftWidth-columns(left)), line)
		left = ""
	}
}

func columns(s string) int { return len([]rune(s)) }

// wrap breaks text at spaces into lines of at most width columns, where words allow.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
