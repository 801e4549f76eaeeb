// Command likelihood computes log q^h: the density that a sampler with a trained score network really has, at data
// points, for any strength h of its noise, by several methods that check each other.
//
//	go run ./cmd/likelihood --checkpoint runs/swissroll-simple/model.safetensors --data swissroll --h 0,0.05,0.1,1 --method all
//
// It writes a JSON file with a summary for each method and h and one object for each point. Run it with --help for the
// options and the fields.
package main

import "hbar/cmd/internal/likelihoodcmd"

func main() { likelihoodcmd.Main() }
