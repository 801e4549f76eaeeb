// Package likelihoodcmd is the body of cmd/likelihood. It is not in the main package because cmd/merge joins what shards of the
// command wrote.
package likelihoodcmd

import (
	"context"

	"hbar/cmd/internal/ui"
)

// Main runs the command on the process's arguments.
func Main() { ui.Main("likelihood", run) }

// Run is the command.
func Run(ctx context.Context, args []string, io ui.Streams) error { return run(ctx, args, io) }
