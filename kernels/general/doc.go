// Package general is an engine of networks of any kind over a back end that runs programs (Runner): values, directional
// derivatives, divergences and gradients, each by a program of its own that package diff makes, under labels and guidance. The CPU
// (kernels/cpu) and the GPU (cuda/programs) add trajectories and trainers.
package general
