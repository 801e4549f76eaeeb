package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"hbar/classify"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// scoreOptions are the settings of classify score.
type scoreOptions struct {
	classifier, samples string
	images              flags.Images
	n                   int
	test, testLabels    string
	workers             int
	json                string
}

// scoreFile is what --json writes.
type scoreFile struct {
	Classifier string `json:"classifier"`
	Samples    string `json:"samples"`
	*classify.Score
	// Own is the classifier's accuracy on test data; null if unknown.
	Own *classify.Test `json:"classifier_on_test_data"`
}

func (o *scoreOptions) parse(args []string, help io.Writer) error {
	s := flags.New("classify score", "Says how many samples are of the class that they were drawn for, by a classifier that classify train made, and how they spread over the classes.")
	g := s.Group("Classifier")
	g.String(&o.classifier, "classifier", "FILE", "what classify train wrote (required)")
	g.String(&o.test, "test", "FILE", "labelled data that the classifier was not trained on, for its own accuracy; without it that of its training is shown")
	g.String(&o.testLabels, "test-labels", "FILE", "labels of the test data, where they do not carry them")
	g = s.Group("Samples")
	g.String(&o.samples, "samples", "FILE", "what cmd/sample wrote, or other data (required); with labels (arr_1 of .npz, or --labels) they are compared with what the classifier says")
	o.images.Define(g)
	g.Int(&o.n, "n", "COUNT", flags.Between(0, 1<<30), "the first so many; 0 means all")
	g = s.Group("Output")
	g.String(&o.json, "json", "FILE.json", "everything, with the confusion of labels")
	g = s.Group("Run")
	g.Int(&o.workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores")
	s.Note("Proportions come with the binomial standard error √(p(1 − p)/n) and Wilson's 95 % interval. The entropy of the classes' shares is in nats, corrected for its bias of −(classes − 1)/2n (Miller 1955).")
	s.Example("go run ./cmd/classify score --classifier digits.safetensors --samples samples.npz", "samples of a class each")
	s.Example("go run ./cmd/classify score --classifier digits.safetensors --samples any.npz --labels none", "the spread of samples over the classes alone")
	if err := s.Parse(args, help); err != nil {
		return err
	}
	if o.classifier == "" || o.samples == "" {
		return ui.Usagef("--classifier FILE and --samples FILE are needed: what classify train wrote, and what is to be judged")
	}
	return flags.CheckOutputs([]flags.File{{Name: "json", Path: o.json, Endings: []string{".json"}}}, []flags.File{{Name: "classifier", Path: o.classifier}, {Name: "samples", Path: o.samples}, {Name: "test", Path: o.test}})
}

func runScore(ctx context.Context, args []string, io ui.Streams) error {
	var o scoreOptions
	if err := o.parse(args, io.Out); err != nil {
		return err
	}
	m, err := classify.Load(o.classifier)
	if err != nil {
		return err
	}
	if err := o.own(ctx, io, m); err != nil {
		return err
	}
	set, err := data.LoadWith(o.samples, o.images.AddTo(data.Options{N: o.n}))
	if err != nil {
		return err
	}
	labels, err := m.Labels(set)
	if err != nil {
		return err
	}
	introduce(io, set)
	j, err := judge(ctx, io, m, set, o.workers)
	if err != nil {
		return err
	}
	score, err := m.NewScore(j, labels)
	if err != nil {
		return err
	}
	report(io.Out, m, set, score)
	if o.json == "" {
		return nil
	}
	if err := rundir.WriteJSON(o.json, scoreFile{o.classifier, o.samples, score, m.Test}); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.json)
	return nil
}

// own measures the classifier on --test, if that is given.
func (o *scoreOptions) own(ctx context.Context, io ui.Streams, m *classify.Model) error {
	if o.test == "" {
		return nil
	}
	from := o.images
	from.Labels = o.testLabels
	test, err := data.LoadWith(o.test, from.AddTo(data.Options{}))
	if err != nil {
		return err
	}
	if test.Labels == nil {
		return fmt.Errorf("%s carries no labels; --test-labels FILE names them", test.Name)
	}
	labels, err := m.Labels(test)
	if err != nil {
		return err
	}
	j, err := judge(ctx, io, m, test, o.workers)
	if err != nil {
		return err
	}
	s, err := m.NewScore(j, labels)
	if err != nil {
		return err
	}
	m.Test = &classify.Test{Data: test.Name, Accuracy: *s.Accuracy}
	return nil
}

func report(w io.Writer, m *classify.Model, set *data.Dataset, s *classify.Score) {
	fmt.Fprintf(w, "samples   %s of %s\n", ui.Count(int64(s.N)), set.Name)
	if s.Labelled {
		fmt.Fprintf(w, "accuracy  %v are of the class of their label\n", s.Accuracy)
	}
	if m.Test != nil {
		fmt.Fprintf(w, "itself    the classifier recognises %v of test data, %s\n", m.Test.Accuracy, m.Test.Data)
	} else {
		fmt.Fprintln(w, "itself    how well the classifier does on test data is unknown; --test FILE measures it")
	}
	e := s.Spread
	fmt.Fprintf(w, "spread    over %d of %d classes, %.1f to %.1f %% in each; entropy %.4f ± %.4f nats of at most %.4f\n", e.Classes, e.Of, 100*e.Least, 100*e.Most, e.Entropy, e.EntropyStdErr, e.Uniform)
	fmt.Fprintf(w, "sure      mean probability of the chosen class %.4f\n", s.Confidence)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "class\tshare, %\t± s.e.\t"
	if s.Labelled {
		head += "recognised, %\t± s.e.\tof\t"
	}
	fmt.Fprintln(t, head)
	const most = 40 // rows of the table
	for i, c := range s.PerClass {
		if i == most {
			fmt.Fprintf(t, "… %d more\t\n", len(s.PerClass)-most)
			break
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t", c.Name, 100*c.Given.Value, 100*c.Given.StdErr)
		switch {
		case c.Accuracy != nil:
			fmt.Fprintf(t, "%.1f\t%.1f\t%d\t", 100*c.Accuracy.Value, 100*c.Accuracy.StdErr, c.Accuracy.N)
		case s.Labelled:
			fmt.Fprint(t, "\t\t0\t")
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}
