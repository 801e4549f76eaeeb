// Package hbar uses trained score networks: it opens a checkpoint, draws samples with any strength h of the noise, evaluates the
// score and computes likelihoods. It is a short way over the packages below, which say more and can do more: checkpoint,
// solver, solver/likelihood, engine.
//
//	m, err := hbar.Open("model.safetensors", hbar.Options{})
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	s, err := m.Sample(ctx, hbar.SampleOptions{N: 64, H: 1})
//	if err != nil {
//		return err
//	}
//	logq, err := m.LogLikelihood(ctx, s.X, hbar.LikelihoodOptions{})
//
// # Shapes
//
// Samples lie one after the other in a []float64: n samples of D numbers, D the product of Model.Shape, channels last ([H, W, C]
// for images, [T, C] for sequences, [D] for rows). Times, labels and results of n samples are slices of n.
//
// # Units
//
// All x of this package are in data units, those of the training data: 0 to 255 for images that were bytes. The network works
// in its own units y = (x − mean)/scale (checkpoint.Model.Norm). Log densities are in nats, of the density in data units; scores
// are gradients in data units. Times are those of the schedule, from Tmin at the data to Tmax at the noise.
//
// # Precision
//
// A network computes in float32, with Options.Precision Float64 in float64 where it evaluates scores and flows. Times,
// coefficients, log densities and their sums are float64 in either case. Samples are always integrated in float32.
//
// # Randomness
//
// All random numbers follow from the seed and the number of the sample (Philox, kernels.Noise). So the samples and the likelihoods
// of one seed do not depend on how a job is cut in pieces or on the number of workers.
package hbar
