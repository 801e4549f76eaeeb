package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"hbar/cmd/internal/ui"
	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
	"hbar/cmd/studio/internal/web"
)

// endTime is how long requests under way may take when the command is to end.
const endTime = 2 * time.Second

func run(ctx context.Context, args []string, io ui.Streams) error {
	o, err := parse(args, io.Out)
	if err != nil {
		return err
	}
	token, err := o.token()
	if err != nil {
		return err
	}
	store, err := runs.Open(o.runs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ui.Usagef("--runs %s: there is no such folder; %s makes a first run, in runs/", o.runs, ui.Program("train"))
	case err != nil:
		return fmt.Errorf("--runs: %w", err)
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w; another port, or 0 for a free one, would do", o.addr, err)
	}
	defer listener.Close()
	local := isLocal(listener.Addr())
	if !local && token == "" {
		token = rand.Text()
	}
	cache := models.NewCache(store, o.workers)
	defer cache.Close()
	streams, end := context.WithCancel(ctx)
	defer end()
	server := web.New(web.Options{Store: store, Models: cache, Token: token, Local: local, Hosts: o.hosts(), Pprof: o.pprof, Log: io.Err}).HTTP(streams)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(io.Out, "runs      %s\n", o.runs)
	fmt.Fprintf(io.Out, "page      %s\n", link(listener.Addr(), token))
	if !local {
		fmt.Fprintf(io.Out, "          anyone who can reach this address and has the token can read the runs; the connection is not encrypted\n")
	}
	fmt.Fprintf(io.Out, "          Ctrl-C ends it\n")
	select {
	case err = <-served:
		return fmt.Errorf("the server ended: %w", err)
	case <-ctx.Done():
	}
	end()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return server.Close()
}

// isLocal reports whether only this machine can connect.
func isLocal(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// link is the address of the page, with the token in it.
func link(a net.Addr, token string) string {
	host, port, _ := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s := "http://" + net.JoinHostPort(host, port) + "/"
	if token != "" {
		s += "?token=" + token
	}
	return s
}
