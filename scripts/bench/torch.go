package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// torchRate is PyTorch's best rate over its thread settings; false if there is no PyTorch.
func torchRate(python string, args []string) (float64, bool) {
	best, ok := 0.0, false
	for _, threads := range []string{"1", "2"} {
		cmd := exec.Command(python, append([]string{"scripts/torch_peer.py"}, args...)...)
		cmd.Env = append(os.Environ(), "OMP_NUM_THREADS="+threads, "OPENBLAS_NUM_THREADS="+threads)
		out, err := cmd.Output()
		var r struct{ Rate float64 }
		if err != nil || json.Unmarshal(out, &r) != nil {
			continue
		}
		best, ok = max(best, r.Rate), true
	}
	return best, ok
}

// peer is a process of scripts/torch_nets_peer.py or scripts/torch_scan_peer.py, which has chosen its setting and waits.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	peerStart
}

// peerStart is the first line of the script.
type peerStart struct {
	Torch        string  `json:"torch"`
	Setting      string  `json:"setting"`
	Parameters   int     `json:"parameters"`
	MultiplyAdds float64 `json:"multiply_adds"`
}

// startPeer starts PyTorch on the network of a config.json and waits until it has chosen its setting.
func startPeer(python, config, job string, n int) (*peer, error) {
	return startScript(python, "scripts/torch_nets_peer.py", "--config", config, "--job", job, "--batch", fmt.Sprint(n))
}

// startScript starts a script of that kind.
func startScript(python, script string, args ...string) (*peer, error) {
	p := &peer{cmd: exec.Command(python, append([]string{script}, args...)...)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.read(&p.peerStart); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// read reads a line of JSON; another line is what went wrong.
func (p *peer) read(v any) error {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("PyTorch ended early: %w", err)
	}
	if json.Unmarshal([]byte(line), v) != nil {
		return fmt.Errorf("PyTorch: %s", strings.TrimSpace(line))
	}
	return nil
}

// run does the job so many times and returns the seconds of one.
func (p *peer) run(times int) (float64, error) {
	if _, err := fmt.Fprintln(p.in, times); err != nil {
		return 0, err
	}
	var r struct{ Seconds float64 }
	err := p.read(&r)
	return r.Seconds, err
}

// close ends the process and returns its peak of memory in bytes, 0 where it is not known.
func (p *peer) close() (float64, error) {
	if err := p.in.Close(); err != nil {
		return 0, err
	}
	var r struct{ Memory float64 }
	if err := p.read(&r); err != nil {
		p.kill()
		return 0, err
	}
	return r.Memory, p.cmd.Wait()
}

func (p *peer) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
