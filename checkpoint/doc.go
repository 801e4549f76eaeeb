// Package checkpoint stores what training makes, in files of the .safetensors format, which any Python reads.
//
// # The model file
//
// [Model] holds what sampling and likelihood need. Its tensors are float32, row-major. Those of U-Nets and transformers have
// the names, shapes and order of the published networks (package nets); those of an MLP are
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
//	net              JSON: type "mlp", d, width, depth, act, residual, fourier, fourier_scale; or type "unet", "dit" or
//	                 "dit1d" with the fields of nets.UNet or nets.DiT
//	shape            JSON: the shape of a sample, where an MLP takes images or sequences as rows
//	normalisation    JSON: mean, scale: y = (x − mean)/scale are the network's coordinates
//	data             the training set's name
//	training         JSON: the options of the training run
//
// A file from elsewhere may lack all of it. A plain MLP saved from PyTorch (layers dense0, dense1, … or an
// nn.Sequential's 0, 2, 4, … or net.0, net.2, …) loads as score prediction with SiLU and the raw time as last input,
// width, depth and D inferred from the shapes. If its metadata has no sde, Schedule is empty and the caller must know
// it: see [Model.ScheduleName].
//
// # Directories
//
// [Load] also reads a directory as diffusers writes it, with config.json and diffusion_pytorch_model.safetensors (or
// model.safetensors), in itself or in its folder unet. The classes are UNet2DModel, DiT and DiT1D (nets.FromPublished). The
// names that attentions had before version 0.17 of diffusers, and their weights as convolutions of 1×1, are read too. Weights
// may be F16, BF16, F32, F64 or I64.
//
// The schedule and the prediction come from the metadata of the weights if they have them, else from scheduler_config.json,
// in the directory or in its folder scheduler: β linear or squaredcos_cap_v2, prediction epsilon, sample or v_prediction.
// Without that file they are DDPM's: β from 0.0001 to 0.02, epsilon. Images are x/127.5 − 1 of bytes unless the metadata say
// otherwise.
//
// # The state file
//
// [State] holds what else a training run needs to go on as if it had never stopped.
//
// Both are written under a temporary name and renamed, so a crash never leaves half a file. Both are read strictly: see
// package safetensors; besides, weights must be finite and fit the network.
package checkpoint
