// Package fit holds what the trainers of all devices share: the options and the state of Adam, the interface by which a batch
// is filled, and the result or error of a step. kernels/learn and kernels/cpu train on the CPU, package cuda on a GPU.
package fit
