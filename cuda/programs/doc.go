// Package programs runs any program on a GPU: kernels of all operations (kernels/gpu/net_*.cu), the table that binds them, Executor (one
// batch), Engine (values, derivatives, trajectories) and Trainer (gradients and Adam). It is to a GPU what kernels/cpu is to the CPU.
// Chains of dense layers have faster kernels, in cuda/chains and cuda/exec.
//
// Values are float32, the samples of a block one after the other. A block goes through one instruction after the other; what
// is enqueued for it is captured once and replayed. Sums over samples are made in groups of samples whose size depends on shapes alone,
// in a fixed order.
package programs
