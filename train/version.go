package train

import (
	"runtime"
	"runtime/debug"
)

// Versions are this program's version, and those of what it was built with, as far as the binary knows.
func Versions() (version string, built map[string]string) {
	version, built = "devel", map[string]string{"go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, built
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			version = s.Value
		}
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "gorgonia.org/gorgonia", "gorgonia.org/tensor":
			built[m.Path] = m.Version
		}
	}
	return version, built
}
