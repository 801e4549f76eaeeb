package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hbar/cmd/studio/internal/fixture"
)

// events reads a stream of events until one of that name has the text.
func events(t *testing.T, url string, next <-chan func(), name string, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() {
		if e, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = e
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && event == name && strings.Contains(data, texts[0]) {
			if texts = texts[1:]; len(texts) == 0 {
				return
			}
			(<-next)()
		}
	}
	t.Fatalf("the stream ended before %s: %v", texts[0], lines.Err())
}

// A page hears of a log that grows, of a run that appears and of one that is deleted.
func TestEvents(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "a")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	fixture.Log(t, at, 1, 5)
	s := start(t, dir, nil)
	next := make(chan func(), 1)
	next <- func() { fixture.Log(t, at, 6, 9) }
	events(t, s.URL+"/api/events?run=a", next, "log", `"rows":5`, `"rows":9`)
	next <- func() { _ = os.RemoveAll(at) }
	events(t, s.URL+"/api/events?run=a", next, "runs", `"name":"a"`, `"runs":[]`)
}

// Two hundred clients that send half a request, or ask for much and do not read, keep nobody else from an answer.
func TestSlowClients(t *testing.T) {
	s := start(t, fixture.Runs(t), nil)
	address := strings.TrimPrefix(s.URL, "http://")
	for i := range 200 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 4 {
		case 0:
			fmt.Fprintf(c, "GET /api/runs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		case 1:
			fmt.Fprintf(c, "POST /api/likelihood HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
		case 2:
			fmt.Fprintf(c, "GET /static/vendor/uplot/uPlot.esm.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
		case 3:
			fmt.Fprintf(c, "GET /api/events?run=roll HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
	}
	for _, url := range []string{"/", "/api/runs", "/api/sample?run=roll&n=10&steps=5", "/healthz"} {
		done := make(chan int, 1)
		go func() {
			a, err := http.Get(s.URL + url)
			if err != nil {
				done <- 0
				return
			}
			_, _ = io.Copy(io.Discard, a.Body)
			a.Body.Close()
			done <- a.StatusCode
		}()
		select {
		case status := <-done:
			if status != http.StatusOK {
				t.Errorf("%s: %d", url, status)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: no answer in a minute", url)
		}
	}
}

// The time in which a request must have been sent is no limit for its answer.
func TestLongAnswer(t *testing.T) {
	s := start(t, fixture.Runs(t), nil)
	s.Config.ReadTimeout = 300 * time.Millisecond
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/events?run=roll", nil)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, a.Body)
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Errorf("the stream ended: %v", err)
	case <-time.After(time.Second):
	}
}

// A client that goes ends its computation, and its place is free.
func TestClientGoes(t *testing.T) {
	s := start(t, fixture.Runs(t), nil)
	for range 20 { // more than there are places
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/sample?run=digits&n=500&steps=10000", nil)
		r.Header.Set("Accept", "application/x-ndjson")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(a.Body)
			t.Fatalf("%d %s", a.StatusCode, b)
		}
		if line, err := bufio.NewReader(a.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, `{"progress":`) {
			t.Fatalf("%q, %v", line, err)
		}
		cancel()
		a.Body.Close()
	}
	deadline := time.Now().Add(time.Minute)
	for {
		_, b := get(t, s.URL+"/metrics")
		if strings.Contains(string(b), "hbar_studio_computations 0\n") && strings.Contains(string(b), "hbar_studio_cancelled_total 20\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("computations run on without a client")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
