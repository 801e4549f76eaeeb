// Package detect measures whether the trajectory of a sample under one's own score model distinguishes generated samples from data: a
// dozen statistics along the probability flow from the sample to noise, and a logistic regression on them, with the area
// under its ROC curve (AUC) on samples that it was not fitted to.
//
// What it finds is the error of this one model where its samples and the data differ. It says nothing about samples of other
// models, nor about whether an image or a recording is authentic. The better the model, the smaller the difference.
//
// Two sets that were stored differently (one rounded to bytes, the other not) differ by that alone. [CheckFormat]
// refuses them, and [Quantise] rounds both alike.
package detect
