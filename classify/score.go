package classify

import (
	"fmt"
	"math"

	"hbar/data"
)

// Proportion is K of N with its standard error and Wilson's 95 % interval (J. Am. Stat. Assoc. 22, 209, 1927), which is sound also
// where K is near 0 or N.
type Proportion struct {
	K      int     `json:"k"`
	N      int     `json:"n"`
	Value  float64 `json:"value"`
	StdErr float64 `json:"stderr"` // √(p(1 − p)/N)
	Lo     float64 `json:"lo"`
	Hi     float64 `json:"hi"`
}

// NewProportion is k of n ≥ 1.
func NewProportion(k, n int) Proportion {
	const z = 1.959963984540054
	N := float64(n)
	p := float64(k) / N
	mid := (p + z*z/(2*N)) / (1 + z*z/N)
	half := z / (1 + z*z/N) * math.Sqrt(p*(1-p)/N+z*z/(4*N*N))
	return Proportion{K: k, N: n, Value: p, StdErr: math.Sqrt(p * (1 - p) / N), Lo: max(0, mid-half), Hi: min(1, mid+half)}
}

// String is the proportion in percent with standard error and interval.
func (p Proportion) String() string {
	return fmt.Sprintf("%.2f ± %.2f %% (%d of %d; 95 %% interval %.2f to %.2f)", 100*p.Value, 100*p.StdErr, p.K, p.N, 100*p.Lo, 100*p.Hi)
}

// Score is the summary of a classifier's results for samples.
type Score struct {
	N int `json:"n"`
	// Labelled: whether the samples say of which class they should be. Accuracy and Confusion are those of such samples.
	Labelled  bool        `json:"labelled"`
	Accuracy  *Proportion `json:"accuracy"`
	PerClass  []Class     `json:"classes"`
	Confusion [][]int     `json:"confusion"` // [label][given]
	Spread    Spread      `json:"spread"`
	// Confidence is the mean probability that the classifier gives to the class it chooses.
	Confidence float64 `json:"confidence"`
}

// Class is one class of a score.
type Class struct {
	Name  string     `json:"name"`
	Given Proportion `json:"given"` // of all samples, those that the classifier gives to the class
	// Accuracy is, of the samples that should be of the class, those that are; null where there are none.
	Accuracy *Proportion `json:"accuracy"`
}

// Spread is the distribution of the samples over the classes that the classifier gives them.
type Spread struct {
	Classes int     `json:"classes"` // that have a sample
	Of      int     `json:"of"`
	Least   float64 `json:"least"` // share of the rarest class
	Most    float64 `json:"most"`  // share of the commonest
	// Entropy of the shares in nats, corrected for its bias of −(classes − 1)/2n (Miller 1955), with its standard error; at most Uniform,
	// the log of the number of classes.
	Entropy       float64 `json:"entropy"`
	EntropyStdErr float64 `json:"entropy_stderr"`
	Uniform       float64 `json:"uniform"`
}

// NewScore compares what a classifier says with labels; nil labels are those of samples that should be of no class in particular.
func (m *Model) NewScore(j *Judged, labels []int32) (*Score, error) {
	k := m.Config.Classes
	s := &Score{N: j.N, Labelled: labels != nil}
	given, of, right := make([]int, k), make([]int, k), make([]int, k)
	if labels != nil {
		s.Confusion = make([][]int, k)
		for c := range s.Confusion {
			s.Confusion[c] = make([]int, k)
		}
	}
	hits := 0
	for i := range j.N {
		best := j.Best(i)
		given[best]++
		s.Confidence += probability(j.Logits[i*k:(i+1)*k], best) / float64(j.N)
		if labels == nil {
			continue
		}
		label := int(labels[i])
		if label >= k {
			return nil, fmt.Errorf("classify: sample %d has the label %d; the classifier knows the classes 0 to %d", i, label, k-1)
		}
		of[label]++
		s.Confusion[label][best]++
		if best == label {
			hits++
			right[label]++
		}
	}
	if labels != nil {
		p := NewProportion(hits, j.N)
		s.Accuracy = &p
	}
	for c := range k {
		class := Class{Name: m.ClassName(c), Given: NewProportion(given[c], j.N)}
		if of[c] > 0 {
			p := NewProportion(right[c], of[c])
			class.Accuracy = &p
		}
		s.PerClass = append(s.PerClass, class)
	}
	s.Spread = spread(given, j.N)
	return s, nil
}

// Labels are the labels of a set as the classifier numbers its classes (data.Dataset.LabelsAs).
func (m *Model) Labels(set *data.Dataset) ([]int32, error) {
	labels, err := set.LabelsAs(m.ClassNames)
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	return labels, nil
}

// ClassName is the name of a class, or its number.
func (m *Model) ClassName(c int) string {
	if m.ClassNames != nil {
		return m.ClassNames[c]
	}
	return fmt.Sprint(c)
}

func probability(logits []float32, c int) float64 {
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - float64(logits[c]))
	}
	return 1 / sum
}

// spread is that of counts of n samples.
func spread(given []int, n int) Spread {
	s := Spread{Of: len(given), Least: 1, Uniform: math.Log(float64(len(given)))}
	square := 0.0
	for _, g := range given {
		p := float64(g) / float64(n)
		s.Least, s.Most = min(s.Least, p), max(s.Most, p)
		if g > 0 {
			s.Classes++
			s.Entropy -= p * math.Log(p)
			square += p * math.Log(p) * math.Log(p)
		}
	}
	s.EntropyStdErr = math.Sqrt(max(0, square-s.Entropy*s.Entropy) / float64(n))
	s.Entropy = min(s.Uniform, s.Entropy+float64(s.Classes-1)/float64(2*n))
	return s
}
