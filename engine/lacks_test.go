package engine

import (
	"errors"
	"strings"
	"testing"

	"hbar/cuda"
	"hbar/nets"
	"hbar/program"
)

// lonely is an operation that no back end has a kernel for, and that has no fallback.
type lonely struct{}

func (lonely) Name() string                          { return "lonely" }
func (lonely) Shapes(in [][]int) ([][]int, error)    { return in, nil }
func (lonely) Reference(in, out []program.Tensor)    { copy(out[0].Data, in[0].Data) }
func (lonely) Cost(in, out [][]int) (c program.Cost) { return c }

// A network with an operation that a GPU lacks is refused by the operation's name before any device is opened, and under auto that is
// the reason for the CPU.
func TestLackingOperation(t *testing.T) {
	net, err := nets.New(nets.MLP{D: 2, Width: 4, Depth: 1, Act: "silu"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Build(func(b *program.Builder) {
		env := program.Inline(b, net.Program, b.Leaves())
		b.Output("out", b.Apply(lonely{}, env[net.Program.Outputs[0].ID])[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "lonely of [[2]]: the GPU has no kernel for it"
	try := func() error { return cuda.Runs(p) }
	var e Engine
	if used, err := e.wants(Options{Device: "auto"}, try); used || err != nil || !strings.Contains(e.NoGPU, want) {
		t.Errorf("auto: a GPU is used: %t, %v; the reason %q, want %q", used, err, e.NoGPU, want)
	}
	var device *DeviceError
	if used, err := e.wants(Options{Device: "cuda", Index: 1}, try); used || !errors.As(err, &device) || device.Device != "cuda:1" || !strings.Contains(err.Error(), want) {
		t.Errorf("cuda: a GPU is used: %t, %v, want %q", used, err, want)
	}
}
