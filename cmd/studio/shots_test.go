package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestShots takes the pictures of docs/studio.md: HBAR_SHOTS is the folder for them, HBAR_SHOT_RUNS a folder with the runs
// swissroll-simple, with a sweep, and mnist-unet.
func TestShots(t *testing.T) {
	dir := os.Getenv("HBAR_SHOT_RUNS")
	if dir == "" || os.Getenv("HBAR_SHOTS") == "" {
		t.Skip("pictures for the docs are taken when HBAR_SHOTS and HBAR_SHOT_RUNS are set")
	}
	t.Chdir(filepath.Dir(dir))
	url := serve(t, filepath.Base(dir))
	for _, s := range []struct {
		name, hash    string
		width, height int
		dark          bool
		ready         string
		pause         time.Duration
	}{
		{"studio-dial", "#run=swissroll-simple&h=0.3&density=1&paths=1&at=0.8,-0.1", 1360, 900, false, "document.querySelector('.found .value') && document.querySelector('canvas').dataset.fields == 'fokkerplanck'", time.Second},
		{"studio-score", "#run=swissroll-simple&h=0&density=1&score=1&t=0.75", 1360, 900, true, "document.querySelector('canvas')?.dataset.fields == 'flow network'", time.Second},
		{"studio-training", "#run=mnist-unet&tab=training", 1360, 900, false, "document.querySelectorAll('#view-training .uplot').length >= 3", 2 * time.Second},
		{"studio-sweeps", "#run=swissroll-simple&tab=sweeps", 1360, 900, false, "document.querySelectorAll('#view-sweeps .uplot').length == 2", time.Second},
		{"studio-images", "#run=mnist-unet&h=0.5&w=1&steps=15&denoise=1", 1360, 900, true, "document.querySelector('canvas')?.dataset.painted > 0", 2 * time.Second},
		{"studio-phone", "#run=swissroll-simple&h=0.3", 390, 844, false, "document.querySelector('canvas')?.dataset.painted > 0", time.Second},
	} {
		t.Run(s.name, func(t *testing.T) {
			p := open(t, url, "", s.width, s.height)
			if s.dark {
				p.dark()
			}
			p.do(chromedp.Navigate(url+"/"+s.hash), chromedp.Reload())
			p.wait(s.ready)
			time.Sleep(s.pause)
			p.shot(s.name)
		})
	}
}
