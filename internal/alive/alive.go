// Package alive tells whether a process of this machine lives, by a name that it has given itself. A process number alone would not do: it is used again, and
// containers have numbers of their own.
package alive

import (
	"fmt"
	"os"
	"strings"
)

// Self names this process: the boot of the machine, the space of process numbers, the number, and when the process began. It is empty where there
// is no /proc.
func Self() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	pid := os.Getpid()
	began, ok := started(pid)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %s %d %s", strings.TrimSpace(string(boot)), space, pid, began)
}

// Ended reports whether a process that has named itself has ended. Of a process that cannot be seen from here it is false.
func Ended(name string) bool {
	theirs, mine := strings.Fields(name), strings.Fields(Self())
	if len(theirs) != 4 || len(mine) != 4 || theirs[0] != mine[0] || theirs[1] != mine[1] {
		return false
	}
	var pid int
	if _, err := fmt.Sscan(theirs[2], &pid); err != nil {
		return false
	}
	began, ok := started(pid)
	return !ok || began != theirs[3]
}

// started is when a process began, in ticks since the boot. It is false if there is none, or one that has ended and that its parent has not asked about.
func started(pid int) (ticks string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	// The name, in parentheses, may hold anything. Field 3, the state, follows it; the start is field 22 (proc(5)).
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}
