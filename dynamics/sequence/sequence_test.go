package sequence

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"hbar/nets"
)

func TestText(t *testing.T) {
	text, err := ReadText([]byte(strings.Repeat("abacabadabacabae", 750)))
	if err != nil {
		t.Fatal(err)
	}
	if text.Symbols != 6 || len(text.Test) != len(text.Train)/9 {
		t.Errorf("%d symbols, %d and %d characters", text.Symbols, len(text.Train), len(text.Test))
	}
}

// A text whose next character follows from the last ones is learned to its entropy, and dissipation holds beyond the window
// where growth is clamped.
func TestLearns(t *testing.T) {
	text, err := ReadText([]byte(strings.Repeat("abacabadabacabae", 750)))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range nets.MemoryKinds {
		m, err := New(nets.Memory{Kind: kind, Inputs: text.Symbols, Outputs: text.Symbols, Symbols: true, Modes: 12, Width: 16, Window: 48}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := Train(context.Background(), m, Windows(text.Train).Example(m), TrainOptions{Steps: 300, Batch: 8, Rate: 1e-2, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		in, err := m.Evaluate(context.Background(), text.Test, 24, 48)
		if err != nil || !(in < 0.2) { // a periodic text has no entropy: what is left is that 300 steps are few
			t.Errorf("%s: %g nats a character of a periodic text (%v)", kind, in, err)
		}
		if beyond, err := m.Evaluate(context.Background(), text.Test, 150, 200); err != nil || math.IsNaN(beyond) || kind == nets.Dissipative && beyond > 0.5 {
			t.Errorf("%s: beyond the window %g (%v)", kind, beyond, err)
		}
	}
}

func TestRecall(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	symbols, targets := make([]int32, 30), make([]int32, 30)
	for range 50 {
		Recall(10)(rng, symbols, targets)
		if targets[29] != symbols[0] || symbols[29] != 0 || symbols[0] < 2 || symbols[0] > 5 || targets[0] != -1 || symbols[7] < 6 || symbols[7] > 9 {
			t.Fatalf("symbols %v, targets %v", symbols, targets)
		}
	}
}

// Training that diverges says at which step, and leaves the model as it was.
func TestDiverges(t *testing.T) {
	m, err := New(nets.Memory{Kind: nets.Free, Inputs: 3, Outputs: 3, Symbols: true, Modes: 2, Width: 2, Window: 8}, 1)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(_ *rand.Rand, x, target []float32) { x[0], target[0] = float32(math.Inf(1)), 1 }
	before := m.net.Weights[0][0]
	if err := Train(context.Background(), m, bad, TrainOptions{Steps: 2, Batch: 2}); err == nil || !strings.Contains(err.Error(), "diverges at step 0") || m.net.Weights[0][0] != before {
		t.Errorf("error %v", err)
	}
}

func TestErrors(t *testing.T) {
	for want, f := range map[string]func() error{
		"number of modes is 0": func() error {
			_, err := New(nets.Memory{Kind: nets.Free, Inputs: 3, Outputs: 3, Width: 1, Window: 4}, 1)
			return err
		},
		`kind "x" unknown`: func() error {
			_, err := New(nets.Memory{Kind: "x", Inputs: 3, Outputs: 3, Modes: 1, Width: 1, Window: 4}, 1)
			return err
		},
		"byte 3 is 0xff":     func() error { _, err := ReadText([]byte("abc\xff")); return err },
		"needs at least 100": func() error { _, err := ReadText([]byte("abc")); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
