package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"hbar/cmd/internal/ui"
)

// buffer may be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var address = regexp.MustCompile(`http://\S+`)

// The command serves until a signal ends it, and ends in order with a page that watches.
func TestRun(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-22-letters_\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     []string
		status   int
		hasToken bool
	}{
		{[]string{"--addr", "127.0.0.1:0"}, http.StatusOK, false},
		{[]string{"--addr", "127.0.0.1:0", "--token-file", token}, http.StatusUnauthorized, true},
		{[]string{"--addr", "0.0.0.0:0"}, http.StatusUnauthorized, true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var out buffer
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, append(c.args, "--runs", t.TempDir()), ui.Streams{Out: &out, Err: os.Stderr})
		}()
		deadline := time.Now().Add(30 * time.Second)
		for !strings.Contains(out.String(), "Ctrl-C") {
			if time.Now().After(deadline) {
				t.Fatalf("%v: not started: %s", c.args, out.String())
			}
			time.Sleep(5 * time.Millisecond)
		}
		link := address.FindString(out.String())
		if strings.Contains(link, "?token=") != c.hasToken {
			t.Errorf("%v: the link is %s", c.args, link)
		}
		base, _, _ := strings.Cut(link, "/?")
		a, err := http.Get(strings.TrimSuffix(base, "/") + "/api/events")
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != c.status {
			t.Errorf("%v: status %d without a token; want %d", c.args, a.StatusCode, c.status)
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v: %v", c.args, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%v: it does not end", c.args)
		}
		a.Body.Close()
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l, taken := listen(t)
	defer l.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--runs", filepath.Join(dir, "none")}, "there is no such folder"},
		{[]string{"--runs", file("f", "")}, "not a directory"},
		{[]string{"--runs", ""}, "--runs is empty"},
		{[]string{"--runs", dir, "--addr", "8017"}, "want HOST:PORT"},
		{[]string{"--runs", dir, "--addr", strings.TrimPrefix(taken, "http://")}, "another port"},
		{[]string{"--runs", dir, "--token-file", file("short", "abc")}, "at least 16"},
		{[]string{"--runs", dir, "--token-file", file("odd", "aaaa bbbb cccc dddd")}, "letters, digits"},
		{[]string{"--runs", dir, "--token-file", filepath.Join(dir, "gone")}, "--token-file"},
		{[]string{"--run", dir}, "did you mean --runs"},
	} {
		err := run(t.Context(), c.args, ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v; want %q", c.args, err, c.want)
		}
	}
}
