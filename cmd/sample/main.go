// Command sample draws samples from a trained score network, by the reverse process with any strength h of its noise.
//
//	go run ./cmd/sample --checkpoint runs/swissroll-simple/model.safetensors --plot samples.png
//
// It writes an .npy file of shape (n, D) in data units, or a .csv file, and nothing else unless asked. The array is float32, or
// float64 where float32 has too few digits for the spread of the data. Run it with --help for the options.
package main

import "hbar/cmd/internal/samplecmd"

func main() { samplecmd.Main() }
