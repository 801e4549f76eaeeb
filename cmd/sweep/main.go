// Command sweep looks for the best strength h of a sampler's noise: it measures distances to the data and likelihoods
// over a grid of h and numbers of steps, with the same random numbers for all, tests the differences in pairs, and says
// which h is best, or that the differences are within the errors.
//
//	go run ./cmd/sweep --checkpoint runs/swissroll-simple/model.safetensors --h 0,0.05,0.1,0.2,0.5,1 --steps 100,1000
//
// Run it with --help for the options.
package main

import "hbar/cmd/internal/sweepcmd"

func main() { sweepcmd.Main() }
