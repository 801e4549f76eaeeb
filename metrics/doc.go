// Package metrics compares samples, and log densities of samples.
//
// Distances between two samples x and y of n points in d dimensions, row-major n×d:
//
//	W2        2-Wasserstein distance by exact optimal assignment; both W2 and its square, each under its name
//	SlicedW2  the root mean square over directions of the W2 of projections
//	MMD       maximum mean discrepancy with a Gaussian kernel, unbiased
//	Energy    energy distance, unbiased
//
// In features of samples, of a classifier for instance, and with errors by leaving out groups of points ([Resampled]):
//
//	FrechetSamples  squared Fréchet distance of the normal distributions with the samples' moments, its bias extrapolated in 1/n
//	KernelDistance  squared MMD with a polynomial kernel of degree 3, unbiased
//	SlicedW2Squared the square of SlicedW2
//
// Each comes as an [Estimate]: value, standard error, 95 % interval. A distance between finite samples of one
// distribution is not 0 (W2) or is not exactly 0 (the others): [NoiseFloor] measures what real data score against
// real data, and [PermutationTest] turns the last two into a test.
//
// Log densities: [NLL] in nats, nats per dimension and bits per dimension with the data-scaling term separate;
// [Compare] for paired differences.
//
// All sums are made in a fixed order, so results do not depend on the number of CPUs. Nothing here panics on
// data: unequal sizes, NaN and Inf are errors that say where.
package metrics
