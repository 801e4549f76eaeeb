// Command detect measures whether the trajectories of samples under one's own score model distinguish them from data.
//
//	go run ./cmd/detect calibrate --checkpoint runs/swissroll-simple/model.safetensors --data swissroll --out detector.json
//	go run ./cmd/detect score --checkpoint runs/swissroll-simple/model.safetensors --detector detector.json --data points.npy --out scores.csv
//
// It measures the error of this one model. Each verb has a --help with its options.
package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
)

func main() { ui.Main("detect", run) }

// about is printed with every result.
const about = "This measures where this model's own samples differ from the data that it is given: the model's error. It says nothing of other models' samples, and nothing of what is true of the world."

func run(ctx context.Context, args []string, io ui.Streams) error {
	if len(args) == 0 {
		return ui.Usagef("say what to do: calibrate, score")
	}
	switch args[0] {
	case "calibrate":
		return runCalibrate(ctx, args[1:], io)
	case "score":
		return runScore(ctx, args[1:], io)
	case "--version":
		return flags.Version("detect", io.Out)
	case "--help", "-h", "help":
		fmt.Fprintf(io.Out, "Asks whether the trajectories of samples under a score model tell them from data.\n\nUsage: detect VERB [options]\n\n"+
			"  calibrate  fits a detector on one half of data and samples, measures it on the other\n  score      applies it to other points\n\n%s\n\ndetect VERB --help lists the options of each, detect --version the version.\n", about)
		return pflag.ErrHelp
	}
	return ui.Usagef("%q is neither calibrate nor score", args[0])
}
