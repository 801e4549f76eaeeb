package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"hbar/cmd/studio/internal/models"
	"hbar/cmd/studio/internal/runs"
	"hbar/solver"
	"hbar/train"
)

// runList is the answer of /api/runs.
type runList struct {
	Dir  string     `json:"dir"` // the folder of runs as it was given
	Runs []runs.Run `json:"runs"`
}

func (s *Server) runs(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	list, err := s.listed(r.Context())
	s.give(w, r, runList{s.o.Store.Dir(), list}, err)
}

// logAnswer is the answer of /api/log.
type logAnswer struct {
	runs.LogInfo
	Views []runs.View `json:"views"`
}

func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run, columns, points := q.needed("run"), q.text("columns", ""), q.integer("points", 500)
	from, to := q.number("from", 1), q.number("to", 0)
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	var a logAnswer
	var err error
	if a.LogInfo, err = s.o.Store.Log(r.Context(), run); err == nil {
		names := a.Columns
		if columns != "" {
			names = strings.Split(columns, ",")
		}
		a.Views, err = s.o.Store.Views(r.Context(), run, names, from, to, points)
	}
	s.give(w, r, a, err)
}

func (s *Server) sweep(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	name := path.Join(q.needed("run"), fileName(&q, "file", ".json"))
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	v, err := s.o.Store.Sweep(name)
	s.give(w, r, v, err)
}

// fileName is the name of a file in a run, with that ending.
func fileName(q *query, name, ending string) string {
	v := q.needed(name)
	if strings.ContainsAny(v, "/\\") || !strings.EqualFold(path.Ext(v), ending) {
		q.bad(name, v, "the name of a "+ending+" file in the run")
	}
	return v
}

func (s *Server) options(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run := q.needed("run")
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	v, err := s.o.Store.Options(run)
	if err == nil && v == nil {
		v = json.RawMessage("null")
	}
	s.give(w, r, v, err)
}

// mostPicture is the largest picture that is served.
const mostPicture = 64 << 20

func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	name := path.Join(q.needed("run"), fileName(&q, "file", ".png"))
	q.text("v", "") // a version, so that a picture that changed is not taken from a cache
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	f, st, err := s.o.Store.OpenFile(name)
	if err != nil {
		failed(w, r, err)
		return
	}
	defer f.Close()
	var magic [8]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || string(magic[:]) != "\x89PNG\r\n\x1a\n" || st.Size() > mostPicture {
		failed(w, r, fmt.Errorf("%s is no PNG picture, or one of more than %d MiB", name, mostPicture>>20))
		return
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		failed(w, r, errors.New("the picture cannot be read"))
		return
	}
	w.Header().Set("Content-Type", "image/png")
	http.ServeContent(w, r, "", st.ModTime(), f)
}

// choices are the names that options of sampling take.
type choices struct {
	Samplers   []string `json:"samplers"`
	Grids      []string `json:"grids"`
	LastNoises []string `json:"last_noises"`
}

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run, file := q.needed("run"), q.text("file", train.ModelFile)
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	s.compute(w, r, func(ctx context.Context, _ func(int, int)) (any, error) {
		c, err := s.o.Models.Get(ctx, run, file)
		if err != nil {
			return nil, err
		}
		defer c.Release()
		info, err := c.Info()
		return struct {
			models.Info
			choices
		}{info, choices{solver.SamplerNames(), solver.GridNames(), solver.LastNoiseNames()}}, err
	})
}

// of runs f with a checkpoint.
func (s *Server) of(w http.ResponseWriter, r *http.Request, run, file string, f func(ctx context.Context, c *models.Checkpoint, progress func(int, int)) (any, error)) {
	s.compute(w, r, func(ctx context.Context, progress func(int, int)) (any, error) {
		c, err := s.o.Models.Get(ctx, run, file)
		if err != nil {
			return nil, err
		}
		defer c.Release()
		return f(ctx, c, progress)
	})
}

func (s *Server) sample(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run, file := q.needed("run"), q.text("file", train.ModelFile)
	o := models.SampleOptions{
		N: q.integer("n", 1000), Seed: q.seed("seed"), H: q.number("h", 1), Steps: q.integer("steps", 100), Sampler: q.text("sampler", "exp2"),
		Grid: q.text("grid", "lambda"), LastNoise: q.text("last_noise", "full"), Denoise: q.yes("denoise"), Class: q.text("class", ""),
		Guidance: q.number("guidance", 0), Frames: q.integer("frames", 1),
	}
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	s.of(w, r, run, file, func(ctx context.Context, c *models.Checkpoint, progress func(int, int)) (any, error) {
		v, err := c.Sample(ctx, o, progress)
		if err == nil {
			s.metrics.samples.Add(float64(v.N))
		}
		return v, err
	})
}

// field reads where a field is wanted.
func field(q *query) models.FieldOptions {
	return models.FieldOptions{
		Box:  models.Box{X0: q.number("x0", 0), X1: q.number("x1", 0), Y0: q.number("y0", 0), Y1: q.number("y1", 0)},
		Size: q.integer("size", 64), T: q.number("t", 0), H: q.number("h", 0), Class: q.text("class", ""), Guidance: q.number("guidance", 0),
	}
}

func (s *Server) score(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run, file, o := q.needed("run"), q.text("file", train.ModelFile), field(&q)
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	s.of(w, r, run, file, func(ctx context.Context, c *models.Checkpoint, _ func(int, int)) (any, error) { return c.Score(ctx, o) })
}

func (s *Server) density(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	run, file, o := q.needed("run"), q.text("file", train.ModelFile), field(&q)
	if err := q.end(); err != nil {
		failed(w, r, err)
		return
	}
	s.of(w, r, run, file, func(ctx context.Context, c *models.Checkpoint, progress func(int, int)) (any, error) {
		return c.Density(ctx, o, progress)
	})
}

// pointRequest is the body of /api/likelihood.
type pointRequest struct {
	Run  string `json:"run"`
	File string `json:"file"`
	models.PointOptions
}

func (s *Server) likelihood(w http.ResponseWriter, r *http.Request) {
	p := pointRequest{File: train.ModelFile}
	p.PointOptions = models.PointOptions{Sampler: "em", Grid: "lambda", Steps: 200, Paths: 400, FlowSteps: 40, Draws: 2, Probes: 2}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		failed(w, r, badRequest{errors.New("the body should be JSON, with Content-Type: application/json")})
		return
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&p)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is more than one value")
		}
	}
	if err != nil {
		failed(w, r, badRequest{fmt.Errorf("body: %w", err)})
		return
	}
	s.of(w, r, p.Run, p.File, func(ctx context.Context, c *models.Checkpoint, progress func(int, int)) (any, error) {
		return c.Likelihood(ctx, p.PointOptions, progress)
	})
}
