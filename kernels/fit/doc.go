// Package fit holds what the trainers of all devices share: the options and the state of Adam, how a source fills a batch,
// and the result or error of a step. kernels/learn takes the steps on the CPU, package cuda on a GPU.
package fit
