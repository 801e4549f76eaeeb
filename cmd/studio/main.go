// Command studio serves a page that shows runs as they grow, and a dial for the noise of generation that draws as it changes.
//
//	go run ./cmd/studio --runs runs
//
// Everything it needs is in the binary, and it asks no other machine for anything. docs/studio.md describes the page, the JSON that
// it is made of, and who may connect.
package main

import "hbar/cmd/internal/ui"

func main() { ui.Main("studio", run) }
