package ui

import (
	"context"
	"fmt"
)

// File is a file that a command writes at its end.
type File struct {
	Path string // empty: not asked for
	Make func() error
}

// WriteFiles writes those that are asked for, one after the other, and says so. It ends with the first error.
func WriteFiles(ctx context.Context, io Streams, files ...File) error {
	for _, f := range files {
		if f.Path == "" {
			continue
		}
		if _, err := Wait(ctx, io.Err, "writing "+f.Path, func() (struct{}, error) { return struct{}{}, f.Make() }); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", f.Path)
	}
	return nil
}
