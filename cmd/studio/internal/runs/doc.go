// Package runs reads what training leaves in run folders: options, logs, checkpoints, pictures and the results of sweeps. It reads
// below one folder alone: a name or a symbolic link that leads out of it is an error. Files may grow, change and vanish while they
// are read; a call then has the old content, the new one, or an error.
package runs
