package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
	"hbar/cmd/studio/internal/web"
)

// browser finds Chromium, or skips the test.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the page is tested in a browser without -short")
	}
	for _, name := range []string{os.Getenv("HBAR_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium on this machine: the page is not tested in a browser (HBAR_CHROMIUM names one)")
	return ""
}

// handler serves a folder of runs.
func handler(t *testing.T, dir string) http.Handler {
	t.Helper()
	store, err := runs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cache := models.NewCache(store, runtime.GOMAXPROCS(0))
	t.Cleanup(cache.Close)
	return web.New(web.Options{Store: store, Models: cache, Local: true, Log: os.Stderr}).HTTP(t.Context()).Handler
}

// listen listens at a free port.
func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	l := listenAt(t, "127.0.0.1:0")
	return l, "http://" + l.Addr().String()
}

func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve serves a folder of runs, and returns the address.
func serve(t *testing.T, dir string) string {
	t.Helper()
	l, url := listen(t)
	ctx, end := context.WithCancel(context.Background())
	server := &http.Server{Handler: handler(t, dir), BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		end()
		server.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return url
}

// page is a tab of a browser.
type page struct {
	*testing.T
	ctx context.Context
	url string

	mu     sync.Mutex
	errors []string
}

// open opens the page in a tab of its own. What it says on the console is an error at the end, unless the test has taken it.
func open(t *testing.T, url, hash string, width, height int) *page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser(t)), chromedp.NoSandbox, chromedp.WindowSize(width, height),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &page{T: t, url: url}
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context of the first call
		t.Fatal(err)
	}
	p.ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Listen(p.ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.errors {
			t.Errorf("console: %s", e)
		}
	})
	p.do(chromedp.EmulateViewport(int64(width), int64(height)), chromedp.Navigate(url+"/"+hash))
	return p
}

// hear notes errors and warnings of the console, and exceptions.
func (p *page) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *cdpruntime.EventConsoleAPICalled:
		if e.Type == cdpruntime.ConsoleAPICalledTypeError || e.Type == cdpruntime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				text += fmt.Sprint(a.Description, string(a.Value), " ")
			}
		}
	case *cdpruntime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if o := e.ExceptionDetails.Exception; o != nil {
			text += " " + o.Description
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			text = e.Entry.Text + " " + e.Entry.URL
		}
	}
	if text != "" {
		p.mu.Lock()
		p.errors = append(p.errors, text)
		p.mu.Unlock()
	}
}

// expect takes errors of the console that the test brought about.
func (p *page) expect(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rest []string
	for _, e := range p.errors {
		if !strings.Contains(e, part) {
			rest = append(rest, e)
		}
	}
	p.errors = rest
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// dark makes the system's colours dark.
func (p *page) dark() {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	}))
}

// eval is the value of an expression, as text.
func (p *page) eval(expression string) string {
	p.Helper()
	out, err := chromedp.Run(p.ctx, chromedp.Evaluate[any](expression))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return fmt.Sprint(out)
}

// wait waits until an expression is true.
func (p *page) wait(expression string) {
	p.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		if p.eval("Boolean("+expression+")") == "true" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.shot("failed")
	p.Fatalf("not true after a minute: %s\nthe page says: %s", expression, p.eval("document.body.innerText.slice(0, 2000)"))
}

// shot saves what is seen, if HBAR_SHOTS names a folder for it.
func (p *page) shot(name string) {
	p.Helper()
	dir := os.Getenv("HBAR_SHOTS")
	if dir == "" {
		return
	}
	b, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644); err != nil {
		p.Fatal(err)
	}
}
