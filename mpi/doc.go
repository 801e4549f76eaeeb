// Package mpi is what a process needs to know of MPI to train together with others: its number, and three exchanges of memory.
//
// It is built with tag mpi and cgo, against OpenMPI (scripts/setup_mpi.sh). Without the tag, Start returns no peers, and nothing of
// MPI is needed; where a launcher has started several processes, it is an error that says so.
package mpi
