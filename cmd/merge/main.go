// Command merge joins what the shards of sample, likelihood or sweep wrote into what one process writes.
//
//	go run ./cmd/merge --out samples.npy samples-shard*of5.npy
//
// The shards may be named in any order. It refuses those that do not belong together, and says which are missing and how to run them
// again.
package main

import "hbar/cmd/internal/ui"

func main() { ui.Main("merge", run) }
