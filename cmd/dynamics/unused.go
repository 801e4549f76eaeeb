package main

import "hbar/cmd/internal/flags"

// unused refuses options of a fit that change nothing in the method of this run.
func (o *fitOptions) unused(set *flags.Set) error {
	squares, scan, fourier := o.method == "edmd" || o.method == "auto", o.method == "scan", o.lift.Fourier > 0
	other := "this fit is by --method " + o.method + "; leave it out, or take --method edmd"
	return flags.Unused(set.Given, []flags.Use{
		flags.Of("intercept", !scan, "of least squares and of maximum likelihood", other+" or ml"),
		flags.Of("bias", squares, "of least squares", other),
		flags.Of("branch", squares, "of least squares", other),
		flags.Of("scale", fourier, "of the Fourier features", "this fit has none; leave it out, or add --fourier"),
		flags.Of("seed", fourier || scan, "of the Fourier features and of --method scan", "this fit has neither; leave it out, or add --fourier"),
	})
}

// unused refuses options of the other task.
func (o *ablateOptions) unused(set *flags.Set) error {
	return flags.Unused(set.Given, []flags.Use{
		flags.Of("text", o.task == "text", "of --task text", "this is --task "+o.task+"; leave it out"),
		flags.Of("window", o.task == "text", "of --task text", "this is --task "+o.task+", whose sequences are as long as --distractors says; leave it out"),
		flags.Of("distractors", o.task == "recall", "of --task recall", "this is --task "+o.task+"; leave it out"),
	})
}
