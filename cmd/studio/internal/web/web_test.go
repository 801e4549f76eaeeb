package web_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/cmd/studio/internal/fixture"
	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
	"hbar/cmd/studio/internal/web"
)

// start serves a folder; change sets options.
func start(t *testing.T, dir string, change func(o *web.Options)) *httptest.Server {
	t.Helper()
	store, err := runs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cache := models.NewCache(store, 2)
	o := web.Options{Store: store, Models: cache, Local: true, Log: os.Stderr}
	if change != nil {
		change(&o)
	}
	s := httptest.NewUnstartedServer(web.New(o))
	s.Config = web.New(o).HTTP(t.Context())
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		cache.Close()
	})
	return s
}

// ask sends a request and returns status and body.
func ask(t *testing.T, r *http.Request) (int, http.Header, []byte) {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, a.Header, b
}

func get(t *testing.T, url string, headers ...string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	status, _, b := ask(t, r)
	return status, b
}

// into decodes the answer of a request that succeeds.
func into(t *testing.T, url string, v any) {
	t.Helper()
	status, b := get(t, url)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", url, status, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// keys are the names in a JSON object.
func keys(t *testing.T, m map[string]any) []string {
	t.Helper()
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// The JSON has the fields that docs/studio.md describes, and no others.
func TestAnswers(t *testing.T) {
	dir := fixture.Runs(t)
	if err := os.WriteFile(filepath.Join(dir, "roll", "sweep.json"), []byte(fixture.Sweep), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, nil)
	doc, err := os.ReadFile("../../../../docs/studio.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, part string
		want      string
	}{
		{"/api/runs", "", "dir runs"},
		{"/api/runs", "runs", "checkpoints data log modified name net path pictures running schedule step steps sweeps"},
		{"/api/log?run=roll&columns=loss&points=10", "", "bad changed columns epoch first last rows step views"},
		{"/api/log?run=roll&columns=loss&points=10", "views", "column mean mean_step rows step thinned value"},
		{"/api/sweep?run=roll&file=sweep.json", "", "checkpoint curves data file n nll_n text units w2_squared_floor"},
		{"/api/sweep?run=roll&file=sweep.json", "curves", "h name quantity stderr value"},
		{"/api/options?run=roll", "", "data net schedule steps"},
		{"/api/checkpoint?run=roll", "", "bytes classes columns d grids high id kind last_noises low net no_label parameters path prediction ranged samplers schedule shape tmax tmin"},
		{"/api/sample?run=roll&n=5&steps=4&frames=3", "", "command d evaluations float32 id kind n non_finite options seconds shape times"},
		{"/api/sample?run=digits&n=3&steps=2", "", "bytes command d evaluations id kind labels n non_finite options seconds shape times"},
		{"/api/score?run=roll&x0=-1&x1=1&y0=-1&y1=1&size=4&t=0.5", "", "d float32 id method options seconds t"},
		{"/api/density?run=roll&x0=-1&x1=1&y0=-1&y1=1&size=4&t=0.5", "", "d float32 id method options seconds t"},
	} {
		var v map[string]any
		into(t, s.URL+c.url, &v)
		if c.part != "" {
			v = v[c.part].([]any)[len(v[c.part].([]any))-1].(map[string]any)
			if c.part == "curves" {
				delete(v, "change")
				delete(v, "change_stderr")
			}
		}
		if got := strings.Join(keys(t, v), " "); got != c.want {
			t.Errorf("%s %s has %s; want %s", c.url, c.part, got, c.want)
		}
		for k := range v {
			if c.url != "/api/options?run=roll" && !strings.Contains(string(doc), "`"+k+"`") {
				t.Errorf("docs/studio.md does not describe %s of %s", k, c.url)
			}
		}
	}
}

func TestLikelihoodAnswer(t *testing.T) {
	s := start(t, fixture.Runs(t), nil)
	post := func(body, kind, accept string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.URL+"/api/likelihood", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Accept", accept)
		status, _, b := ask(t, r)
		return status, string(b)
	}
	const point = `{"run": "roll", "x": [0.5, 0.5], "h": 0}`
	status, b := post(point, "application/json", "")
	var v map[string]any
	if err := json.Unmarshal([]byte(b), &v); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, b)
	}
	if got := strings.Join(keys(t, v), " "); got != "bits_per_dim bits_per_dim_solver bits_per_dim_stderr command ess h id log_q method seconds status std_err" {
		t.Errorf("the answer has %s", got)
	}
	status, b = post(point, "application/json", "application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(b), "\n")
	if status != http.StatusOK || !strings.HasPrefix(lines[len(lines)-1], `{"result":{`) {
		t.Errorf("as lines: %d %s", status, b)
	}
	for body, want := range map[string]int{
		`{"run": "roll", "x": [1], "h": 0}`:    http.StatusUnprocessableEntity,
		`{"run": "roll", "x": [1, 2], "y": 0}`: http.StatusBadRequest,
		`{"run": "roll", "x": [1, 2]} {}`:      http.StatusBadRequest,
		`[`:                                    http.StatusBadRequest,
		`{"run": "../roll", "x": [1, 2]}`:      http.StatusBadRequest,
		`{"run": "none", "x": [1, 2]}`:         http.StatusNotFound,
		`{"run": "roll", "x": [` + strings.Repeat("1,", 5<<20) + `1]}`:        http.StatusRequestEntityTooLarge,
		`{"run": "roll", "file": "options.json", "x": [1, 2]}`:                http.StatusUnprocessableEntity,
		`{"run": "roll", "x": [1, 2], "h": 1, "paths": 1000000, "steps": 10}`: http.StatusUnprocessableEntity,
	} {
		if status, b := post(body, "application/json", ""); status != want {
			t.Errorf("%.60s: %d %.200s; want %d", body, status, b, want)
		}
	}
	if status, _ := post(point, "text/plain", ""); status != http.StatusBadRequest {
		t.Errorf("as text: %d", status)
	}
}

func TestBadRequests(t *testing.T) {
	dir := fixture.Runs(t)
	s := start(t, dir, nil)
	for url, want := range map[string]int{
		"/api/log":                                            http.StatusBadRequest,
		"/api/log?run=roll&points=x":                          http.StatusBadRequest,
		"/api/log?run=roll&points=99999":                      http.StatusUnprocessableEntity,
		"/api/log?run=roll&run=digits":                        http.StatusBadRequest,
		"/api/log?run=roll&colour=red":                        http.StatusBadRequest,
		"/api/log?run=none":                                   http.StatusNotFound,
		"/api/log?run=..%2Froll":                              http.StatusBadRequest,
		"/api/log?run=%2Fetc":                                 http.StatusBadRequest,
		"/api/log?run=digits":                                 http.StatusNotFound,
		"/api/sweep?run=roll&file=x":                          http.StatusBadRequest,
		"/api/sweep?run=roll&file=..%2F.png":                  http.StatusBadRequest,
		"/api/sweep?run=roll&file=options.json":               http.StatusUnprocessableEntity,
		"/api/picture?run=roll&file=options.json":             http.StatusBadRequest,
		"/api/picture?run=roll&file=model.safetensors":        http.StatusBadRequest,
		"/api/picture?run=roll&file=none.png":                 http.StatusNotFound,
		"/api/picture?run=..&file=x.png":                      http.StatusBadRequest,
		"/api/sample?run=roll&h=NaN":                          http.StatusBadRequest,
		"/api/sample?run=roll&n=-3":                           http.StatusUnprocessableEntity,
		"/api/sample?run=roll&seed=-3":                        http.StatusBadRequest,
		"/api/sample?run=roll&denoise=maybe":                  http.StatusBadRequest,
		"/api/sample?run=roll&file=state.safetensors":         http.StatusUnprocessableEntity,
		"/api/sample?run=roll&file=..%2Fmodel.safetensors":    http.StatusUnprocessableEntity,
		"/api/density?run=digits&x0=0&x1=1&y0=0&y1=1&t=0.5":   http.StatusUnprocessableEntity,
		"/static/%2e%2e%2fpage.go":                            http.StatusNotFound,
		"/static/page.go":                                     http.StatusNotFound,
		"/..%2f..%2fetc%2fpasswd":                             http.StatusNotFound,
		"/debug/pprof/":                                       http.StatusNotFound,
		"/nothing":                                            http.StatusNotFound,
		"/api/picture?run=roll&file=samples.png&v=2026-01-01": http.StatusOK,
		"/static/main.js":                                     http.StatusOK,
		"/healthz":                                            http.StatusOK,
	} {
		status, b := get(t, s.URL+url)
		if status != want {
			t.Errorf("%s: %d %.200s; want %d", url, status, b, want)
		}
		if bytes.Contains(b, []byte(dir)) && !strings.HasPrefix(url, "/api/sample") {
			t.Errorf("%s tells where the runs are: %.300s", url, b)
		}
		var p struct{ Error string }
		if want >= 400 && (json.Unmarshal(b, &p) != nil || p.Error == "" || strings.Contains(p.Error, "\n")) {
			t.Errorf("%s: no error in one line: %.200s", url, b)
		}
	}
	for _, c := range []struct{ method, url string }{{"POST", "/api/runs"}, {"DELETE", "/"}, {"PUT", "/api/log?run=roll"}} {
		r, _ := http.NewRequest(c.method, s.URL+c.url, nil)
		if status, _, _ := ask(t, r); status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", c.method, c.url, status)
		}
	}
}

func TestHostAndOrigin(t *testing.T) {
	s := start(t, fixture.Runs(t), nil)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		url     string
		headers []string
		want    int
	}{
		{"/api/runs", []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		{"/", []string{"Host", "evil.example:8017"}, http.StatusMisdirectedRequest},
		{"/", []string{"Host", "127.0.0.1.evil.example"}, http.StatusMisdirectedRequest},
		{"/", []string{"Host", "10.0.0.1"}, http.StatusMisdirectedRequest},
		{"/", []string{"Host", "localhost:9999"}, http.StatusOK}, // a tunnel
		{"/", []string{"Host", "[::1]:8017"}, http.StatusOK},
		{"/api/runs", []string{"Origin", "http://evil.example"}, http.StatusForbidden},
		{"/api/runs", []string{"Origin", "null"}, http.StatusForbidden},
		{"/api/runs", []string{"Origin", "http://127.0.0.1:1"}, http.StatusForbidden},
		{"/api/runs", []string{"Origin", "http://" + host}, http.StatusOK},
		{"/api/runs", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"/api/runs", []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		{"/api/runs", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		{"/metrics", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, http.StatusForbidden},
		{"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, http.StatusOK},
		{"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, http.StatusForbidden},
	} {
		if status, b := get(t, s.URL+c.url, c.headers...); status != c.want {
			t.Errorf("%s %v: %d %.100s; want %d", c.url, c.headers, status, b, c.want)
		}
	}
	r, _ := http.NewRequest(http.MethodGet, s.URL+"/", nil)
	_, h, _ := ask(t, r)
	for name, part := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"} {
		if !strings.Contains(h.Get(name), part) {
			t.Errorf("%s is %q", name, h.Get(name))
		}
	}
	if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
		t.Errorf("policy %s", csp)
	}
}

func TestToken(t *testing.T) {
	const token = "0123456789abcdef"
	s := start(t, fixture.Runs(t), func(o *web.Options) { o.Token, o.Local = token, false })
	for _, c := range []struct {
		url     string
		headers []string
		want    int
	}{
		{"/", nil, http.StatusUnauthorized},
		{"/static/main.js", nil, http.StatusUnauthorized},
		{"/metrics", nil, http.StatusUnauthorized},
		{"/api/runs", []string{"Authorization", "Bearer wrong"}, http.StatusUnauthorized},
		{"/api/runs?token=" + token, nil, http.StatusUnauthorized}, // in an address only once, for the page
		{"/?token=wrong", nil, http.StatusUnauthorized},
		{"/api/runs", []string{"Cookie", "hbar-studio-token=wrong"}, http.StatusUnauthorized},
		{"/healthz", nil, http.StatusOK},
		{"/api/runs", []string{"Authorization", "Bearer " + token}, http.StatusOK},
		{"/api/runs", []string{"Cookie", "hbar-studio-token=" + token}, http.StatusOK},
		{"/?token=" + token, nil, http.StatusSeeOther},
		{"/", []string{"Host", "evil.example", "Cookie", "hbar-studio-token=" + token}, http.StatusMisdirectedRequest},
		{"/", []string{"Host", "10.0.0.1", "Cookie", "hbar-studio-token=" + token}, http.StatusOK},
	} {
		if status, b := get(t, s.URL+c.url, c.headers...); status != c.want {
			t.Errorf("%s %v: %d %.100s; want %d", c.url, c.headers, status, b, c.want)
		}
	}
	r, _ := http.NewRequest(http.MethodGet, s.URL+"/?token="+token, nil)
	_, h, _ := ask(t, r)
	if c := h.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Strict") || h.Get("Location") != "/" {
		t.Errorf("cookie %q, location %q", c, h.Get("Location"))
	}
}

func TestMetricsAndHealth(t *testing.T) {
	dir := fixture.Runs(t)
	s := start(t, dir, func(o *web.Options) { o.Pprof = true })
	if status, _ := get(t, s.URL+"/api/sample?run=roll&n=5&steps=4"); status != http.StatusOK {
		t.Fatal(status)
	}
	_, b := get(t, s.URL+"/metrics")
	for _, want := range []string{
		`hbar_run_step{run="roll"} 150`, `hbar_run_loss{run="roll"} 1.066`, `hbar_run_running{run="roll"} 0`, "hbar_studio_samples_total 5",
		`hbar_studio_requests_total{address="GET /api/sample",status="200"} 1`, "hbar_studio_checkpoints_open 1", "go_goroutines",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if status, _ := get(t, s.URL+"/debug/pprof/"); status != http.StatusOK {
		t.Errorf("profiles: %d", status)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]int{"/healthz": http.StatusServiceUnavailable, "/api/sample?run=roll": http.StatusUnprocessableEntity, "/": http.StatusOK} {
		if status, b := get(t, s.URL+url); status < 400 != (want < 400) {
			t.Errorf("%s without a folder of runs: %d %s", url, status, b)
		}
	}
}
