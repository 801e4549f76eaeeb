package main

import (
	"strings"
	"testing"
)

// An error about the sizes of a network names the options that the user gave, and not fields of its configuration.
func TestSizesNameOptions(t *testing.T) {
	images := colours(t) // of 8×8
	for args, want := range map[string]string{
		"--net unet --channels 8,8 --groups 3":               "unet: --groups of 3 does not divide the 8 channels of level 0",
		"--net unet --channels 8,8 --head-dim 3":             "unet: heads of 3 channels (--head-dim) do not divide the 8 channels of level",
		"--net unet --channels 8,8 --attention 5":            "unet: attention (--attention) at the height 5, which no level has; have ",
		"--net unet --channels 8,8,8,8,8,8":                  "6 levels (--channels) do not divide an image of 8×8; height and width must be multiples of 32; give fewer, or another size",
		"--net unet --channels 8,8 --layers 99":              "unet: --layers is 99; it must be 1 to 32",
		"--net unet --channels 1,8 --groups 1":               "level 0 has 1 channels (--channels); want 2 to ",
		"--net dit --patch 3 --width 32 --depth 1 --heads 2": "dit: patches of 3 (--patch) do not divide the size [8 8]",
		"--net dit --patch 2 --width 32 --depth 1 --heads 3": "dit: 3 heads (--heads) do not divide the width 32 (--width)",
		"--net dit --patch 2 --width 30 --depth 1 --heads 2": "dit: the width 30 (--width) is no multiple of 4",
	} {
		_, _, err := call(t, append(strings.Fields(args), "--data", images, "--dry-run", "--range", "0,255")...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsRune(err.Error(), '_') {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
	}
}
