package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"hbar/internal/rates"
	"hbar/kernels/cpu"
	"hbar/nets"
)

// network is one of the networks that are measured, for the sizes of batches.
type network struct {
	name    string
	what    string
	make    func() (nets.Config, error)
	batches []int
}

// all are without dropout, which PyTorch's networks here do not have either.
var all = []network{
	{"cifar10", "U-Net 32×32×3, channels 128, 256, 256, 256", func() (nets.Config, error) {
		return nets.NewUNet([]int{32, 32, 3}, 0, nets.UNetSizes{})
	}, []int{8, 1}},
	{"unet28", "U-Net 28×28×1, channels 64, 128, 128", func() (nets.Config, error) {
		return nets.NewUNet([]int{28, 28, 1}, 0, nets.UNetSizes{Channels: []int{64, 128, 128}})
	}, []int{64}},
	{"mnist", "U-Net 28×28×1 of train --preset mnist, channels 32, 64, 64", func() (nets.Config, error) {
		return nets.NewUNet([]int{28, 28, 1}, 0, nets.UNetSizes{Channels: []int{32, 64, 64}, Layers: 1, AttentionResolutions: []int{7}})
	}, []int{8}},
	{"dit-s2", "DiT-S/2 32×32×3", func() (nets.Config, error) {
		return nets.NewDiT([]int{32, 32, 3}, 10, nets.DiTSizes{})
	}, []int{8, 1}},
	{"dit192", "DiT 28×28×1, 192 wide, 6 deep, 3 heads", func() (nets.Config, error) {
		return nets.NewDiT([]int{28, 28, 1}, 10, nets.DiTSizes{Width: 192, Depth: 6, Heads: 3})
	}, []int{64}},
}

// jobNames are the jobs in the order of rates.Network.Jobs, then that of probes, as scripts/torch_nets_peer.py has them.
var jobNames = []string{"forward", "vjp", "train", "probes"}

// probes is how many of Hutchinson's probes the flow's likelihood of images takes, as cmd/likelihood does.
const probes = 4

func networkNames() []string {
	var names []string
	for _, n := range all {
		names = append(names, n.name)
	}
	return names
}

// batchSizes says which sizes there are.
func batchSizes() string {
	var s []string
	for _, n := range all {
		s = append(s, fmt.Sprintf("%s has %v", n.name, n.batches))
	}
	return strings.Join(s, ", ")
}

// networks are those that are selected by their names.
func (o options) networks() []network {
	var out []network
	for _, n := range all {
		if slices.Contains(o.only, n.name) {
			out = append(out, n)
		}
	}
	return out
}

// row is a network with a size of batch.
type row struct {
	network
	n int
}

// rows are the networks and sizes of batches that are measured.
func (o options) rows() []row {
	list := o.networks()
	if o.wants("nets") {
		list = all
	}
	var out []row
	for _, n := range list {
		for _, b := range n.batches {
			if len(o.batches) == 0 || slices.Contains(o.batches, b) {
				out = append(out, row{n, b})
			}
		}
	}
	return out
}

// networks measures the rows.
func networks(o options, rows []row) error {
	for _, n := range all {
		if slices.ContainsFunc(rows, func(r row) bool { return r.name == n.name }) {
			fmt.Printf("%-8s %s\n", n.name, n.what)
		}
	}
	fmt.Printf("\n%-8s %3s %-14s %9s %8s %8s %8s %9s %8s %10s %8s %8s %6s  %s\n", "network", "n", "job", "ms", "GFLOP/s", "of peak", "fastest", "sustained", "memory",
		"PyTorch ms", "GFLOP/s", "memory", "ratio", "PyTorch's setting")
	for _, r := range rows {
		if err := r.measure(o); err != nil {
			return fmt.Errorf("%s, n = %d: %w", r.name, r.n, err)
		}
	}
	fmt.Println()
	return nil
}

// prepare makes the network with its first weights, and the published form of its description.
func prepare(n network, batch int, team *cpu.Team) (*rates.Network, string, error) {
	config, err := n.make()
	if err != nil {
		return nil, "", err
	}
	text, err := nets.ToPublished(config)
	if err != nil {
		return nil, "", err
	}
	net, err := nets.New(config)
	if err != nil {
		return nil, "", err
	}
	net.Initialise(1)
	work, err := rates.New(net, batch, rates.Cores{Team: team})
	return work, string(text), err
}

// measure prints the lines of a row.
func (r row) measure(o options) error {
	team := cpu.NewTeam(0)
	defer team.Close()
	work, config, err := prepare(r.network, r.n, team)
	if err != nil {
		return err
	}
	last, err := work.Probes(probes)
	if err != nil {
		return err
	}
	for i, job := range append(work.Jobs(), last) {
		if len(o.jobs) > 0 && !slices.Contains(o.jobs, jobNames[i]) {
			continue
		}
		var beside *peer
		if o.torch {
			if beside, err = startPeer(o.python, config, jobNames[i], r.n); err != nil {
				return err
			}
			if err := same(beside, work.Net, job); err != nil {
				beside.kill()
				return err
			}
		}
		res, err := turns(o.repeats, job, team, beside)
		if err != nil {
			if beside != nil {
				beside.kill()
			}
			return err
		}
		res.print(r, job, beside)
	}
	return nil
}

// same reports PyTorch having another network, or other work to do.
func same(p *peer, net *nets.Network, job rates.Job) error {
	if p.Parameters != net.NumParams() || math.Abs(p.MultiplyAdds/job.MulAdds-1) > 1e-9 {
		return fmt.Errorf("%s: PyTorch has %d parameters and %.0f multiply-adds, hbar %d and %.0f", job.Name, p.Parameters, p.MultiplyAdds, net.NumParams(), job.MulAdds)
	}
	return nil
}

// result is what is measured of a job: medians, the share of the highest peak that the fastest run reached, and bytes of memory, 0 where they are not known. sustained is the share of what the
// loop of the peak reaches when it runs as long as the job.
type result struct {
	fastest, sustained     float64
	seconds, share, memory float64
	torchSeconds, ratio    float64
	torchMemory            float64
}

// turns runs the job, the peak loop and PyTorch alternately, and ends PyTorch. Short jobs run several times in each round, after one
// that does not count.
func turns(repeats int, job rates.Job, team *cpu.Team, beside *peer) (r result, err error) {
	resetMemory()
	run, stop, err := job.Start()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	times, torchTimes := 1, 1
	var seconds, shares, sustained, torchSeconds, ratios []float64
	highest := 0.0
	for i := range repeats + 1 {
		s, err := repeat(run, times)
		if err != nil {
			return r, err
		}
		peak := rates.Peak(team)
		highest = max(highest, peak)
		torch := 0.0
		if beside != nil {
			if torch, err = beside.run(torchTimes); err != nil {
				return r, err
			}
			time.Sleep(50 * time.Millisecond) // until its threads sleep
		}
		if i == 0 { // warm up
			times, torchTimes = count(s), count(torch)
			continue
		}
		seconds, shares = append(seconds, s), append(shares, 2*job.MulAdds/s/peak)
		sustained = append(sustained, 2*job.MulAdds/s/rates.Sustained(team, time.Duration(s*float64(times)*float64(time.Second))))
		torchSeconds, ratios = append(torchSeconds, torch), append(ratios, torch/s)
	}
	r = result{fastest: 2 * job.MulAdds / slices.Min(seconds) / highest, seconds: rates.Median(seconds), share: rates.Median(shares), sustained: rates.Median(sustained), memory: peakMemory(),
		torchSeconds: rates.Median(torchSeconds), ratio: rates.Median(ratios)}
	if beside != nil {
		r.torchMemory, err = beside.close()
	}
	return r, err
}

// count is how often a job of that length runs in a round: for a quarter of a second, but at most 20 times.
func count(seconds float64) int { return int(min(20, max(1, math.Ceil(0.25/max(seconds, 1e-6))))) }

// repeat runs a job so many times and returns the seconds of one. Where it is more than one, one more comes first, which does
// not count: the caches hold what the others had there.
func repeat(run func(context.Context) error, times int) (float64, error) {
	ctx := context.Background()
	if times > 1 {
		if err := run(ctx); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	for range times {
		if err := run(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds() / float64(times), nil
}

func (v result) print(r row, job rates.Job, p *peer) {
	torch, rate, memory, ratio, setting := "-", "-", "-", "-", ""
	if p != nil {
		torch, rate = fmt.Sprintf("%.1f", 1e3*v.torchSeconds), fmt.Sprintf("%.1f", 2*job.MulAdds/v.torchSeconds/1e9)
		memory, ratio, setting = megabytes(v.torchMemory), fmt.Sprintf("%.2f", v.ratio), p.Setting
	}
	fmt.Printf("%-8s %3d %-14s %9.1f %8.1f %7.1f%% %7.1f%% %8.1f%% %8s %10s %8s %8s %6s  %s\n", r.name, r.n, job.Name, 1e3*v.seconds, 2*job.MulAdds/v.seconds/1e9,
		100*v.share, 100*v.fastest, 100*v.sustained, megabytes(v.memory), torch, rate, memory, ratio, setting)
}
