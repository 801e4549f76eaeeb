// Package models computes what the page shows of a checkpoint: samples with states on the way, densities, scores and likelihoods. It
// keeps checkpoints open, and opens them again when their files change. Every function stops when its context ends, and none waits
// for a computation of another request.
package models
