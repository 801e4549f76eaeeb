package checkpoint

import (
	"path/filepath"
	"testing"

	"hbar/nets"
)

// BenchmarkLoad reads DDPM's network for CIFAR-10, 143 MB of weights, from a file that the system has in memory.
func BenchmarkLoad(b *testing.B) {
	u, err := nets.NewUNet([]int{32, 32, 3}, 0, nets.UNetSizes{})
	if err != nil {
		b.Fatal(err)
	}
	n, err := nets.New(u)
	if err != nil {
		b.Fatal(err)
	}
	n.Initialise(1)
	path := filepath.Join(b.TempDir(), "model.safetensors")
	if err := (&Model{Net: n, Prediction: "eps"}).Save(path); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 * int64(n.NumParams()))
	for b.Loop() {
		if _, err := Load(path); err != nil {
			b.Fatal(err)
		}
	}
}
