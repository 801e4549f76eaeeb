package main

import (
	"context"
	"fmt"
	"math"

	"hbar/internal/rates"
	"hbar/kernels/cpu"
)

// scanSizes are the sequences of the table of recurrences: batch, times and modes.
var scanSizes = [][3]int{{16, 128, 64}, {16, 1024, 64}, {1, 16384, 16}}

// scans prints the table of ops.Scan: forward, and the gradients in λ and u.
func scans(o options) error {
	fmt.Printf("%-24s %9s %8s %8s %9s %6s  %s\n", "scan, with its gradients", "ms", "GFLOP/s", "of peak", "PyTorch", "ratio", "PyTorch's best")
	team := cpu.NewTeam(0)
	defer team.Close()
	for _, s := range scanSizes {
		job := scanJob(team, s[0], s[1], s[2])
		var beside *peer
		if o.torch {
			var err error
			args := []string{"--batch", fmt.Sprint(s[0]), "--times", fmt.Sprint(s[1]), "--modes", fmt.Sprint(s[2])}
			if beside, err = startScript(o.python, "scripts/torch_scan_peer.py", args...); err != nil {
				return err
			}
			if beside.MultiplyAdds != job.MulAdds {
				beside.kill()
				return fmt.Errorf("scan: PyTorch has %.0f multiply-adds, hbar %.0f", beside.MultiplyAdds, job.MulAdds)
			}
		}
		v, err := turns(o.repeats, job, team, beside)
		if err != nil {
			if beside != nil {
				beside.kill()
			}
			return err
		}
		torch, ratio, setting := "-", "-", ""
		if beside != nil {
			torch, ratio, setting = fmt.Sprintf("%.2f", 1e3*v.torchSeconds), fmt.Sprintf("%.2f", v.ratio), beside.Setting
		}
		fmt.Printf("%-24s %9.2f %8.1f %7.1f%% %9s %6s  %s\n", job.Name, 1e3*v.seconds, 2*job.MulAdds/v.seconds/1e9, 100*v.share, torch, ratio, setting)
	}
	fmt.Println()
	return nil
}

// scanJob is a step of training: values, and the gradients of ⟨g, z⟩.
func scanJob(team *cpu.Team, batch, times, modes int) rates.Job {
	return rates.Job{Name: fmt.Sprintf("%d × %d × %d modes", batch, times, modes), MulAdds: 12 * float64(batch*times*modes),
		Start: func() (func(context.Context) error, func() error, error) {
			s := &cpu.Scan{N: batch, T: times, Modes: modes}
			n := batch * times * 2 * modes
			u, z, g, du := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
			for i := range u {
				u[i], g[i] = float32(math.Sin(float64(i))), float32(math.Cos(3*float64(i)))
			}
			lambda, dlambda := make([]float32, 2*modes), make([]float32, batch*2*modes)
			for j := range modes {
				sin, cos := math.Sincos(3 * float64(j) / float64(modes))
				decay := math.Exp(-math.Pow(1000, -float64(j)/float64(modes)))
				lambda[j], lambda[modes+j] = float32(decay*cos), float32(decay*sin)
			}
			run := func(context.Context) error {
				s.Forward(team, z, lambda, u)
				s.Backward(team, dlambda, du, lambda, z, g)
				return nil
			}
			return run, func() error { return nil }, nil
		}}
}
