// Package classify trains a small network to distinguish the classes of labelled data (nets.Classifier), and judges samples by
// it: whether they are of the class they were drawn for, and which classes they are of. The last hidden layer's activations are
// features in which package metrics compares samples with data.
//
// A classifier is judged itself on data that it was not trained on: its results for samples are not more accurate than that.
package classify
