// Package samplecmd is the body of cmd/sample. It is not in the main package because cmd/merge joins what shards of the
// command wrote.
package samplecmd

import (
	"context"

	"hbar/cmd/internal/ui"
)

// Main runs the command on the process's arguments.
func Main() { ui.Main("sample", run) }

// Run is the command.
func Run(ctx context.Context, args []string, io ui.Streams) error { return run(ctx, args, io) }
