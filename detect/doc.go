// Package detect asks whether the trajectory of a sample under one's own score model tells generated samples from data: a
// dozen statistics along the probability flow from the sample to noise, and a logistic regression on them, with the area
// under its ROC curve (AUC) on samples that it was not fitted to.
//
// What it finds is the error of this one model where its samples and the data differ. It says nothing of samples of other
// models, and nothing of what is true of the world: the better the model, the less there is to find.
//
// Two sets that were stored differently (one rounded to bytes, the other not) are told apart by that alone. [CheckFormat]
// refuses them, and [Quantise] rounds both alike.
package detect
