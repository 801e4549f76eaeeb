package hbar_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"hbar"
	"hbar/checkpoint"
	"hbar/data"
	"hbar/nets"
)

// A checkpoint draws 200 images and says how likely an image of grey pixels is.
func ExampleOpen() {
	dir, err := tinyCheckpoint()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	m, err := hbar.Open(filepath.Join(dir, "model.safetensors"), hbar.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	s, err := m.Sample(ctx, hbar.SampleOptions{N: 200, H: 1, Steps: 100, Labels: []int{1}, Guidance: 0.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	grey := []float64{127.5, 127.5, 127.5, 127.5}
	score, err := m.Score(ctx, s.X[:4], m.Schedule().Tmin(), hbar.ScoreOptions{Labels: []int{1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	logq, err := m.LogLikelihood(ctx, grey, hbar.LikelihoodOptions{Labels: []int{1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.N, "images of shape", m.Shape(), "in", s.Evaluations, "evaluations each")
	fmt.Println(len(score), "numbers of a score")
	fmt.Printf("%.1f nats\n", logq[0].LogQ)
	// Output:
	// 200 images of shape [2 2 1] in 100 evaluations each
	// 4 numbers of a score
	// -20.3 nats
}

// tinyCheckpoint saves an untrained transformer for 2×2 images of bytes in three classes, in a new folder. With the prediction edm
// it is the score of pixels with a standard deviation of half their range.
func tinyCheckpoint() (dir string, err error) {
	config, err := nets.NewDiT([]int{2, 2, 1}, 3, nets.DiTSizes{Patch: 1, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		return "", err
	}
	network, err := nets.New(config)
	if err != nil {
		return "", err
	}
	network.Initialise(1)
	m := &checkpoint.Model{Net: network, Schedule: "vp", Prediction: "edm", SigmaData: 0.5, Norm: data.BytesNormalisation()}
	if dir, err = os.MkdirTemp("", "hbar"); err != nil {
		return "", err
	}
	return dir, m.Save(filepath.Join(dir, "model.safetensors"))
}
