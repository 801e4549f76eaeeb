package fit

// Result of a step.
type Result struct {
	Loss float64 // mean over the batch and the D coordinates, before the update
	// GradNorm is the norm of the gradient over all parameters, before clipping; 0 unless Options.Clip or Norm.
	GradNorm float64
}
