package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
)

// options are all settings of the command.
type options struct {
	runs      string
	addr      string
	tokenFile string
	host      string
	pprof     bool
	workers   int
}

func parse(args []string, help io.Writer) (options, error) {
	o := options{runs: "runs", addr: "127.0.0.1:8017"}
	s := flags.New("studio", "Serves a page that shows runs as they grow, their samples, and a dial for the noise of generation that draws as it is turned.")
	g := s.Group("Runs")
	g.String(&o.runs, "runs", "DIR", "the folder of run folders, or one of them; nothing outside it is served")
	g = s.Group("Who may connect")
	g.String(&o.addr, "addr", "HOST:PORT", "where to listen; port 0 takes a free one. Beyond this machine a token is asked for")
	g.String(&o.tokenFile, "token-file", "FILE", "holds the token that is asked for, at least 16 characters; without it an address beyond this machine makes a token of its own and prints it in the link")
	g.String(&o.host, "host", "NAME,…", "names besides addresses and localhost that the page may be called by, as behind a proxy")
	g = s.Group("Run")
	g.Int(&o.workers, "workers", "N", flags.Between(0, 4096), "goroutines of each computation; 0 means all cores")
	g.Bool(&o.pprof, "pprof", "serve the profiles of the program at /debug/pprof/")
	s.Note("To look from another machine without opening a port: ssh -L 8017:127.0.0.1:8017 HOST, then http://127.0.0.1:8017 here. " +
		"/metrics has figures for Prometheus, /healthz says ok.")
	s.Example("go run ./cmd/studio --runs runs", "then open the address that is printed")
	s.Example("go run ./cmd/studio --runs runs --addr 0.0.0.0:8017 --token-file token", "for other machines, which send the token")
	if err := s.Parse(args, help); err != nil {
		return o, err
	}
	if o.runs == "" {
		return o, ui.Usagef("--runs is empty; name the folder of runs")
	}
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		return o, ui.Usagef("--addr %s: want HOST:PORT, such as 127.0.0.1:8017", o.addr)
	}
	return o, nil
}

// hosts are the names that the page may be called by.
func (o options) hosts() []string {
	var names []string
	for name := range strings.SplitSeq(o.host, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	if host, _, err := net.SplitHostPort(o.addr); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}

// leastToken is how many characters a token has at least.
const leastToken = 16

// token reads the token of --token-file, "" without one.
func (o options) token() (string, error) {
	if o.tokenFile == "" {
		return "", nil
	}
	f, err := os.Open(o.tokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	t := strings.TrimSpace(string(b))
	if len(t) < leastToken || strings.ContainsFunc(t, func(r rune) bool { return !strings.ContainsRune(tokenRunes, r) }) {
		return "", fmt.Errorf("--token-file %s: want one line of at least %d letters, digits, - and _", o.tokenFile, leastToken)
	}
	return t, nil
}

const tokenRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
