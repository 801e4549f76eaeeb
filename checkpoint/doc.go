// Package checkpoint stores what training makes, in files of the .safetensors format, which any Python reads.
//
// # The model file
//
// [Model] holds what sampling and likelihood need. Its tensors are float32, row-major:
//
//	dense{i}.weight [out, in]    i = 0 … Depth; dense0 takes the D coordinates and then the time features
//	dense{i}.bias   [out]
//	time.freqs      [Fourier]    the frequencies of a Gaussian Fourier time embedding, if there is one
//
// The metadata is a map of strings; values that are more than a word are JSON:
//
//	format           "hbar"
//	hbar_version     of the program that wrote the file
//	versions         JSON: versions of what it was built with
//	sde              the schedule's name (the key that the checkpoints of arXiv:2403.11262 comparisons use)
//	schedule_params  JSON: the schedule's parameters by name
//	prediction       what the network says: score, eps, x0, v or edm
//	sigma_data       the data's standard deviation that edm is preconditioned for
//	net              JSON: type "mlp", d, width, depth, act, residual, fourier, fourier_scale
//	normalisation    JSON: mean, scale: y = (x − mean)/scale are the network's coordinates
//	data             the training set's name
//	training         JSON: the options of the training run
//
// A file from elsewhere may lack all of it. A plain MLP saved from PyTorch (layers dense0, dense1, … or an
// nn.Sequential's 0, 2, 4, … or net.0, net.2, …) loads as score prediction with SiLU and the raw time as last input,
// width, depth and D inferred from the shapes. If its metadata has no sde, Schedule is empty and the caller must know
// it: see [Model.ScheduleName].
//
// # The state file
//
// [State] holds what else a training run needs to go on as if it had never stopped.
//
// Both are written under a temporary name and renamed, so a crash never leaves half a file. Both are read strictly: see
// package safetensors; besides, weights must be finite and fit the network.
package checkpoint
