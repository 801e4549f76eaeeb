package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are those that /metrics shows, in the format of Prometheus.
type metrics struct {
	server    *Server
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	samples   prometheus.Counter
	cancelled prometheus.Counter
	faults    prometheus.Counter
	handler   http.Handler
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		server:   s,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hbar_studio_requests_total", Help: "Requests by address and status."}, []string{"address", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hbar_studio_request_seconds", Help: "Time of requests, without streams of events.",
			Buckets: []float64{0.001, 0.005, 0.02, 0.05, 0.1, 0.15, 0.3, 1, 3, 10, 60}}, []string{"address"}),
		samples:   prometheus.NewCounter(prometheus.CounterOpts{Name: "hbar_studio_samples_total", Help: "Samples that were drawn."}),
		cancelled: prometheus.NewCounter(prometheus.CounterOpts{Name: "hbar_studio_cancelled_total", Help: "Computations whose client went before their end."}),
		faults:    prometheus.NewCounter(prometheus.CounterOpts{Name: "hbar_studio_faults_total", Help: "Faults of the program, which are printed where it was started."}),
	}
	gauge := func(name, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f()) })
	}
	m.registry.MustRegister(m.requests, m.seconds, m.samples, m.cancelled, m.faults, (*runMetrics)(s),
		gauge("hbar_studio_computations", "Computations under way.", func() int { return len(s.slots) }),
		gauge("hbar_studio_streams", "Pages that watch for changes.", func() int { return len(s.streams) }),
		gauge("hbar_studio_checkpoints_open", "Checkpoints in memory.", func() int { return s.o.Models.Open() }),
		gauge("hbar_studio_pending_bytes", "Bytes of answers that clients are reading.", func() int { return int(s.pending.bytes.Load()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
	return m
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// watch counts the requests of an address.
func (m *metrics) watch(address string, next http.HandlerFunc) http.Handler {
	stream := address == "GET /api/events"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		c := &counted{ResponseWriter: w}
		defer func() {
			if c.status == 0 {
				c.status = 499 // the client went before there was an answer
			}
			m.requests.WithLabelValues(address, strconv.Itoa(c.status)).Inc()
			if !stream {
				m.seconds.WithLabelValues(address).Observe(time.Since(began).Seconds())
			}
		}()
		next(c, r)
	})
}

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// runMetrics shows the last line of the log of each run.
type runMetrics Server

// logged are the columns of a log that become metrics.
var logged = []struct{ column, name, help string }{
	{"loss", "hbar_run_loss", "Loss, the last in the log."},
	{"lr", "hbar_run_learning_rate", "Learning rate."},
	{"grad_norm", "hbar_run_gradient_norm", "Norm of the gradient."},
	{"images_per_s", "hbar_run_images_per_second", "Training samples a second, of networks of images."},
	{"per_second", "hbar_run_steps_per_second", "Training steps a second."},
}

// mostRunMetrics is how many runs have metrics: those whose logs changed last.
const mostRunMetrics = 16

func runDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"run"}, nil)
}

// Describe implements prometheus.Collector. What there will be depends on the runs.
func (m *runMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *runMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := (*Server)(m).listed(ctx)
	if err != nil {
		return
	}
	set := func(run, name, help string, v float64) {
		if g, err := prometheus.NewConstMetric(runDesc(name, help), prometheus.GaugeValue, v, run); err == nil {
			out <- g
		}
	}
	for _, r := range newest(list, mostRunMetrics) {
		running := 0.0
		if r.Running {
			running = 1
		}
		set(r.Name, "hbar_run_running", "1 while a process of this machine trains in the run.", running)
		set(r.Name, "hbar_run_step", "Steps done, by the log.", float64(r.Step))
		set(r.Name, "hbar_run_steps", "Steps that were asked for.", float64(r.Steps))
		info, err := m.o.Store.Log(ctx, r.Name)
		if err != nil {
			continue
		}
		for _, l := range logged {
			if v, ok := info.Last[l.column].(float64); ok {
				set(r.Name, l.name, l.help, v)
			}
		}
	}
}
