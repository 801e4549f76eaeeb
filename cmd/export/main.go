// Command export writes a network to a directory in the published form, which diffusers and PyTorch read.
//
//	go run ./cmd/export --checkpoint runs/digits-ddpm/model.safetensors --out digits
//
// Run it with --help for the options.
package main

import "hbar/cmd/internal/ui"

func main() { ui.Main("export", run) }
