// Package sweepcmd is the body of cmd/sweep, apart from its main package as those of sample and likelihood are.
package sweepcmd

import (
	"context"

	"hbar/cmd/internal/ui"
)

// Main runs the command on the process's arguments.
func Main() { ui.Main("sweep", run) }

// Run is the command.
func Run(ctx context.Context, args []string, io ui.Streams) error { return run(ctx, args, io) }
