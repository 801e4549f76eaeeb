package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/likelihoodcmd"
	"hbar/cmd/internal/samplecmd"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/sweepcmd"
	"hbar/cmd/internal/ui"
	"hbar/train"
)

// joiners are the commands whose shards are joined, each by its own code.
var joiners = map[string]func(ctx context.Context, io ui.Streams, out string, shards []*shard.Manifest) error{
	"sample":     samplecmd.Join,
	"likelihood": likelihoodcmd.Join,
	"sweep":      sweepcmd.Join,
}

type options struct {
	out    string
	shards []string
}

func define(o *options) *flags.Set {
	s := flags.New("merge", "Joins the files of all shards of a sample, likelihood or sweep into what one process would have written: arrays bit for bit, "+
		"results but for the seconds.")
	s.Operands("SHARD…")
	g := s.Group("Output")
	g.String(&o.out, "out", "FILE", "in place of the shards' --out, and of the same kind; of several --h, --steps or --sampler it is suffixed as theirs is (required). Other files, such as --plot, are written where the shards' command line said")
	s.Note("A shard is named by its file, or by the .json that says what it is; of samples, beside an .npy, .npz, .csv, .wav or a folder. Shards of all runs of a command with several --h, --steps or --sampler are named together. " +
		"Their order does not matter. What does not belong together, is there twice, cut off or changed is refused; what is missing is named, with the command that makes it.")
	s.Example("go run ./cmd/merge --out samples.npy samples-shard*of5.npy", "five shards")
	s.Example("go run ./cmd/merge --out digits.npz digits-h*-shard*of4.npz", "of several strengths, each into its own file")
	s.Example("go run ./cmd/merge --out likelihood.json likelihood-shard*of16.json", "summaries over the points of all")
	return s
}

func parse(args []string, help io.Writer) (options, error) {
	var o options
	set := define(&o)
	if err := set.Parse(args, help); err != nil {
		return o, err
	}
	o.shards = set.Args()
	switch {
	case o.out == "":
		return o, ui.Usagef("--out FILE is missing")
	case len(o.shards) == 0:
		return o, ui.Usagef("no shards are named; as in merge --out %s %s", ui.Quote(o.out), shard.Beside(o.out, "-shard*"))
	}
	return o, nil
}

func run(ctx context.Context, args []string, io ui.Streams) error {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	var shards []*shard.Manifest
	for _, path := range o.shards {
		m, err := shard.Read(path)
		if err != nil {
			return err
		}
		shards = append(shards, m)
	}
	command := shards[0].Command
	if i := slices.IndexFunc(shards, func(m *shard.Manifest) bool { return m.Command != command }); i >= 0 {
		return fmt.Errorf("%s is a shard of %s and %s of %s; they do not belong together", shards[0].Path(), command, shards[i].Path(), shards[i].Command)
	}
	join := joiners[command]
	if join == nil {
		return fmt.Errorf("%s is a shard of %q, which this program does not join", shards[0].Path(), command)
	}
	if mine, _ := train.Versions(); shards[0].Version != mine {
		fmt.Fprintf(io.Err, "merge: warning: the shards are of version %s and this program is %s; take the one that made them, for the file that it would have written\n", shards[0].Version, mine)
	}
	return join(ctx, io, o.out, shards)
}
