package nets

import (
	"fmt"
	"strings"
)

var presets = []struct {
	name string
	kind string // "unet" or "dit"
	make func(shape []int, classes int) (Config, error)
}{
	// DDPM's network for CIFAR-10, 35.7 million parameters for images of 32×32×3.
	{"cifar10", "unet", func(shape []int, classes int) (Config, error) {
		return NewUNet(shape, classes, UNetSizes{Dropout: 0.1})
	}},
	// The small DiT with patches of 2, 33 million parameters.
	{"dit-s2", "dit", func(shape []int, classes int) (Config, error) { return NewDiT(shape, classes, DiTSizes{}) }},
}

// Presets lists the names that Preset takes.
func Presets() []string {
	var names []string
	for _, p := range presets {
		names = append(names, p.name)
	}
	return names
}

// PresetKind is "unet" or "dit", the network that a size is of, or empty for a name that Preset does not take.
func PresetKind(name string) string {
	for _, p := range presets {
		if p.name == name {
			return p.kind
		}
	}
	return ""
}

// Preset is a network of published size for samples of a shape, with labels if classes > 0.
func Preset(name string, shape []int, classes int) (Config, error) {
	for _, p := range presets {
		if p.name == name {
			return p.make(shape, classes)
		}
	}
	return nil, fmt.Errorf("nets: size %.40q unknown; have %s", name, strings.Join(Presets(), ", "))
}
