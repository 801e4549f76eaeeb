package main

import (
	"context"
	"fmt"
	"io"

	"hbar/classify"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// trainOptions are the settings of classify train.
type trainOptions struct {
	data, columns, header string
	images                flags.Images
	nData                 int
	test, testLabels      string
	channels              []float64
	classify.Options
	out string
}

func (o *trainOptions) parse(args []string, help io.Writer) error {
	s := flags.New("classify train", "Fits a small classifier to labelled data, of images by convolutions, and says how many of data that it did not see it recognises.")
	g := s.Group("Data")
	g.String(&o.data, "data", "NAME|FILE", "labelled training data, as cmd/train takes them (required)")
	flags.DefineTable(g, &o.columns, &o.header)
	o.images.Define(g)
	g.Int(&o.nData, "n-data", "N", flags.Between(0, 1<<30), "number of samples to train on; 0 takes all")
	g.String(&o.test, "test", "FILE", "labelled test data; without it a tenth of the data, at most 10,000 samples, are kept out of the training")
	g.String(&o.testLabels, "test-labels", "FILE", "labels of the test data, where they do not carry them")
	g = s.Group("Network")
	g.List(&o.channels, "channels", "C,…", flags.Between(1, 4096), "channels of the first convolution and of each halving of the image; the last number holds for further ones; default 16,32,64")
	g.Int(&o.Features, "features", "F", flags.Between(1, 1<<14), "units of the last hidden layer, whose activations are the features of distances")
	g = s.Group("Training")
	g.Int(&o.Steps, "steps", "STEPS", flags.Between(1, 10_000_000), "of Adam, with warm-up and cosine decay")
	g.Int(&o.Batch, "batch", "B", flags.Between(1, 1<<20), "samples of a step")
	g.Float(&o.Rate, "lr", "RATE", flags.Positive, "largest learning rate")
	g.Int(&o.Shift, "shift", "PIXELS", flags.Between(-1, 1<<13), "move images by up to so many pixels at random; −1: a fourteenth of the longer side")
	g.Uint64(&o.Seed, "seed", "SEED", "of initial weights, batches, and what is kept out")
	g = s.Group("Run")
	g.Int(&o.Workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores")
	g = s.Group("Output")
	g.String(&o.out, "out", "FILE.safetensors", "the classifier")
	s.Example("go run ./cmd/classify train --data datasets/mnist/train-images-idx3-ubyte.gz --test datasets/mnist/t10k-images-idx3-ubyte.gz --out digits.safetensors", "MNIST, of the files that scripts/get_mnist.sh makes")
	s.Example("go run ./cmd/classify train --data digits --steps 1000", "8×8 digits, a tenth of them to test with")
	if err := s.Parse(args, help); err != nil {
		return err
	}
	if o.data == "" {
		return ui.Usagef("--data FILE is missing: labelled data to learn from")
	}
	for _, c := range o.channels {
		if c != float64(int(c)) {
			return ui.Usagef("--channels: %g is not a whole number", c)
		}
		o.Channels = append(o.Channels, int(c))
	}
	return flags.CheckOutputs([]flags.File{{Name: "out", Path: o.out, Endings: []string{".safetensors"}}}, []flags.File{{Name: "data", Path: o.data}, {Name: "test", Path: o.test}, {Name: "labels", Path: o.images.Labels}, {Name: "test-labels", Path: o.testLabels}})
}

// load reads training and test data.
func (o *trainOptions) load(out io.Writer) (set, test *data.Dataset, err error) {
	set, err = data.LoadWith(o.data, o.images.AddTo(data.Options{N: o.nData, Seed: o.Seed, Columns: o.columns, Header: o.header}))
	if err != nil {
		return nil, nil, err
	}
	if set.Labels == nil {
		return nil, nil, fmt.Errorf("%s carries no labels; --labels FILE names them", set.Name)
	}
	if _, err := set.Normalise(data.NormAuto); err != nil {
		return nil, nil, err
	}
	for _, n := range set.Notes {
		fmt.Fprintf(out, "%-9s %s\n", n.Label, n.Text)
	}
	if o.test == "" {
		return classify.Split(set, min(max(set.N()/10, 1), 10_000), o.Seed)
	}
	from := o.images
	from.Labels = o.testLabels
	if test, err = data.LoadWith(o.test, from.AddTo(data.Options{Columns: o.columns, Header: o.header})); err != nil {
		return nil, nil, err
	}
	switch {
	case test.Labels == nil:
		return nil, nil, fmt.Errorf("%s carries no labels; --test-labels FILE names them", test.Name)
	case test.Classes > set.Classes:
		return nil, nil, fmt.Errorf("%s has labels up to %d; the training data have %d classes", test.Name, test.Classes-1, set.Classes)
	}
	return set, test, nil
}

func runTrain(ctx context.Context, args []string, io ui.Streams) error {
	o := trainOptions{Options: classify.Options{Features: 64, Steps: 2000, Batch: 100, Rate: 2e-3, Shift: -1}, out: "classifier.safetensors"}
	if err := o.parse(args, io.Out); err != nil {
		return err
	}
	set, test, err := o.load(io.Out)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "data      %s of %s, shape %v, %s; %s of %s to test with\n", ui.Plural(int64(set.N()), "sample"), set.Name, set.Shape, ui.Plural(int64(set.Classes), "class"), ui.Count(int64(test.N())), test.Name)
	p := ui.NewProgress(io.Err, "steps", 0, int64(o.Steps), nil)
	m, err := classify.Train(ctx, set, o.Options, func(step int, loss float64) {
		p.Report(int64(step), ui.Field{Name: "loss", Value: loss})
	})
	p.Done()
	if err != nil {
		return interrupted(err)
	}
	j, err := judge(ctx, io, m, test, o.Workers)
	if err != nil {
		return err
	}
	labels, err := m.Labels(test)
	if err != nil {
		return err
	}
	s, err := m.NewScore(j, labels)
	if err != nil {
		return err
	}
	name := test.Name
	if o.test == "" {
		name = "kept out of " + name
	}
	m.Test = &classify.Test{Data: name, Accuracy: *s.Accuracy}
	fmt.Fprintf(io.Out, "accuracy  %v of test data, %s\n", s.Accuracy, name)
	if err := m.Save(o.out); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.out)
	return nil
}
