// Package shard divides a job of numbered items (samples, points) among processes that never talk, and knows the
// parts again when they are joined.
//
// A sample and a point are keyed by their number, so a range of numbers is a job of its own. Each process writes its part under a
// name of its own (OUT-shard2of5.npy), whole or not at all, and then a manifest that says what it is: which items of which job, by
// which model, with which options, and the hashes of its files. Complete takes the manifests of a job in any order, and refuses what
// does not belong together or is missing.
package shard
