package ui

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// Program is how to call a command of this module the way that the running one was called: by `go run ./cmd/NAME` under go
// run, else by the path of the command in the folder of the running binary.
func Program(name string) string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return program(name, os.Args[0], self, buildTags())
}

// program is Program of a process that was called as arg0 and whose file is self.
func program(name, arg0, self, tags string) string {
	if strings.Contains(filepath.ToSlash(self), "/go-build") { // the build cache of go run and go test
		if tags != "" {
			tags = "-tags " + tags + " "
		}
		return "go run " + tags + "./cmd/" + name
	}
	dir, base := filepath.Split(arg0)
	if own := mainPackage(); own != "" && strings.Contains(base, own) { // "hbar-train", "train.exe"
		return dir + strings.Replace(base, own, name, 1)
	}
	return dir + name
}

// mainPackage is the last element of the running command's import path.
func mainPackage() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" {
		return filepath.Base(filepath.FromSlash(info.Path))
	}
	return ""
}

// buildTags are those that the running command was built with.
func buildTags() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			return s.Value
		}
	}
	return ""
}

var goRun = regexp.MustCompile(`go run (-tags [\w,]+ )?\./cmd/(\w+)`)

// Commands replaces each `go run ./cmd/NAME` of a text by Program(NAME). Under go run the text stays as it is.
func Commands(text string) string {
	return goRun.ReplaceAllStringFunc(text, func(call string) string {
		p := Program(goRun.FindStringSubmatch(call)[2])
		if strings.HasPrefix(p, "go run ") {
			return call
		}
		return p
	})
}

// Quote writes an argument as a shell takes it, in single quotes where it holds anything unusual.
func Quote(arg string) string {
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("'\"\\$`&|;<>()*?[]{}!#~", r) }) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
