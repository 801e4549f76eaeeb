package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"hbar/cmd/studio/internal/fixture"
)

// painted is true when the dial has drawn something.
const painted = "document.querySelector('.stage canvas')?.dataset.painted > 0"

// key presses a key where the focus is.
func (p *page) key(keys string) {
	p.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// wide fails if the page is wider than the window.
func (p *page) wide() {
	p.Helper()
	if over := p.eval("document.documentElement.scrollWidth - innerWidth"); strings.TrimPrefix(over, "-") == over && over != "0" {
		p.Errorf("the page is %s pixels wider than the window", over)
	}
}

func TestPage(t *testing.T) {
	browser(t)
	dir := fixture.Runs(t)
	if err := os.WriteFile(filepath.Join(dir, "roll", "sweep.json"), []byte(fixture.Sweep), 0o644); err != nil {
		t.Fatal(err)
	}
	url := serve(t, dir)

	for _, c := range []struct {
		name string
		test func(t *testing.T, url string)
	}{
		{"load", pageLoad},
		{"dial", pageDial},
		{"layers", pageLayers},
		{"a link shows the same", pageLinkShowsSame},
		{"likelihood of a point", pageLikelihoodPoint},
		{"drop an image", pageDropImage},
		{"save", pageSave},
		{"phone", pagePhone},
		{"keys alone", pageKeysAlone},
		{"a part of the log", pagePartLog},
		{"colours", pageColours},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, url) })
	}
}

// pageLoad: the runs are listed, and nothing is asked of other machines.
func pageLoad(t *testing.T, url string) {
	p := open(t, url, "#run=roll", 1280, 800)
	p.wait(painted)
	if got := p.eval("[...document.querySelectorAll('nav .name')].map((e) => e.firstChild.textContent).join()"); got != "digits,roll" {
		t.Errorf("runs %s", got)
	}
	if title := p.eval("document.title"); !strings.Contains(title, "roll") {
		t.Errorf("title %s", title)
	}
	t.Logf("first paint after %s ms", p.eval("Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)"))
	if hosts := p.eval("[...new Set(performance.getEntriesByType('resource').map((r) => new URL(r.name).host))].join()"); hosts != strings.TrimPrefix(url, "http://") {
		t.Errorf("the page asked %s", hosts)
	}
	p.wide()
}

// pageDial: samples follow the strength and the time.
func pageDial(t *testing.T, url string) {
	p := open(t, url, "#run=roll&h=0&steps=40", 1280, 800)
	p.wait(painted)
	p.do(chromedp.Focus("#dial-h"))
	for range 30 {
		p.key(kb.ArrowRight)
	}
	p.wait("document.querySelector('.stage canvas').dataset.h == '0.3'")
	p.wait("location.hash.includes('h=0.3')")
	if n := p.eval("document.querySelector('#dial-h').parentElement.querySelector('input[type=number]').value"); n != "0.3" {
		t.Errorf("the field says %s", n)
	}
	// Many changes within a moment: only the last position is left in the end.
	p.eval(`(() => { const r = document.getElementById("dial-h"); for (let k = 0; k <= 100; k++) { r.value = k / 100; r.dispatchEvent(new Event("input")); } })()`)
	p.wait("document.querySelector('.stage canvas').dataset.h == '1'")
	// The states on the way.
	p.eval(`(() => { const r = document.getElementById("time"); r.value = 0; r.dispatchEvent(new Event("input")); })()`)
	p.wait("document.querySelector('output[for=time]').textContent == 't = 1'")
}

// pageLayers: density and score are drawn under the samples.
func pageLayers(t *testing.T, url string) {
	p := open(t, url, "#run=roll&steps=40&density=1&score=1&paths=1&h=0", 1280, 800)
	p.wait("document.querySelector('.stage canvas')?.dataset.fields == 'flow network'")
	p.eval(`(() => { const r = document.getElementById("dial-h"); r.value = 1; r.dispatchEvent(new Event("input")); })()`)
	p.wait("document.querySelector('.stage canvas')?.dataset.fields == 'fokkerplanck network'")
	p.shot("layers")
}

// pageLinkShowsSame: the address has all settings.
func pageLinkShowsSame(t *testing.T, url string) {
	a := open(t, url, "#run=roll&h=0.45&steps=30&seed=7&n=300&paths=1&box=-2,2,-2,2&t=0.5", 1280, 800)
	a.wait(painted + " && !document.querySelector('.stage.busy')")
	b := open(t, url, a.eval("location.hash"), 1280, 800)
	b.wait(painted + " && !document.querySelector('.stage.busy')")
	const picture = "document.querySelector('.stage canvas').toDataURL()"
	deadline := time.Now().Add(30 * time.Second)
	for a.eval(picture) != b.eval(picture) {
		if time.Now().After(deadline) {
			t.Fatal("the pictures differ")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pageLikelihoodPoint: a click on a point has its likelihood.
func pageLikelihoodPoint(t *testing.T, url string) {
	p := open(t, url, "#run=roll&h=0&steps=20", 1280, 800)
	p.wait(painted + " && location.hash.includes('box')")
	p.do(chromedp.Click(".stage canvas"))
	p.wait("document.querySelector('.found .value')?.textContent.includes('nats')")
	p.do(chromedp.Click("//button[text()='Command' and ancestor::div[@class='found']]"))
	p.wait("document.querySelector('dialog[open] pre').textContent.includes('--data point.npy')")
}

// pageDropImage: a picture that is dropped has bits per dimension.
func pageDropImage(t *testing.T, url string) {
	p := open(t, url, "#run=digits&steps=3&n=6", 1280, 800)
	p.wait(painted)
	p.eval(`(async () => {
		const c = document.createElement("canvas");
		c.width = c.height = 40;
		const x = c.getContext("2d");
		x.fillStyle = "#000"; x.fillRect(0, 0, 40, 40);
		x.fillStyle = "#fff"; x.fillRect(16, 4, 8, 32);
		const blob = await new Promise((done) => c.toBlob(done, "image/png"));
		const data = new DataTransfer();
		data.items.add(new File([blob], "one.png", { type: "image/png" }));
		document.querySelector(".stage").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	})()`)
	p.wait("document.querySelector('.found .value')?.textContent.includes('bits/dim')")
	if text := p.eval("document.querySelector('.found').innerText"); !strings.Contains(text, "one.png") || !strings.Contains(text, "±") {
		t.Errorf("the card says %s", text)
	}
	p.shot("drop")
	// What is no picture is said to be none.
	p.eval(`(() => {
		const data = new DataTransfer();
		data.items.add(new File(["text"], "notes.txt", { type: "text/plain" }));
		document.querySelector(".stage").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	})()`)
	p.wait("document.querySelector('.found').innerText.includes('no picture')")
}

// pageSave: pictures are saved as SVG and PNG.
func pageSave(t *testing.T, url string) {
	p := open(t, url, "#run=roll&steps=20&n=200&paths=1&score=1", 1280, 800)
	p.wait(painted + " && document.querySelector('.stage canvas').dataset.fields == 'network' && !document.querySelector('.stage.busy')")
	p.eval(`window.saved = []; URL.createObjectURL = (blob) => { saved.push(blob); return "#"; }`)
	for _, label := range []string{"SVG", "PNG"} {
		p.do(chromedp.Click(fmt.Sprintf("//div[@class='under']//button[text()='%s']", label)))
	}
	p.wait("saved.length == 2")
	p.eval(`saved[0].text().then((t) => { window.svg = new DOMParser().parseFromString(t, "image/svg+xml"); })`)
	p.wait("window.svg")
	if got := p.eval("svg.querySelector('parsererror') ? 'broken' : svg.querySelectorAll('path').length > 10 && svg.querySelectorAll('text').length > 8 ? 'good' : 'empty'"); got != "good" {
		t.Errorf("the SVG is %s", got)
	}
	if got := p.eval("saved[1].type + ' ' + (saved[1].size > 10000)"); got != "image/png true" {
		t.Errorf("the PNG is %s", got)
	}
	p.key("3")
	p.wait("document.querySelectorAll('#view-sweeps .uplot').length == 2")
	p.do(chromedp.Click("//section[@id='view-sweeps']//button[text()='SVG']"))
	p.wait("saved.length == 3")
	p.eval(`saved[2].text().then((t) => { window.lines = t; })`)
	p.wait("window.lines?.includes('50 steps') && lines.includes('data against data')")
}

// pagePhone: the page fits a narrow window.
func pagePhone(t *testing.T, url string) {
	p := open(t, url, "#run=roll", 390, 844)
	p.wait(painted)
	p.wide()
	for _, tab := range []string{"training", "sweeps", "dial"} {
		p.do(chromedp.Click("#tab-" + tab))
		p.wait("!document.getElementById('view-" + tab + "').hidden")
		p.wide()
		p.shot("phone-" + tab)
	}
	// Turned, and as a window on a desk.
	p.do(chromedp.EmulateViewport(844, 390))
	p.wait("document.querySelector('.stage canvas').clientWidth > 400")
	p.wide()
}

// pageKeysAlone: the page works by keyboard.
func pageKeysAlone(t *testing.T, url string) {
	p := open(t, url, "#run=digits", 1280, 800)
	p.wait(painted)
	p.key(kb.Tab)
	if got := p.eval("document.activeElement.className"); got != "skip" {
		t.Errorf("the first stop is %q", got)
	}
	p.key("]")
	p.wait("document.getElementById('title').textContent == 'roll' && " + painted)
	p.key("2")
	p.wait("document.querySelectorAll('#view-training .uplot').length >= 4")
	p.key("3")
	p.wait("!document.getElementById('view-sweeps').hidden")
	p.key("1")
	p.key("h")
	p.wait("document.querySelector('.stage canvas').dataset.h == '0.95'")
	p.key("d")
	p.wait("document.querySelector('.stage canvas').dataset.fields == 'fokkerplanck'")
	p.do(chromedp.Focus(".stage canvas"))
	p.key(kb.ArrowRight + kb.ArrowUp + kb.Enter)
	p.wait("document.querySelector('.found .value, .found .bad')")
	p.key("?")
	p.wait("document.getElementById('dialog').open")
	p.key(kb.Escape)
	p.wait("!document.getElementById('dialog').open")
	before := p.eval("document.documentElement.dataset.theme")
	p.key("tt")
	p.wait("document.documentElement.dataset.theme != '" + before + "'")
	// Each control has a name.
	if nameless := p.eval(`[...document.querySelectorAll("button, input:not([type=file]), select")].filter((e) => !e.textContent.trim() && !e.labels?.length && !e.ariaLabel).map((e) => e.outerHTML).join()`); nameless != "" {
		t.Errorf("controls without a name: %s", nameless)
	}
}

// pagePartLog: a part of a chart is shown alone.
func pagePartLog(t *testing.T, url string) {
	p := open(t, url, "#run=roll&tab=training&from=50&to=99", 1280, 800)
	p.wait("document.querySelectorAll('#view-training .uplot').length >= 4")
	if !strings.Contains(p.eval("[...document.querySelectorAll('#view-training button')].filter((b) => !b.hidden).map((b) => b.textContent).join()"), "All steps") {
		t.Error("there is no way back to all steps")
	}
	// Marking a part of a chart shows it alone, a double click all of it.
	at := func(part string) float64 {
		v, err := strconv.ParseFloat(p.eval(`(() => { const r = document.querySelector("#view-training .u-over").getBoundingClientRect(); return `+part+`; })()`), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	y := at("r.top + 30")
	p.do(chromedp.DragAndDropXY(at("r.left + 0.22 * r.width"), y, at("r.left + 0.6 * r.width"), y))
	p.wait("location.hash.includes('from=6') && location.hash.includes('to=7')")
	p.eval(`document.querySelector("#view-training .u-over").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))`)
	p.wait("!location.hash.includes('from=')")
}

// pageColours: text has enough contrast.
func pageColours(t *testing.T, url string) {
	p := open(t, url, "#run=roll", 1280, 800)
	p.wait(painted)
	// The contrast of text by WCAG 2: 4.5 is asked of text of this size.
	const contrast = `(() => {
		const of = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
		const light = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, k) => s + v * [0.2126, 0.7152, 0.0722][k], 0);
		const ratio = (a, b) => { const [x, y] = [light(of(a)), light(of(b))].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
		return [["text", "ground"], ["text", "surface"], ["text", "accent-soft"], ["text", "bad-soft"], ["muted", "ground"], ["muted", "surface"], ["muted", "accent-soft"], ["bad", "surface"], ["good", "surface"], ["good", "accent-soft"], ["accent-text", "accent"]]
			.filter(([a, b]) => ratio(a, b) < 4.5).map(([a, b]) => a + " on " + b + " " + ratio(a, b).toFixed(2)).join();
	})()`
	if weak := p.eval(contrast); weak != "" {
		t.Errorf("light: %s", weak)
	}
	p.dark()
	p.wait("document.documentElement.dataset.theme == 'dark'")
	if weak := p.eval(contrast); weak != "" {
		t.Errorf("dark: %s", weak)
	}
	p.wait("document.documentElement.dataset.theme == 'dark' && getComputedStyle(document.body).color == 'rgb(231, 235, 240)'")
}

// A run is watched as it grows, its checkpoint as it is replaced, and its end as it is deleted.
func TestPageFollows(t *testing.T) {
	browser(t)
	dir := fixture.Runs(t)
	odd := "<img src=x onerror=alert(1)> & \"quotes\""
	if runtime.GOOS != "windows" { // a name is text, whatever is in it
		fixture.Roll(t, dir, odd, 0)
	}
	url := serve(t, dir)
	p := open(t, url, "#run=roll&tab=training", 1280, 800)
	if runtime.GOOS != "windows" {
		p.wait("[...document.querySelectorAll('nav .name')].some((e) => e.textContent.startsWith('<img src=x'))")
		p.eval("[...document.querySelectorAll('nav button')].find((e) => e.textContent.startsWith('<img')).click()")
		p.wait("document.getElementById('title').textContent.startsWith('<img') && document.querySelector('#view-training .charts')?.dataset.rows == '150'")
		p.eval("document.querySelector('[data-run=roll]').click()")
	}
	p.wait("document.querySelector('#view-training .charts')?.dataset.rows == '150'")
	fixture.Log(t, filepath.Join(dir, "roll"), 151, 400)
	p.wait("document.querySelector('#view-training .charts').dataset.rows == '400'")
	p.shot("grows")

	fixture.Roll(t, dir, "new", 0)
	p.wait("document.querySelector('[data-run=new]')")

	p.key("1")
	p.wait(painted)
	count := p.eval("document.querySelector('.stage canvas').dataset.painted")
	fixture.Roll(t, dir, "roll", 1)
	p.wait("document.querySelector('.stage canvas').dataset.painted > " + count)

	if err := os.WriteFile(filepath.Join(dir, "roll", "model.safetensors"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.wait("document.querySelector('#view-dial .bad')")
	p.expect("status of 4")

	if err := os.RemoveAll(filepath.Join(dir, "roll")); err != nil {
		t.Fatal(err)
	}
	p.wait("document.getElementById('title').textContent == 'No such run'")
	p.expect("status of 4")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.wait("!document.getElementById('problem').hidden")
	p.shot("gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.wait("document.getElementById('title').textContent == 'No runs yet' && document.getElementById('problem').hidden")
	p.shot("empty")
	p.expect("status of 4")
}

// The server's end is said, and its return taken up.
func TestPageWithoutServer(t *testing.T) {
	browser(t)
	dir := fixture.Runs(t)
	server := &http.Server{}
	l, url := listen(t)
	server.Handler = handler(t, dir)
	go server.Serve(l)
	p := open(t, url, "#run=roll&steps=20", 1280, 800)
	p.wait(painted)
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	p.wait("document.getElementById('live').className == 'live off'")
	p.key("n")
	p.wait("document.querySelector('.readout').textContent.includes('does not answer')")
	p.shot("without-server")
	p.expect("ERR_")
	again := listenAt(t, l.Addr().String())
	back := &http.Server{Handler: server.Handler}
	go back.Serve(again)
	t.Cleanup(func() { back.Close() })
	p.wait("document.getElementById('live').className == 'live on'")
	p.key("n")
	p.wait("document.querySelector('.readout').textContent.includes('samples')")
	p.expect("ERR_")
}
