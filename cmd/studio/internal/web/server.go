package web

import (
	"context"
	"io"
	"net/http"
	"net/http/pprof"
	"time"

	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
)

// Options are what a Server is made of.
type Options struct {
	Store  *runs.Store
	Models *models.Cache
	// Token, unless empty, is asked for in every request.
	Token string
	// Local says that only this machine can connect; Hosts are the names besides addresses that the page may be called by.
	Local bool
	Hosts []string
	Pprof bool      // serve /debug/pprof/
	Log   io.Writer // hears of faults of the program
}

// Bounds of what is under way at a time.
const (
	mostComputations = 16
	mostStreams      = 256
	mostPending      = 256 << 20 // bytes of answers that are being read
	mostBody         = 8 << 20   // bytes of a request
)

// The times after which a client is given up.
const (
	headerTime  = 10 * time.Second // to send the head of a request
	requestTime = 30 * time.Second // to send all of it
	chunkTime   = 20 * time.Second // to read chunk bytes of an answer
	answerTime  = 2 * time.Minute  // to read an answer
	idleTime    = 2 * time.Minute  // between requests
	computeTime = 10 * time.Minute // for a computation
)

// Server answers requests.
type Server struct {
	o       Options
	slots   chan struct{} // one for each computation under way
	streams chan struct{} // one for each stream of events
	pending pending
	list    snapshot
	metrics *metrics
	handler http.Handler
}

// New makes a server.
func New(o Options) *Server {
	s := &Server{o: o, slots: make(chan struct{}, mostComputations), streams: make(chan struct{}, mostStreams)}
	s.metrics = newMetrics(s)
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.metrics.watch(pattern, h)) }
	handle("GET /{$}", s.index)
	handle("GET /static/", s.static)
	handle("GET /healthz", s.health)
	handle("GET /metrics", s.metrics.serve)
	handle("GET /api/runs", s.runs)
	handle("GET /api/log", s.log)
	handle("GET /api/sweep", s.sweep)
	handle("GET /api/options", s.options)
	handle("GET /api/picture", s.picture)
	handle("GET /api/checkpoint", s.checkpoint)
	handle("GET /api/sample", s.sample)
	handle("GET /api/score", s.score)
	handle("GET /api/density", s.density)
	handle("POST /api/likelihood", s.likelihood)
	handle("GET /api/events", s.events)
	if o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.Handle("/", s.metrics.watch("other", s.other))
	s.handler = s.guard(mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// HTTP is the server with its timeouts. Streams of events end with ctx.
func (s *Server) HTTP(ctx context.Context) *http.Server {
	return &http.Server{Handler: s, ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, IdleTimeout: idleTime, MaxHeaderBytes: 32 << 10,
		BaseContext: baseContext(ctx), ErrorLog: quiet()}
}

// other answers what no pattern takes.
func (s *Server) other(w http.ResponseWriter, r *http.Request) {
	if _, ok := readOnly[r.URL.Path]; ok {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "this address is read by GET")
		return
	}
	fail(w, http.StatusNotFound, "nothing here; the page is at /, and docs/studio.md lists the rest")
}

var readOnly = map[string]struct{}{"/": {}, "/healthz": {}, "/metrics": {}, "/api/runs": {}, "/api/log": {}, "/api/sweep": {}, "/api/options": {},
	"/api/picture": {}, "/api/checkpoint": {}, "/api/sample": {}, "/api/score": {}, "/api/density": {}, "/api/events": {}}

// health says that the server answers, and whether the runs can be read.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if _, err := runs.Open(s.o.Store.Dir()); err != nil {
		fail(w, http.StatusServiceUnavailable, "the folder of runs cannot be read")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}
