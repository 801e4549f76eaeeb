package sequence

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// Derivatives are those of differences, for all kinds and both decoders.
func TestGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, kind := range Kinds {
		for _, mlp := range []bool{false, true} {
			c := Config{Kind: kind, Symbols: 5, Modes: 3, Width: 4, MLP: mlp, Window: 9}
			m, err := New(c, 1)
			if err != nil {
				t.Fatal(err)
			}
			if kind != Conservative {
				m.nu[1] = -0.05 // growth, or a negative ν of a decay
			}
			symbols, targets := make([]int32, 2*9), make([]int32, 2*9)
			for i := range symbols {
				symbols[i], targets[i] = int32(rng.IntN(5)), int32(rng.IntN(6)-1)
			}
			p := &pass{m: m}
			value := func() float64 {
				p.forward(symbols, 2, 9)
				l, _ := p.loss(targets, 1)
				return l
			}
			value()
			g := view(c, make([]float32, len(m.Theta)))
			p.backward(g)
			for i := range m.Theta {
				x := m.Theta[i]
				const h = 4e-3
				at := func(s float32) float64 {
					m.Theta[i] = x + s
					v := value()
					m.Theta[i] = x
					return v
				}
				want := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
				// float32 in the pass: about 10⁻⁶ of a loss of 20, by the step
				if math.Abs(float64(g.Theta[i])-want) > 2e-3*math.Max(1, math.Abs(want)) {
					t.Errorf("%s, MLP %t: derivative %d is %g, by differences %g", kind, mlp, i, g.Theta[i], want)
				}
			}
		}
	}
}

// The recurrence gives what the sum over the past gives.
func TestScan(t *testing.T) {
	m, err := New(Config{Kind: Dissipative, Symbols: 4, Modes: 3, Width: 2, Window: 20}, 1)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 1))
	symbols := make([]int32, 20)
	for i := range symbols {
		symbols[i] = int32(rng.IntN(4))
	}
	p := &pass{m: m}
	p.forward(symbols, 1, 20)
	for j := range 3 {
		lambda := complex(float64(p.modes[j].re), float64(p.modes[j].im))
		want, power := complex(0, 0), complex(float64(p.modes[j].g), 0)
		for k := 19; k >= 0; k-- {
			b := m.b[int(symbols[k])*6:]
			want += power * complex(float64(b[j]), float64(b[3+j]))
			power *= lambda
		}
		got := p.z[19*6:]
		if math.Abs(float64(got[j])-real(want)) > 1e-5 || math.Abs(float64(got[3+j])-imag(want)) > 1e-5 {
			t.Errorf("mode %d: %g%+gi, by the sum %v", j, got[j], got[3+j], want)
		}
	}
}

// A text whose next character follows from the last two is learned to its entropy, the same for any number of processors,
// and dissipation holds beyond the window where growth is clamped.
func TestLearns(t *testing.T) {
	var b strings.Builder
	for b.Len() < 12000 {
		b.WriteString("abacabadabacabae")
	}
	text, err := ReadText([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if text.Symbols != 6 || len(text.Test) != len(text.Train)/9 {
		t.Errorf("%d symbols, %d and %d characters", text.Symbols, len(text.Train), len(text.Test))
	}
	for _, kind := range Kinds {
		m, err := New(Config{Kind: kind, Symbols: text.Symbols, Modes: 12, Width: 16, Window: 48}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := Train(context.Background(), m, Windows(text.Train), TrainOptions{Steps: 300, Batch: 8, Rate: 1e-2, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		in, err := m.Evaluate(context.Background(), text.Test, 24, 48)
		if err != nil || !(in < 0.2) {
			t.Errorf("%s: %g nats a character of a periodic text (%v)", kind, in, err)
		}
		if beyond, err := m.Evaluate(context.Background(), text.Test, 150, 200); err != nil || math.IsNaN(beyond) || kind == Dissipative && beyond > 0.5 {
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

func TestErrors(t *testing.T) {
	for want, f := range map[string]func() error{
		"0 modes": func() error { _, err := New(Config{Kind: Free, Symbols: 3, Width: 1, Window: 4}, 1); return err },
		`kind "x" unknown`: func() error {
			_, err := New(Config{Kind: "x", Symbols: 3, Modes: 1, Width: 1, Window: 4}, 1)
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
