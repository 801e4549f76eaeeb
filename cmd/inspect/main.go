// Command inspect shows what a checkpoint holds, evaluates its raw network with derivatives, and measures how fast this machine
// runs it.
//
//	go run ./cmd/inspect --checkpoint runs/swissroll-simple/model.safetensors
//	go run ./cmd/inspect --checkpoint ddpm-cifar10-32 --eval in.npz --out out.npz --compare torch.npz
//	go run ./cmd/inspect --checkpoint ddpm-cifar10-32 --bench --batch 8 --json bench.json
//
// Run it with --help for the options and the arrays.
package main

import "hbar/cmd/internal/ui"

func main() { ui.Main("inspect", run) }
