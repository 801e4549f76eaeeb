package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hbar/cmd/studio/internal/runs"
)

// problem is an answer that is an error.
type problem struct {
	Error string `json:"error"`
}

// fail answers with an error.
func fail(w http.ResponseWriter, status int, message string) {
	b, _ := json.Marshal(problem{message})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// badRequest marks an error that is the client's.
type badRequest struct{ error }

func (b badRequest) Unwrap() error { return b.error }

// errBusy says that too much is under way.
var errBusy = errors.New("the machine is busy with other computations; try again in a moment")

// statusOf is the status of an answer that is an error.
func statusOf(err error) int {
	var bad badRequest
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &bad), errors.Is(err, runs.ErrName):
		return http.StatusBadRequest
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusUnprocessableEntity
}

// message is an error in one line.
func message(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("not finished after %v, and given up", computeTime)
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// failed answers with an error, unless the client is gone.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	if errors.Is(err, errBusy) {
		w.Header().Set("Retry-After", "2")
	}
	fail(w, statusOf(err), message(err))
}

// pending counts the bytes of answers that clients are reading.
type pending struct{ bytes atomic.Int64 }

// write sends an answer, or refuses to if too many bytes wait for slow readers.
func (p *pending) write(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n := int64(len(b))
	defer p.bytes.Add(-n)
	if p.bytes.Add(n) > mostPending {
		return errBusy
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = w.Write(append(b, '\n')) // if the client is gone, nobody wants to hear of it
	return nil
}

// give answers with v or an error.
func (s *Server) give(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err == nil {
		err = s.pending.write(w, v)
	}
	if err != nil {
		failed(w, r, err)
	}
}

// computation is work for an answer. It tells progress, from any goroutine, how much is done.
type computation func(ctx context.Context, progress func(done, total int)) (any, error)

// line is one of an answer in several.
type line struct {
	Progress *step  `json:"progress,omitempty"`
	Result   any    `json:"result,omitempty"`
	Error    string `json:"error,omitempty"`
}

type step struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// progressEvery is the time between two lines of progress.
const progressEvery = 150 * time.Millisecond

// compute answers with the result of a computation. A client that accepts application/x-ndjson gets lines: progress now and then, at
// the end a result or an error. It is stopped when the client goes.
func (s *Server) compute(w http.ResponseWriter, r *http.Request, f computation) {
	ctx, cancel := context.WithTimeout(r.Context(), computeTime)
	defer cancel()
	if err := s.take(ctx); err != nil {
		failed(w, r, err)
		return
	}
	var progress atomic.Pointer[step]
	var v any
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-s.slots }()
		defer func() {
			if fault := recover(); fault != nil {
				s.fault(r, fault)
				err = errors.New("the program has a fault, which it has printed where it was started")
			}
		}()
		v, err = f(ctx, func(done, total int) { progress.Store(&step{done, total}) })
	}()
	if !strings.Contains(r.Header.Get("Accept"), "application/x-ndjson") {
		<-done
		s.count(ctx)
		s.give(w, r, v, err)
		return
	}
	s.lines(w, r, done, &progress)
	<-done
	answering(w)
	s.count(ctx)
	l := line{Result: v}
	if err != nil {
		l = line{Error: message(err)}
		if w.Header().Get("Content-Type") == "" { // no line was written yet
			failed(w, r, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if e := s.pending.write(w, l); e != nil {
		_ = s.pending.write(w, line{Error: message(e)})
	}
}

// lines writes progress until a computation is done. A computation may take longer than the reading of an answer, so that only each
// line has a time limit.
func (s *Server) lines(w http.ResponseWriter, r *http.Request, done <-chan struct{}, progress *atomic.Pointer[step]) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	streaming(w)
	var last *step
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			p := progress.Load()
			if p == nil || p == last || r.Context().Err() != nil {
				continue
			}
			last = p
			w.Header().Set("Content-Type", "application/x-ndjson")
			if s.pending.write(w, line{Progress: p}) == nil {
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
}

// take waits a moment for a place among the computations.
func (s *Server) take(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return errBusy
	}
}

// count notes whether a computation was wanted to its end.
func (s *Server) count(ctx context.Context) {
	if ctx.Err() != nil {
		s.metrics.cancelled.Inc()
	}
}

// snapshot keeps the list of runs for a moment, so that many clients cost no more than one.
type snapshot struct {
	mu   sync.Mutex
	at   time.Time
	runs []runs.Run
	err  error
}

// snapshotTime is how old the list may be.
const snapshotTime = 500 * time.Millisecond

func (s *Server) listed(ctx context.Context) ([]runs.Run, error) {
	s.list.mu.Lock()
	defer s.list.mu.Unlock()
	if time.Since(s.list.at) < snapshotTime {
		return s.list.runs, s.list.err
	}
	list, err := s.o.Store.List(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.list.runs, s.list.err, s.list.at = list, err, time.Now()
	return list, err
}
