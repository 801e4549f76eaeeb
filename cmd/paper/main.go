// Command paper repeats the experiments of arXiv:2403.11262, section 5, and adds what they could not show: the likelihood of
// the sampler at every h from 0 to 1, with the expansion in h on top and the radius in which it holds.
//
//	go run ./cmd/paper --size quick
//
// writes a page of tables and figures. At --size full it trains, or reuses, the four networks of --preset paper.
package main

import "hbar/cmd/internal/ui"

func main() { ui.Main("paper", run) }
