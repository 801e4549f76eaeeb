package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"hbar/cmd/studio/internal/runs"
)

// Times of a stream of events.
const (
	lookEvery  = time.Second
	aliveEvery = 15 * time.Second
)

// stream sends server-sent events, each only when it differs from the one of its name before.
type stream struct {
	w    http.ResponseWriter
	last map[string]string
	sent time.Time
}

func (e *stream) send(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil || e.last[name] == string(b) {
		return err
	}
	e.last[name] = string(b)
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, b))
}

func (e *stream) write(text string) error {
	e.sent = time.Now()
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return http.NewResponseController(e.w).Flush()
}

// events tells what changes: "runs", the list as /api/runs has it; with ?run=NAME "log", its log as /api/log has it, without views;
// and "problem", what cannot be read, or null.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run := q.text("run", "")
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		failed(w, r, errBusy)
		return
	}
	if t, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		streaming(t)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy is to pass each event on
	e := &stream{w: w, last: map[string]string{"problem": "null"}, sent: time.Now()}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := s.look(r.Context(), e, run); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// streaming takes the time limit of the whole answer off.
func streaming(w any) {
	if t := timing(w); t != nil {
		t.stream = true
	}
}

// answering puts the time limit of a whole answer on what is written from now on.
func answering(w any) {
	if t := timing(w); t != nil {
		t.stream, t.began = false, time.Time{}
	}
}

// timing is what limits the time of an answer; nil if nothing does.
func timing(w any) *timed {
	for w != nil {
		switch t := w.(type) {
		case *timed:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
	return nil
}

// look sends what has changed. Its error is that of the connection.
func (s *Server) look(ctx context.Context, e *stream, run string) error {
	var trouble any
	list, err := s.listed(ctx)
	if err == nil {
		err = e.send("runs", runList{s.o.Store.Dir(), list})
	} else {
		trouble = problem{message(err)}
		err = ctx.Err()
		delete(e.last, "runs") // to be sent again when it can be read
	}
	if err != nil {
		return err
	}
	if run != "" {
		var info runs.LogInfo
		if info, err = s.o.Store.Log(ctx, run); err == nil {
			err = e.send("log", info)
		} else if ctx.Err() == nil {
			if trouble == nil && hasLog(list, run) {
				trouble = problem{message(err)}
			}
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if err := e.send("problem", trouble); err != nil {
		return err
	}
	if time.Since(e.sent) > aliveEvery {
		return e.write(": alive\n\n")
	}
	return nil
}

// hasLog reports whether a run should have a log: one that is gone, or never was there, is no trouble.
func hasLog(list []runs.Run, run string) bool {
	for _, r := range list {
		if r.Name == run {
			return r.Log
		}
	}
	return false
}
