// Command dynamics learns linear dynamics with noise from observed sequences: the modes that decay, grow or are neutral, with
// confidence intervals; models that generate sequences and give the exact log density of any.
//
//	go run ./cmd/dynamics spectrum --data traj.npy --dt 0.1 --json spectrum.json --plot modes.png
//	go run ./cmd/dynamics fit --data traj.npz --out model.json
//	go run ./cmd/dynamics loglik --model model.json --data other.npz
//	go run ./cmd/dynamics generate --model model.json --steps 1000 --out sequences.npz
//	go run ./cmd/dynamics ablate --text licence.txt --json ablate.json
//
// Each of them has a --help with its options.
package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
)

func main() { ui.Main("dynamics", run) }

// subcommand is one of the command's verbs.
type subcommand struct {
	name, does string
	run        ui.Command
}

func subcommands() []subcommand {
	return []subcommand{
		{"spectrum", "modes of observed sequences, with 95 % intervals and classes", runSpectrum},
		{"fit", "the same, and a model for generate and loglik", runFit},
		{"loglik", "the exact log density of sequences under a model", runLoglik},
		{"generate", "sequences of a model, with their exact log density", runGenerate},
		{"ablate", "dissipative, conservative and free models of a text, compared at equal parameters", runAblate},
	}
}

func run(ctx context.Context, args []string, io ui.Streams) error {
	if len(args) == 0 {
		return ui.Usagef("say what to do: %s", names())
	}
	for _, s := range subcommands() {
		if s.name == args[0] {
			return s.run(ctx, args[1:], io)
		}
	}
	switch args[0] {
	case "--version":
		return flags.Version("dynamics", io.Out)
	case "--help", "-h", "help":
		help(io.Out)
		return pflag.ErrHelp
	}
	return ui.Usagef("%q is not one of %s", args[0], names())
}

func names() string {
	var n []string
	for _, s := range subcommands() {
		n = append(n, s.name)
	}
	return strings.Join(n, ", ")
}

func help(w io.Writer) {
	fmt.Fprint(w, "Learns linear dynamics with noise from observed sequences.\n\nUsage: dynamics VERB [options]\n\n")
	for _, s := range subcommands() {
		fmt.Fprintf(w, "  %-10s %s\n", s.name, s.does)
	}
	fmt.Fprint(w, "\ndynamics VERB --help lists the options of each, dynamics --version the version.\n")
}
